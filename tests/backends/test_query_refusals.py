"""What can't be stored is refused, and the caller's work is intact."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    REAL,
    MetaData,
    Numeric,
    String,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InvalidRequestError,
    ResourceClosedError,
    StatementError,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock.errors import NotWritable, RowRefused, UnknownColumn, WrongObject
from penstock.query import (
    OnConflict,
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
    from collections.abc import Callable, Iterator

    from fix_doors import Doors


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(200)}  # noqa: RUF012


class Gage(Base):
    __tablename__ = "gage"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    site: Mapped[str]
    altitude: Mapped[float | None]
    readings: Mapped[int | None]
    exact: Mapped[Any] = mapped_column(Numeric(12, 3), nullable=True)
    short: Mapped[float | None] = mapped_column(REAL)
    day: Mapped[date | None]
    sound: Mapped[bool | None]


class Event(Base):
    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "event"}  # noqa: RUF012


class Flood(Event):
    level: Mapped[float | None]
    __mapper_args__ = {"polymorphic_identity": "flood"}  # noqa: RUF012


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"number": number, "site": f"site {number}", **more} for number in numbers]


def count(session: Session, model: Any = Gage) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


def undone(session: Session, work: Callable[[], Any]) -> Any:
    """What work answers; what it wrote is undone."""
    attempt = session.begin_nested()
    try:
        return work()
    finally:
        attempt.rollback()


# --- bad rows -------------------------------------------------------------------------------------

BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"number": 3, "site": "c", "alt": 1.0}, UnknownColumn, "Gage has no column 'alt'"),
    ({"number": 3}, RowRefused, "Row 2 of Gage .* for its site"),
    ({"number": 3, "site": None}, RowRefused, "Row 2 of Gage .* for its site"),
    ({"number": 3, "site": "c", "readings": object()}, RowRefused, "Row 2 of Gage"),
    ({"number": 3, "site": "c", "readings": 2**80}, RowRefused, "Row 2 of Gage"),
    ({"number": 3, "site": "c", "sound": 5}, RowRefused, "Row 2 of Gage"),
    ({"number": 3, "site": "c", "day": object()}, RowRefused, "Row 2 of Gage"),
    ({"number": 3, "site": "lone \udc80"}, RowRefused, "Row 2 of Gage"),
    ({"number": 3, "site": math.nan}, RowRefused, "Row 2 of Gage .* NaN is no value for site"),
]


def test_d5_a_bad_row_leaves_nothing_and_the_callers_work_intact(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.add(Gage(number=100, site="changed later"))
        session.flush()
        session.execute(insert(Gage), rows(101))
        changed = find_one(session, Gage, {"number": 100})
        assert changed is not None
        changed.site = "changed"
        pending = Gage(number=102, site="pending")
        session.add(pending)
        for row, error, match in BAD:
            for on_conflict in OnConflict:
                with pytest.raises(error, match=match):
                    bulk_insert(session, Gage, [*rows(1, 2), row, *rows(4)], on_conflict=on_conflict)
                assert (pending in session.new, changed in session.dirty) == (True, True)
        with session.no_autoflush:
            assert count(session) == 2

    door = door_to(Base.metadata)
    door.do(work)
    stored = door.do(lambda session: {gage.number: gage.site for gage in find(session, Gage)})
    assert stored == {100: "changed", 101: "site 101", 102: "pending"}


def test_d5_a_bad_update_changes_nothing(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Gage, rows(1, 2, 3))
        for row, error, match in BAD:
            values = {"site": "new", **row} if error is UnknownColumn else {"altitude": 1.0, **row}
            if "site" not in row:
                continue
            with pytest.raises(error, match=match):
                bulk_update(session, Gage, [*rows(1, 2, altitude=5.0), values])
        assert {gage.altitude for gage in find(session, Gage)} == {None}

    door_to(Base.metadata).do(work)


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_what_is_stored_of_an_odd_value_is_what_sqlalchemy_stores_or_it_is_refused(
    door_to: Doors, on_conflict: OnConflict
) -> None:
    values: list[tuple[str, Any]] = [
        ("readings", "x"),
        ("readings", "5"),
        ("readings", 2**31),
        ("readings", -(2**31) - 1),
        ("readings", 2**40),
        ("readings", 2**63),
        ("readings", math.inf),
        ("readings", True),
        ("short", 1e300),
        ("short", 0.1),
        ("short", math.inf),
        ("altitude", "0.5"),
        ("exact", "1.5"),
        ("exact", 1e30),
        ("day", "2020-01-01"),
        ("site", 5),
        ("site", "nul \0"),
        ("sound", 1),
    ]

    def stored(session: Session, name: str, work: Callable[[], Any]) -> Any:
        def run() -> Any:
            work()
            return session.execute(select(Gage.__table__.c[name]).where(Gage.number == 2)).scalar_one()

        try:
            return undone(session, run)
        except (StatementError, ValueError, OverflowError) as error:
            return type(error)

    def work(session: Session) -> None:
        for name, value in values:
            row = {"number": 2, "site": "b", name: value}
            plain = stored(session, name, lambda row=row: session.execute(insert(Gage.__table__), [row]))
            given = [{"number": 1, "site": "a", name: None if name != "site" else "a"}, row]
            ours = stored(
                session, name, lambda given=given: bulk_insert(session, Gage, given, on_conflict=on_conflict)
            )
            assert ours is RowRefused or ours == plain, (name, value)

    door_to(Base.metadata).do(work)


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_d3_not_a_number_is_null_if_the_caller_says_so_and_else_refused(
    door_to: Doors, on_conflict: OnConflict
) -> None:
    names = ("readings", "exact", "day", "sound")

    def work(session: Session) -> None:
        for some in [(name,) for name in names] + [names]:
            given = [*rows(1), *rows(2, **dict.fromkeys(some, math.nan))]
            undone(session, lambda given=given: check(session, given))
        bulk_insert(session, Gage, rows(3, readings=1, exact=1))
        bulk_update(session, Gage, [{"number": 3, "readings": math.nan, "exact": math.nan}], nan="null")
        stored = session.execute(select(Gage.readings, Gage.exact)).one()
        assert tuple(stored) == (None, None)

    def check(session: Session, given: list[dict[str, Any]]) -> None:
        if given[1].keys() & {"readings", "day", "sound"}:
            with pytest.raises(RowRefused, match=r"Row 1 of Gage .* NaN is no value for "):
                bulk_insert(session, Gage, given, on_conflict=on_conflict)
        bulk_insert(session, Gage, given, on_conflict=on_conflict, nan="null")
        columns = [Gage.__table__.c[name] for name in names]
        stored = session.execute(select(*columns).where(Gage.number == 2)).one()
        assert set(stored) == {None}

    door_to(Base.metadata).do(work)


# --- odd givers -----------------------------------------------------------------------------------


def test_a_generator_that_raises_leaves_nothing(door_to: Doors) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from rows(*range(60_000))
        raise LookupError("the file ends here")

    def work(session: Session) -> None:
        session.add(pending := Gage(number=100_000, site="pending"))
        with pytest.raises(LookupError, match="ends here"):
            bulk_insert(session, Gage, broken())
        assert pending in session.new

    door = door_to(Base.metadata)
    door.do(work)
    assert door.do(lambda session: [gage.number for gage in find(session, Gage)]) == [100_000]


def test_nothing_given_is_nothing_done(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for on_conflict in OnConflict:
            assert bulk_insert(session, Gage, iter(()), on_conflict=on_conflict) == Written()
        assert bulk_update(session, Gage, []) == upsert(session, Gage, []) == Written()
        assert get_or_create_many(session, Gage, []) == []

    door_to(Base.metadata).do(work)


def test_a_row_of_another_length_and_an_object_of_another_class_are_refused(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for row in ((2, "b", 3.0), (2,)):
            with pytest.raises(RowRefused, match=rf"Row 1 has {len(row)} values, not 2"):
                bulk_insert(session, Gage, [(1, "a"), row], columns=("number", "site"))
        for given in (Flood(id=1, level=3.0), Gage(number=1, site="x")):  # A level would be lost.
            with pytest.raises(RowRefused, match=f"Row 0 is a {type(given).__name__}"):
                bulk_insert(session, Event, [given])
        with pytest.raises(WrongObject, match=r"A dict is given where rows are[^§]*try: .*\[row\]"):
            bulk_insert(session, Gage, rows(1)[0])  # type: ignore[arg-type]
        assert (count(session), count(session, Event)) == (0, 0)

    door_to(Base.metadata).do(work)


# --- odd sessions ---------------------------------------------------------------------------------


def test_a_session_that_has_failed_says_so_and_serves_again_after_a_rollback(door_to: Doors) -> None:
    def fail_to_flush(session: Session) -> None:
        session.add(Gage(number=1, site="there already"))
        session.flush()

    def fail_to_select(session: Session) -> None:
        session.execute(text("SELECT nonsense"))

    def work(session: Session) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: bulk_insert(session, Gage, rows(2)),
            lambda: upsert(session, Gage, rows(2)),
            lambda: bulk_update(session, Gage, rows(1, altitude=1.0)),
            lambda: get_or_create(session, Gage, {"number": 2, "site": "b"}),
            lambda: get_or_create_many(session, Gage, rows(2)),
        ]
        bulk_insert(session, Gage, rows(1))
        session.commit()
        for fail in (fail_to_flush, fail_to_select):
            with pytest.raises(DBAPIError):
                fail(session)
            for call in calls:
                with suppress(
                    InvalidRequestError, IntegrityError, NotWritable
                ):  # On SQLite a bad query spoils nothing.
                    call()
            session.rollback()
        assert bulk_insert(session, Gage, rows(2)) == Written(inserted=1)

    door = door_to(Base.metadata)
    door.do(work)
    found = door.do(lambda session: {gage.number: gage.altitude for gage in find(session, Gage)})
    assert found == {1: None, 2: None}


def test_a_closed_session_begins_anew_and_a_closed_connection_is_refused(door_to: Doors) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Gage, rows(1))
        connection = session.connection()
        with Session(connection, close_resets_only=False) as finished:
            finished.close()
            with pytest.raises(InvalidRequestError):
                bulk_insert(finished, Gage, rows(9))
        session.close()
        with pytest.raises(ResourceClosedError):
            bulk_insert(connection, Gage, rows(9))
        bulk_insert(session, Gage, rows(2))

    door = door_to(Base.metadata)
    door.do(work)
    assert door.do(lambda session: [gage.number for gage in find(session, Gage)]) == [2]


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_e8_rows_that_are_the_first_statement_of_a_transaction_are_gone_with_it(
    door_to: Doors, on_conflict: OnConflict
) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Gage, rows(*range(500)), on_conflict=on_conflict)
        session.rollback()
        get_or_create(session, Gage, {"number": 1, "site": "x"})
        session.rollback()
        with suppress(LookupError), session.begin_nested():
            bulk_insert(session, Gage, rows(7), on_conflict=on_conflict)
            raise LookupError

    door = door_to(Base.metadata)
    door.do(work)
    assert not door.do(lambda session: exists(session, Gage))
