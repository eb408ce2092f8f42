"""Rows are got, made and changed by the names of db-plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, reconstructor, relationship

from fix_brokers import DETECTION, STEP, detections, in_threads
from penstock import query
from penstock.backends.columns import KEY
from penstock.compat.db_plugins.models import Detection, Object, Step
from penstock.errors import NotSupported, RowRefused, UnknownColumn
from penstock.query import Written

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.compat.db_plugins import SQLConnection

    Asked = Callable[[str], list[tuple[Any, ...]]]


def test_a_row_is_made_for_good_and_got_from_then_on(db: SQLConnection, asked: Asked) -> None:
    made, new = db.session.query().get_or_create(Object, filter_by={"oid": "ZTF1"}, ndet=3)
    assert (made.oid, made.ndet, new) == ("ZTF1", 3, True)
    assert asked("SELECT oid, ndet FROM object") == [("ZTF1", 3)]
    db.session.rollback()
    got, new = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"}, ndet=4)
    assert (got.ndet, new) == (3, False)
    assert db.query().get_or_create(Object, {"oid": "ZTF1"})[0] is got


def test_the_filter_wins_over_the_values(db: SQLConnection) -> None:
    made, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"}, oid="ZTF2")
    assert made.oid == "ZTF1"


def test_what_is_set_of_an_instance_is_stored_by_one_commit_at_the_end(
    db: SQLConnection, asked: Asked
) -> None:
    for number in range(3):
        found, _ = db.query(Object).get_or_create(filter_by={"oid": f"ZTF{number}"})
        found.ndet = number
    assert asked("SELECT count(*) FROM object WHERE ndet IS NOT NULL") == [(0,)]
    db.session.commit()
    assert asked("SELECT ndet FROM object ORDER BY oid") == [(0,), (1,), (2,)]


def test_what_is_set_of_an_instance_stays_when_it_is_got_again(db: SQLConnection) -> None:
    found, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    found.ndet = 7
    with Session(db.engine) as other, other.begin():
        other.execute(text("UPDATE object SET ndethist = 5, ndet = 1 WHERE oid = 'ZTF1'"))
    again, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    assert again is found
    assert (again.ndet, again.ndethist) == (7, 5)


def test_an_instance_has_its_values_after_a_commit(db: SQLConnection) -> None:
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    found, _ = db.query(Detection).get_or_create(filter_by={"candid": 1, "oid": "ZTF1"}, **DETECTION)
    found.drb = 0.5
    db.session.commit()
    assert {name: found.__dict__[name] for name in ("candid", "mjd", "drb", "rb")} == {
        "candid": 1,
        "mjd": 59000.5,
        "drb": 0.5,
        "rb": None,
    }
    assert (found["mjd"], found["drb"]) == (59000.5, 0.5)
    db.session.expire(found)
    assert found["mjd"] == 59000.5


def test_d1_a_row_that_cannot_be_made_is_an_error(db: SQLConnection, asked: Asked) -> None:
    with pytest.raises(IntegrityError):
        db.query(Detection).get_or_create(filter_by={"candid": 1, "oid": "nobody"}, **DETECTION)
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    with pytest.raises(IntegrityError):
        db.query(Detection).get_or_create(filter_by={"candid": 1, "oid": "ZTF1"}, mjd=1.0)
    assert asked("SELECT count(*) FROM detection") == [(0,)]


def test_d2_what_is_pending_is_neither_committed_nor_lost(db: SQLConnection, asked: Asked) -> None:
    changed, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF0"})
    db.session.add(Step(**STEP))
    changed.ndet = 5
    assert db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1]
    with pytest.raises(IntegrityError):
        db.query(Detection).get_or_create(filter_by={"candid": 1, "oid": "nobody"}, **DETECTION)
    assert asked("SELECT oid, ndet FROM object ORDER BY oid") == [("ZTF0", None), ("ZTF1", None)]
    assert asked("SELECT count(*) FROM step") == [(0,)]
    db.session.commit()
    assert asked("SELECT ndet FROM object ORDER BY oid") == [(5,), (None,)]
    assert asked("SELECT count(*) FROM step") == [(1,)]


def test_a_row_beside_those_that_the_session_has_written_is_there_for_good(
    db: SQLConnection, asked: Asked, ground: Any
) -> None:
    db.session.add(Step(**STEP))
    db.session.flush()
    assert db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1]
    durable = 0 if ground.kind == "sqlite" else 1  # One transaction writes to a file at a time.
    assert asked("SELECT count(*) FROM object") == [(durable,)]
    db.session.commit()
    assert asked("SELECT count(*) FROM object") == [(1,)]


@pytest.mark.parametrize("flushed", [False, True])
def test_a_row_of_a_parent_that_waits_for_the_commit_waits_with_it(
    db: SQLConnection, asked: Asked, flushed: bool
) -> None:
    db.session.add(Object(oid="ZTF1"))
    if flushed:
        db.session.flush()
    assert db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1] is False
    assert db.query(Detection).get_or_create(filter_by={"candid": 1, "oid": "ZTF1"}, **DETECTION)[1]
    assert db.query(Detection).bulk_insert(detections(1, 2)) == Written(1, 0, 1)
    assert asked("SELECT count(*) FROM object") == asked("SELECT count(*) FROM detection") == [(0,)]
    db.session.commit()
    assert asked("SELECT candid FROM detection ORDER BY candid") == [(1,), (2,)]


def test_a_row_whose_key_the_session_has_locked_is_no_dead_end(db: SQLConnection) -> None:
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    db.session.query(Object).with_for_update().one()
    assert db.query(Detection).bulk_insert(detections(1)).inserted == 1
    db.session.commit()
    db.session.execute(text("UPDATE object SET oid = 'ZTF2' WHERE 1 = 0"))
    assert db.query(Object).get_or_create(filter_by={"oid": "ZTF2"})[1]
    db.session.commit()
    assert db.query(Object).find_one(filter_by={"oid": "ZTF2"})


def test_rows_that_others_of_the_session_refer_to_are_no_dead_end(db: SQLConnection) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1"}])
    db.session.add(Detection(**detections(1)[0]))
    db.session.flush()
    assert db.query(Object).bulk_insert([{"oid": "ZTF1", "ndet": 2}]).skipped == 1
    assert db.query(Object).bulk_insert([{"oid": "ZTF1", "ndet": 3}], on_conflict="update").updated == 1
    db.session.commit()
    assert db.session.scalar(select(Object.ndet)) == 3


def test_what_is_written_past_the_units_of_work_is_no_dead_end(db: SQLConnection, asked: Asked) -> None:
    ways = [
        lambda: db.session.bulk_insert_mappings(Object, [{"oid": "ZTF0"}]),
        lambda: db.session.bulk_save_objects([Object(oid="ZTF1")]),
        lambda: db.session.connection().execute(insert(Object), [{"oid": "ZTF2"}]),
        lambda: db.session.execute(insert(Object), [{"oid": "ZTF3"}]),
        lambda: db.session.execute(text("INSERT INTO object (oid) VALUES ('ZTF4')")),
        lambda: query.bulk_insert(db.session, Object, [{"oid": "ZTF5"}]),
        lambda: db.session.bulk_update_mappings(Object, [{"oid": "ZTF5", "ndet": 1}]),
    ]
    for number, write in enumerate(ways):
        write()
        assert db.query(Object).bulk_insert([{"oid": f"ZTF{min(number, 5)}"}]).skipped == 1
        assert db.query(Detection).bulk_insert(detections(number, oid="ZTF0")).inserted == 1
        assert asked(f"SELECT count(*) FROM detection WHERE candid = {number}") == [(0,)]
        db.session.commit()
        assert asked(f"SELECT count(*) FROM detection WHERE candid = {number}") == [(1,)]


def test_what_is_read_by_the_sessions_connection_keeps_nothing_from_being_stored_for_good(
    db: SQLConnection, asked: Asked
) -> None:
    db.session.connection().execute(select(Object)).all()
    db.session.execute(text("SELECT 1"))
    assert db.query(Object).bulk_insert([{"oid": "ZTF1"}]).inserted == 1
    assert asked("SELECT count(*) FROM object") == [(1,)]


def test_a_row_that_the_session_is_about_to_rename_is_found_by_its_new_key(db: SQLConnection) -> None:
    found, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    db.query().update(found, {"oid": "ZTF2"})
    assert db.query(Object).get_or_create(filter_by={"oid": "ZTF2"}) == (found, False)
    db.session.commit()
    assert db.query(Object).check_exists(filter_by={"oid": "ZTF2"})


def test_a_row_that_the_session_is_about_to_delete_is_made_anew(db: SQLConnection) -> None:
    db.session.delete(db.query(Object).get_or_create(filter_by={"oid": "ZTF1"}, ndet=1)[0])
    made, new = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"}, ndet=2)
    db.session.commit()
    assert (made.ndet, new) == (2, True)


def test_a_row_is_got_by_an_expression(db: SQLConnection) -> None:
    ask = db.query(Object).get_or_create
    assert ask(filter_by=Object.ndet > 5, oid="ZTF1", ndet=6)[1] is True
    assert ask(filter_by=Object.ndet > 5, oid="ZTF2", ndet=7) == (db.query(Object).one(), False)
    with pytest.raises(RowRefused, match="no value for oid"):
        ask(filter_by=Object.ndet > 50, ndet=60)
    with pytest.raises(RowRefused, match="another row"):
        ask(filter_by=Object.ndet > 50, oid="ZTF1", ndet=60)


def test_of_several_that_are_alike_the_first_is_got(db: SQLConnection) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF2", "ndet": 1}, {"oid": "ZTF1", "ndet": 1}])
    found, new = db.query(Object).get_or_create(filter_by={"ndet": 1})
    assert (found.oid, new) == ("ZTF1", False)


@pytest.mark.parametrize("nothing", [None, {}])
def test_which_row_is_meant_has_to_be_said(db: SQLConnection, nothing: Any) -> None:
    with pytest.raises(NotSupported, match="which row of Object"):
        db.query(Object).get_or_create(filter_by=nothing)


def test_rows_of_a_table_are_plain_rows(db: SQLConnection) -> None:
    table = Object.__table__
    assert db.query().check_exists(table) is False
    made, new = db.query().get_or_create(table, {"oid": "ZTF1"}, ndet=3)
    assert (made.oid, made.ndet, new) == ("ZTF1", 3, True)
    assert db.query().bulk_insert([{"oid": "ZTF1"}, {"oid": "ZTF2"}], table) == Written(1, 0, 1)
    assert db.query().find_one(table, {"oid": "ZTF1"}).ndet == 3
    assert len(db.query(table).find(table).items) == 2


def test_a_row_of_a_class_that_loads_others_along_is_got_with_them(db: SQLConnection) -> None:
    class OtherBase(DeclarativeBase):
        pass

    class Curve(OtherBase):
        __table__ = Object.__table__
        detections: Mapped[list[Detection]] = relationship(Detection, lazy="joined", viewonly=True)

    db.query(Object).bulk_insert([{"oid": "ZTF1"}])
    db.query(Detection).bulk_insert(detections(1, 2))
    held = db.query(Detection).filter_by(candid=2).one()
    found, new = db.query(Curve).get_or_create(filter_by={"oid": "ZTF1"})
    assert (new, {each.candid for each in found.detections}) == (False, {1, 2})
    assert held in found.detections
    assert db.query(Curve).get_or_create(filter_by={"oid": "ZTF1"})[0] is found
    assert db.query(Curve).check_exists(filter_by={"oid": "ZTF1"}) is True
    assert db.query(Curve).paginate().total == 1


class OwnBase(DeclarativeBase):
    pass


class Renamed(OwnBase):
    """Whose attributes are not called as the columns."""

    __tablename__ = "renamed"

    key: Mapped[str] = mapped_column("the key", KEY, primary_key=True)
    count: Mapped[int | None] = mapped_column("the count")


class Watched(OwnBase):
    """Which does something when it is loaded, and has a default."""

    __tablename__ = "watched"

    key: Mapped[str] = mapped_column(KEY, primary_key=True)
    count: Mapped[int] = mapped_column(default=7)

    @reconstructor
    def loaded(self) -> None:
        self.was_loaded = True


def test_rows_of_classes_of_ones_own_are_objects_as_the_orm_makes_them(
    config: Any, connections: Callable[..., SQLConnection]
) -> None:
    own = connections(config, base=OwnBase)
    own.create_db()
    for new in (True, False):
        found, made = own.query(Renamed).get_or_create(filter_by={"key": "a"}, count=3)
        assert (found.key, found.count, made) == ("a", 3, new)
        seen, made = own.query(Watched).get_or_create(filter_by={"key": "a"}, count=None)
        assert (seen.count, seen.was_loaded, made) == (7, True, new)
        assert not {found, seen} & {*own.session.new, *own.session.dirty}
        found.count = 3
        own.session.commit()
        own.session.expunge_all()


def test_many_that_ask_for_the_same_rows_make_each_once(
    db: SQLConnection, config: Any, connections: Callable[..., SQLConnection], asked: Asked
) -> None:
    made: list[str] = []

    def work() -> None:
        own = connections(config)
        for number in range(20):
            if own.query(Object).get_or_create(filter_by={"oid": f"ZTF{number}"})[1]:
                made.append(f"ZTF{number}")

    in_threads(work, 4)
    assert sorted(made) == sorted(f"ZTF{number}" for number in range(20))
    assert asked("SELECT count(*) FROM object") == [(20,)]


def test_an_update_waits_for_the_commit_and_takes_what_get_or_create_gives(
    db: SQLConnection, asked: Asked
) -> None:
    pair = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    assert db.query().update(pair, {"lastmjd": 12345}) is pair[0]
    assert db.query().update(pair[0], {"ndet": 2}) is pair[0]
    assert asked("SELECT lastmjd FROM object") == [(None,)]
    db.session.commit()
    assert asked("SELECT lastmjd, ndet FROM object") == [(12345, 2)]


def test_an_update_of_what_is_no_attribute_is_an_error(db: SQLConnection) -> None:
    pair = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    with pytest.raises(UnknownColumn, match="lastmdj"):
        db.query().update(pair, {"ndet": 1, "lastmdj": 12345})
    assert pair[0].ndet is None


def test_the_update_of_sqlalchemy_is_there_too(db: SQLConnection, asked: Asked) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1"}, {"oid": "ZTF2"}])
    assert db.query(Object).filter_by(oid="ZTF1").update({"ndet": 4}) == 1
    assert db.query(Object).filter(Object.oid == "ZTF2").update({Object.ndet: 5}, False) == 1
    db.session.commit()
    assert asked("SELECT ndet FROM object ORDER BY oid") == [(4,), (5,)]
