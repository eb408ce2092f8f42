"""Rows are got, made, changed and stored in bulk by the names of db-plugins."""

from __future__ import annotations

import math
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, relationship

from fix_brokers import DETECTION, detections
from penstock import query
from penstock.compat.db_plugins import IgnoredKeys
from penstock.compat.db_plugins.models import Dataquality, Detection, NonDetection, Object, Probability, Step
from penstock.errors import NotSupported, RowRefused, UnknownColumn
from penstock.query import Written

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.compat.db_plugins import SQLConnection

    Asked = Callable[[str], list[tuple[Any, ...]]]

DATE = datetime(2026, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001  (as it is stored)
STEP: dict[str, Any] = {"step_id": "s", "name": "n", "version": "1", "comments": "", "date": DATE}

# --- one row --------------------------------------------------------------------------------------


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


def in_threads(work: Callable[[], object], count: int) -> None:
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


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


# --- many rows ------------------------------------------------------------------------------------


def test_many_rows_are_stored_for_good_and_those_that_are_there_are_skipped(
    db: SQLConnection, asked: Asked
) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1"}])
    rows = detections(1, 2, 3)
    assert db.session.query().bulk_insert(rows, Detection) == Written(3, 0, 0)
    db.session.rollback()
    rows = detections(3, 3, 4, mjd=1.0)
    assert db.query(Detection).bulk_insert(rows) == Written(1, 0, 2)
    assert asked("SELECT candid, mjd FROM detection ORDER BY candid") == [
        (1, 59000.5),
        (2, 59000.5),
        (3, 59000.5),
        (4, 1.0),
    ]


@pytest.mark.parametrize("nothing", [None, [], ()])
def test_no_rows_are_nothing_to_do(db: SQLConnection, nothing: Any) -> None:
    assert db.query(Detection).bulk_insert(nothing) == Written()


def test_d3_rows_may_differ_come_one_by_one_and_lack_values(db: SQLConnection, asked: Asked) -> None:
    rows = [{"oid": "ZTF1", "ndet": 1}, {"oid": "ZTF2"}, {"meanra": math.nan, "oid": "ZTF3"}]
    assert db.query(Object).bulk_insert(row for row in rows) == Written(3, 0, 0)
    assert db.query(Object).bulk_insert(tuple(rows)) == Written(0, 0, 3)
    assert db.query(Object).bulk_insert({"oid": "ZTF4"}) == Written(1, 0, 0)
    assert asked("SELECT oid, ndet, meanra FROM object ORDER BY oid") == [
        ("ZTF1", 1, None),
        ("ZTF2", None, None),
        ("ZTF3", None, None),
        ("ZTF4", None, None),
    ]


@pytest.mark.parametrize("kind", [list, iter])
def test_d3_keys_that_are_no_columns_are_left_out_with_one_warning(
    db: SQLConnection, asked: Asked, kind: Any
) -> None:
    rows = [{"oid": "ZTF1", "jd": 1.0}, {"oid": "ZTF2"}, {"oid": "ZTF3", "jd": 2.0, "chinr": 3}]
    with pytest.warns(IgnoredKeys, match="Object has no column 'chinr', 'jd'") as warned:
        assert db.query(Object).bulk_insert(kind(rows)) == Written(3, 0, 0)
    assert [each.filename for each in warned] == [__file__]
    assert len(asked("SELECT oid FROM object")) == 3


@pytest.mark.parametrize("kind", [list, iter])
def test_d3_keys_that_are_no_columns_are_an_error_if_asked_for(
    db: SQLConnection, asked: Asked, kind: Any
) -> None:
    with pytest.raises(UnknownColumn, match="jd"):
        db.query(Object).bulk_insert(kind([{"oid": "ZTF1"}, {"oid": "ZTF2", "jd": 1.0}]), strict=True)
    assert asked("SELECT count(*) FROM object") == [(0,)]


@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_d3_a_frame_is_stored_without_the_columns_that_are_none(
    db: SQLConnection, asked: Asked, package: str
) -> None:
    given = {"oid": ["ZTF1", "ZTF2"], "meanra": [1.5, None], "jd": [1, 2]}
    module = pytest.importorskip(package)
    frame = module.table(given) if package == "pyarrow" else module.DataFrame(given)
    with pytest.warns(IgnoredKeys, match="'jd'"):
        assert db.query(Object).bulk_insert(frame) == Written(2, 0, 0)
    assert asked("SELECT oid, meanra FROM object ORDER BY oid") == [("ZTF1", 1.5), ("ZTF2", None)]


def test_d4_threads_that_store_the_same_keys_in_another_order_do_not_wait_in_turn(
    db: SQLConnection, config: Any, connections: Callable[..., SQLConnection], asked: Asked
) -> None:
    rows = [{"oid": f"ZTF{number:03}"} for number in range(400)]
    turns = iter([rows, rows[::-1], rows, rows[::-1]])
    lock = threading.Lock()

    def work() -> None:
        with lock:
            own, mine = connections(config), next(turns)
        for _ in range(5):
            own.query(Object).bulk_insert(mine)

    in_threads(work, 4)
    assert asked("SELECT count(*) FROM object") == [(400,)]


def test_d5_the_row_that_is_refused_is_named_and_none_is_stored(db: SQLConnection, asked: Asked) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1"}])
    rows = detections(*range(100))
    rows[57]["mjd"] = None
    with pytest.raises(RowRefused, match=r"(?s)Row 57 of Detection.*mjd"):
        db.query(Detection).bulk_insert(rows)
    del rows[57]["mjd"]
    with pytest.raises(RowRefused, match="Row 57 of Detection"):
        db.query(Detection).bulk_insert(rows)
    with pytest.raises(RowRefused, match="Row 1 of Detection"):
        db.query(Detection).bulk_insert([*detections(1), *detections(2, oid="nobody")])
    assert asked("SELECT count(*) FROM detection") == [(0,)]


def test_rows_that_are_there_get_new_values_if_asked_for(db: SQLConnection, asked: Asked) -> None:
    db.query(Object).bulk_insert([{"oid": "ZTF1", "ndet": 1, "meanra": 2.0}])
    rows = [{"oid": "ZTF1", "ndet": 2}, {"oid": "ZTF2", "ndet": 3}]
    assert db.query(Object).bulk_insert(rows, on_conflict="update") == Written(1, 1, 0)
    assert asked("SELECT ndet, meanra FROM object ORDER BY oid") == [(2, 2.0), (3, None)]


def test_what_is_pending_is_not_committed_by_many_rows(db: SQLConnection, asked: Asked) -> None:
    db.session.add(Step(**STEP))
    assert db.query(Object).bulk_insert([{"oid": "ZTF1"}]) == Written(1, 0, 0)
    assert asked("SELECT count(*) FROM step") == [(0,)]
    assert asked("SELECT count(*) FROM object") == [(1,)]
    db.session.commit()
    assert asked("SELECT date FROM step")[0][0] is not None
    assert db.session.scalar(select(Step.date)) == DATE


def test_all_that_a_step_of_the_broker_stores_is_stored(db: SQLConnection, asked: Asked) -> None:
    found, _ = db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    db.session.query().bulk_insert([*detections(2, mjd=59002.0), *detections(1)], Detection)
    quality = [{"candid": candid, "oid": "ZTF1", "fid": 1, "xpos": 1.0} for candid in (1, 2)]
    db.session.query().bulk_insert(quality, Dataquality)
    misses = [{"oid": "ZTF1", "fid": 1, "mjd": 58999.25, "diffmaglim": 20.5}]
    db.session.query().bulk_insert(misses, NonDetection)
    kinds = {"classifier_name": "lc", "classifier_version": "1", "probability": 0.5, "ranking": 1}
    for name in ("SN", "AGN"):
        db.query().get_or_create(Probability, {"oid": "ZTF1", "class_name": name, **kinds})
    db.session.commit()
    curve = found.get_lightcurve()
    assert [each["candid"] for each in curve["detections"]] == [1, 2]
    assert [each["mjd"] for each in curve["non_detections"]] == [58999.25]
    assert curve["detections"][0].dataquality[0].xpos == 1.0
    counted = (
        db.query(Probability.class_name, func.count(Detection.candid))
        .join(Object, Object.oid == Probability.oid)
        .join(Detection, Detection.oid == Object.oid)
        .filter(Probability.ranking == 1)
        .group_by(Probability.class_name)
        .order_by(Probability.class_name)
    )
    assert [tuple(row) for row in counted] == [("AGN", 2), ("SN", 2)]
    assert db.session.query(Detection.oid, Detection.candid).filter_by(candid=2).scalar() == "ZTF1"
