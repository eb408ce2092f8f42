"""Objects, subclasses, versions and defaults are as the ORM has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    Column,
    ColumnDefault,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.exc import IntegrityError, MultipleResultsFound

from fix_models import (
    Base,
    Counted,
    Event,
    FlashFlood,
    Flood,
    Made,
    Numbered,
    Odd,
    Owner,
    Part,
    Project,
    Served,
    Stamped,
    Storm,
    Touched,
)
from penstock.errors import NotSupported, RowRefused, RowStale
from penstock.query import (
    Written,
    bulk_insert,
    bulk_update,
    exists,
    find,
    find_one,
    get_or_create,
    get_or_create_many,
    upsert,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fix_doors import Doors


def values(session: Session, model: Any, *names: str) -> list[tuple[Any, ...]]:
    table = model.__table__
    with session.no_autoflush:
        found = session.execute(select(*(table.c[name] for name in names)).order_by(table.c.id))
        return [tuple(row) for row in found]


def test_a_row_of_nothing_but_none_is_made_and_then_found(door_to: Doors) -> None:
    def work(session: Session) -> None:
        made, new = get_or_create(session, Numbered, {"name": None})
        assert (made.name, new) == (None, True)
        assert get_or_create(session, Numbered, {"name": None}) == (made, False)

    door_to(Base.metadata).do(work)


# --- eager loading --------------------------------------------------------------------------------


def owners(session: Session) -> None:
    session.add_all([Owner(id=n, parts=[Part(id=10 * n), Part(id=10 * n + 1)]) for n in (1, 2, 3)])
    session.commit()


def test_a_collection_that_is_loaded_along_is_no_row_of_its_own(door_to: Doors) -> None:
    def work(session: Session) -> None:
        owners(session)
        assert [owner.id for owner in find(session, Owner, order_by=Owner.id, limit=2)] == [1, 2]
        one = find_one(session, Owner, {"id": 2})
        assert one is not None
        assert [part.id for part in one.__dict__["parts"]] == [20, 21]
        with pytest.raises(MultipleResultsFound):
            find_one(session, Owner, Owner.id < 3)
        assert get_or_create(session, Owner, {"id": 2}) == (one, False)
        assert get_or_create(session, Owner, {"id": 4})[1]
        many = get_or_create_many(session, Owner, [{"id": n} for n in (6, 3, 5)])
        assert [(owner.id, new) for owner, new in many] == [(6, True), (3, False), (5, True)]
        assert many[0][0].parts == []

    door_to(Base.metadata).do(work)


def test_plain_rows_are_those_of_the_class_alone(door_to: Doors) -> None:
    def work(session: Session) -> None:
        owners(session)
        connection = session.connection()
        assert [tuple(row) for row in find(connection, Owner, order_by=Owner.id)] == [(1,), (2,), (3,)]
        assert tuple(find_one(connection, Owner, {"id": 2})) == (2,)
        assert get_or_create(connection, Owner, {"id": 2})[1] is False
        assert [new for _, new in get_or_create_many(connection, Owner, [{"id": 2}, {"id": 5}])] == [
            False,
            True,
        ]

    door_to(Base.metadata).do(work)


# --- subclasses -----------------------------------------------------------------------------------


def test_a_subclass_is_the_same_on_a_connection_as_in_a_session(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.execute(insert(Event.__table__), {"id": 9, "kind": "event"})
        for first, on in ((10, session), (20, session.connection())):
            made, new = get_or_create(on, Flood, {"id": first}, {"level": 1.5})
            assert (made.kind, new) == ("flood", True)
            assert get_or_create(on, Flood, {"id": first})[1] is False
            rows = [{"id": first}, {"id": first + 1, "name": "x"}, {"id": first + 2}]
            made_now = get_or_create_many(on, Flood, rows)
            assert [(row.kind, new) for row, new in made_now] == [
                ("flood", False),
                ("flood", True),
                ("flood", True),
            ]
            assert bulk_insert(on, FlashFlood, [{"id": first + 3}]).inserted == 1
            assert upsert(on, Flood, [{"id": first + 3, "name": "y"}]) == Written(updated=1)
            assert len(find(on, Flood, Flood.id.between(first, first + 9))) == 4
            assert exists(on, FlashFlood, {"id": first + 3})
            for each in (find_one(on, Flood, {"id": 9}), exists(on, Flood, {"id": 9})):
                assert not each
            assert bulk_update(on, Flood, [{"id": 9, "name": "z"}, {"id": first, "name": "z"}]) == Written(
                0, 1, 1
            )
        assert values(session, Event, "kind", "name")[0] == ("event", None)

    door_to(Base.metadata).do(work)


def test_a_row_of_another_class_is_in_the_way_and_stays(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.execute(insert(Event.__table__), [{"id": 1, "kind": "event"}, {"id": 2, "kind": None}])
        for on in (session, session.connection()):
            for number in (1, 2):
                with pytest.raises(
                    RowRefused, match="Row 1 of Flood can't be stored: the row with its key is of"
                ):
                    upsert(on, Flood, [{"id": 5, "name": "x"}, {"id": number, "name": "x"}])
                with pytest.raises(IntegrityError):
                    get_or_create(on, Flood, {"id": number})
        assert values(session, Event, "id", "kind", "name") == [(1, "event", None), (2, None, None)]

    door_to(Base.metadata).do(work)


def test_the_orm_makes_an_object_whose_row_is_in_several_tables(door_to: Doors) -> None:
    def work(session: Session) -> None:
        pending = Owner(id=1)
        session.add(pending)
        storm, new = get_or_create(session, Storm, {"id": 1}, {"wind": 9.5, "name": "x"})
        assert (storm.kind, storm.wind, new, storm in session) == ("storm", 9.5, True, True)
        assert get_or_create(session, Storm, {"id": 1}) == (storm, False)
        many = get_or_create_many(session, Storm, [{"id": 2}, {"id": 1}])
        assert [new for _, new in many] == [True, False]
        session.execute(insert(Event.__table__), {"id": 3, "kind": "event"})
        with pytest.raises(IntegrityError):
            get_or_create(session, Storm, {"id": 3})
        session.commit()
        found = find(session, Storm, {"name": "x"})
        assert found == [storm]
        connection = session.connection()
        assert exists(connection, Storm, {"wind": 9.5})
        for refused in (
            lambda: get_or_create(connection, Storm, {"id": 4}),
            lambda: bulk_insert(session, Storm, [{"id": 4}]),
            lambda: bulk_update(session, Storm, [{"id": 1, "wind": 1.0}]),
            lambda: upsert(session, Storm, [{"id": 4}]),
        ):
            with pytest.raises(NotSupported, match="Rows of Storm can't be written in bulk"):
                refused()
        assert upsert(session, Event, [{"id": 1, "name": "y"}]) == Written(updated=1)
        assert values(session, Event, "id", "kind", "name")[0] == (1, "storm", "y")

    door_to(Base.metadata).do(work)


# --- defaults -------------------------------------------------------------------------------------


def lively(metadata: MetaData) -> Table:
    return Table(
        "lively",
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("name", String(40)),
        Column("text", String(40), default=func.upper("50%, it's:so")),
        Column("made_at", DateTime, default=func.now(), onupdate=func.now()),
        Column("changes", Integer, default=0),
        Column("rest % :x", Integer, default=func.abs(literal(-7) - 1)),
    )


def test_what_the_server_makes_is_made_for_every_row_of_many(door_to: Doors) -> None:
    metadata = MetaData()
    table = lively(metadata)
    table.c.changes.onupdate = ColumnDefault(table.c.changes + 1, for_update=True)

    def work(session: Session) -> None:
        rows = [{"id": number, "name": f"{number}"} for number in range(1200)]
        assert bulk_insert(session, table, rows[:700]) == Written(inserted=700)
        assert bulk_insert(session, table, rows[600:800], on_conflict="nothing") == Written(100, 0, 100)
        assert upsert(session, table, rows[700:]) == Written(400, 100)
        assert bulk_update(session, table, [{"id": 0, "name": "x"}, {"id": -1, "name": "y"}]) == Written(
            0, 1, 1
        )
        found = session.execute(select(table).order_by(table.c.id)).all()
        assert [row.changes for row in found] == [1] + [0] * 699 + [1] * 100 + [0] * 400
        assert {(row[2], row[5], row.made_at is None) for row in found} == {("50%, IT'S:SO", 8, False)}
        given = [{"id": 2000, "text": None, "made_at": None}]
        upsert(session, table, given)
        assert bulk_insert(session, table, [(3000,)], columns=("id",)).inserted == 1
        assert session.execute(select(table.c.text).where(table.c.id >= 2000)).scalars().all() == [
            None,
            found[0][2],
        ]

    door_to(metadata).do(work)


def test_a_sequence_numbers_every_row(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Made, [{"id": number} for number in range(600)])
        upsert(session, Made, [{"id": number, "name": "x"} for number in range(500, 700)])
        numbers = [number for (number,) in values(session, Made, "number")]
        if session.get_bind().dialect.name == "sqlite":
            assert set(numbers) == {None}
        else:
            assert len(set(numbers)) == 700

    door_to(Base.metadata).do(work)


def test_a_frame_gets_defaults_of_the_server_too(door_to: Doors) -> None:
    import pandas as pd

    def work(session: Session) -> None:
        frame = pd.DataFrame({"id": [1, 2], "name": ["a", "b"]})
        bulk_insert(session, Made, frame)
        assert values(session, Made, "looked", "sum") == [("of a", 42), ("of b", 42)]
        get_or_create_many(session, Made, pd.DataFrame({"id": [2, 3], "name": ["b", "c"]}))
        assert values(session, Made, "looked", "chosen")[2] == ("of c", 5)

    door_to(Base.metadata).do(work)


def test_an_update_that_sets_nothing_does_not_touch_rows(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.execute(insert(Touched.__table__), {"id": 1})
        assert upsert(session, Touched, [{"id": 1}]) == Written(skipped=1)
        assert values(session, Touched, "scalar", "at") == [(None, None)]
        upsert(session, Touched, [{"id": 1, "name": "a", "scalar": "x"}], update=("name",))
        assert values(session, Touched, "name", "scalar", "called") == [("a", None, "called")]

    door_to(Base.metadata).do(work)


# --- versions -------------------------------------------------------------------------------------


def test_a_stale_row_is_named_and_nothing_is_stored(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Counted, [{"id": number} for number in range(600)])
        bulk_update(session, Counted, [{"id": 599, "name": "somebody"}])
        pending = Counted(id=1000)
        session.add(pending)
        rows = [{"id": number, "name": "x", "version": 1} for number in range(600)]
        for verb in (upsert, bulk_update):
            with pytest.raises(RowStale, match="Row 599 of Counted is stale"):
                verb(session, Counted, rows)
        assert {name for name, _ in values(session, Counted, "name", "row version")} == {None, "somebody"}
        assert pending in session.new
        assert bulk_update(session, Counted, rows[:-1]) == Written(updated=599)
        assert upsert(
            session, Counted, [{"id": 599, "name": "y", "version": 2}, {"id": 700, "version": 4}]
        ) == (Written(1, 1))
        assert values(session, Counted, "name", "row version")[598:601] == [("x", 2), ("y", 3), (None, 4)]

    door_to(Base.metadata).do(work)


def test_of_rows_with_one_key_the_version_of_the_last_counts(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Counted, [{"id": 1}])
        upsert(session, Counted, [{"id": 1, "name": "a", "version": 9}, {"id": 1, "name": "b", "version": 1}])
        assert values(session, Counted, "name", "row version") == [("b", 2)]
        assert bulk_update(session, Counted, [{"id": 2, "name": "a", "version": 9}]) == Written(skipped=1)
        assert bulk_update(session, Counted, [{"id": 1, "version": 2}]) == Written(skipped=1)
        with pytest.raises(RowRefused, match="Row 0 of Counted"):
            bulk_update(session, Counted, [{"id": 1, "name": "a", "version": "word"}])

    door_to(Base.metadata).do(work)


def test_a_version_that_depends_on_the_one_before_has_to_be_given(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Odd, [{"id": 1}])
        for verb in (upsert, bulk_update):
            with pytest.raises(NotSupported, match="can't be told without the one before"):
                verb(session, Odd, [{"id": 1, "name": "a"}])
        upsert(session, Odd, [{"id": 1, "name": "a", "version": "1"}])
        with pytest.raises(RowStale):
            upsert(session, Odd, [{"id": 1, "name": "a", "version": "1"}])
        assert values(session, Odd, "name", "version") == [("a", "2")]

    door_to(Base.metadata).do(work)


def test_a_version_that_the_server_makes_is_compared_and_left_alone(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Served, [{"id": 1}])
        assert bulk_update(session, Served, [{"id": 1, "name": "a", "version": 7}]) == Written(updated=1)
        with pytest.raises(RowStale):
            upsert(session, Served, [{"id": 1, "name": "b", "version": 6}])
        assert values(session, Served, "name", "version") == [("a", 7)]

    door_to(Base.metadata).do(work)


def test_rows_have_versions_on_a_connection_too(door_to: Doors) -> None:
    def work(session: Session) -> None:
        connection = session.connection()
        row, new = get_or_create(connection, Counted, {"id": 1})
        assert (row._mapping["row version"], new) == (1, True)
        made = get_or_create_many(connection, Stamped, [{"id": 1}, {"id": 2}])
        assert len({row.version for row, _ in made}) == 2

    door_to(Base.metadata).do(work)


# --- objects --------------------------------------------------------------------------------------


def test_what_a_session_has_expired_is_read_by_itself_and_nothing_is_flushed(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.add_all([Counted(id=n, name=f"{n}") for n in (1, 2)])
        session.commit()
        stale = [session.get_one(Counted, n) for n in (1, 2)]
        session.expire_all()
        stale[0].name = "changed"
        pending = Counted(id=3)
        session.add(pending)
        assert bulk_update(session, Counted, stale) == Written(updated=2)
        assert pending in session.new
        assert values(session, Counted, "name", "row version") == [("changed", 2), ("2", 2)]
        assert bulk_insert(session, Project, [Project(id=1, name="a")]) == Written(1)
        session.rollback()

    door_to(Base.metadata).do(work)


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_an_object_whose_row_was_replaced_is_as_the_new_row(door_to: Doors, *, many: bool) -> None:
    def work(session: Session) -> None:
        session.add(Project(id=1, name="before"))
        session.flush()
        kept = session.get_one(Project, 1)
        session.connection().execute(delete(Project.__table__))
        if many:
            [(found, new)] = get_or_create_many(session, Project, [{"id": 1, "name": "after"}])
        else:
            found, new = get_or_create(session, Project, {"id": 1}, {"name": "after"})
        assert (found is kept, new, found.name) == (True, True, "after")

    door_to(Base.metadata).do(work)
