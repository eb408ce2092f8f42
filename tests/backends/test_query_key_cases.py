"""What a key is, by example: NULL, what is rounded, what is the same text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fix_tables import MARIADB, Kind
from penstock.errors import RowRefused
from penstock.query import bulk_insert, bulk_update, find, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors


class Base(DeclarativeBase):
    """The tables."""


class Thing(Base):
    """What has keys of several kinds."""

    __tablename__ = "thing"
    __table_args__ = (sa.UniqueConstraint("a", "b"), sa.UniqueConstraint("exact", "a"))

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(sa.String(3), unique=True)
    a: Mapped[int | None]
    b: Mapped[int | None]
    real: Mapped[float | None] = mapped_column(sa.REAL().with_variant(mysql.FLOAT(), *MARIADB), unique=True)
    exact: Mapped[Decimal | None] = mapped_column(sa.Numeric(4, 2), unique=True)
    seen: Mapped[datetime | None] = mapped_column(unique=True)
    zoned: Mapped[datetime | None] = mapped_column(sa.DateTime(timezone=True), unique=True)
    name: Mapped[str | None] = mapped_column(sa.String(9))


@pytest.fixture
def door(door_to: Doors) -> Door:
    return door_to(Base.metadata)


def names(session: Session, **where: Any) -> list[str | None]:
    return list(session.scalars(sa.select(Thing.name).filter_by(**where).order_by(Thing.name)))


def refused(session: Session, work: Callable[[], Any]) -> None:
    """What it is refused with leaves the transaction as it was."""
    session.execute(sa.insert(Thing), {"name": "before"})
    with pytest.raises((RowRefused, DBAPIError)):
        work()
    assert "before" in names(session)


# --- NULL -----------------------------------------------------------------------------------------


def test_rows_with_null_in_the_key_are_all_stored(door: Door) -> None:
    def work(session: Session) -> None:
        given = [{"code": code, "name": name} for code, name in ((None, "x"), (None, "y"), ("k", "z"))]
        assert upsert(session, Thing, given, key=("code",)).inserted == 3
        pairs = [{"a": 1, "b": None, "name": name} for name in "pq"]
        assert upsert(session, Thing, pairs, key=("a", "b")).inserted == 2
        assert bulk_insert(session, Thing, pairs, key=("a", "b"), on_conflict="update").inserted == 2
        assert bulk_insert(session, Thing, pairs, key=("a", "b"), on_conflict="nothing").inserted == 2
        done = upsert(session, Thing, [*given, {"code": "k", "name": "w"}], key=("code",))
        assert (done.inserted, done.updated, done.skipped) == (2, 1, 1)
        assert names(session, a=1) == ["p", "p", "p", "q", "q", "q"]
        assert names(session, a=None) == ["w", "x", "x", "y", "y"]

    door.do(work)


def test_many_rows_with_null_in_the_key_are_stored_and_none_is_counted_twice(door: Door) -> None:
    def work(session: Session) -> None:
        given = [{"a": n % 7, "b": None if n % 3 else n, "name": str(n)} for n in range(900)]
        done = upsert(session, Thing, given, key=("a", "b"))
        assert (done.inserted, done.updated, done.skipped) == (900, 0, 0)
        done = upsert(session, Thing, given, key=("a", "b"))
        assert (done.inserted, done.updated, done.skipped) == (600, 300, 0)
        assert session.scalar(sa.select(sa.func.count()).select_from(Thing)) == 1500

    door.do(work)


def test_a_key_with_null_in_it_is_the_key_of_no_row_that_could_be_updated(door: Door) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Thing, [{"a": 1, "name": "old"}, {"a": 2, "b": 2, "name": "old"}])
        given = [{"a": 1, "b": None, "name": "new"}, {"a": 2, "b": 2, "name": "new"}]
        done = bulk_update(session, Thing, given, key=("a", "b"))
        assert (done.updated, done.skipped) == (1, 1)
        assert names(session) == ["new", "old"]

    door.do(work)


def test_get_or_create_by_none_finds_the_row_where_it_is_null_as_find_does(door: Door) -> None:
    def work(session: Session) -> None:
        made = [get_or_create(session, Thing, {"a": 1, "b": None}) for _ in range(2)]
        assert [new for _, new in made] == [True, False]
        assert find(session, Thing, {"a": 1, "b": None}) == [made[0][0]]
        given = [{"a": 1, "b": None}, {"a": 2, "b": None}, {"a": 2, "b": None}]
        many = get_or_create_many(session, Thing, given, key=("a", "b"))
        assert [new for _, new in many] == [False, True, False]
        rounded = [{"exact": Decimal("1.001"), "a": None}] * 2
        many = get_or_create_many(session, Thing, rounded, key=("exact", "a"))
        assert [new for _, new in many] == [True, False]
        assert not get_or_create(session, Thing, {"exact": Decimal("1.001"), "a": None})[1]

    door.do(work)


def test_a_row_in_the_way_by_another_key_is_not_the_one_whose_key_is_null_too(door: Door) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Thing, [{"id": 1, "code": None, "name": "old"}])
        given = [{"id": 1, "code": None, "name": "new"}]
        for write in (upsert, bulk_insert):
            options = {} if write is upsert else {"on_conflict": "nothing"}
            with pytest.raises((RowRefused, DBAPIError)):
                write(session, Thing, given, key=("code",), **options)
        assert names(session) == ["old"]

    door.do(work)


# --- as it is stored ------------------------------------------------------------------------------

ROUNDED = [
    ("real", 0.1, 0.1 + 1e-12),
    ("exact", Decimal("1.005"), Decimal("1.01")),
    ("seen", datetime(2026, 5, 4, 0, 0, 0, 654321), datetime(2026, 5, 4, 0, 0, 0, 654321)),  # noqa: DTZ001
    ("code", "ab", "ab"),
]


@pytest.mark.parametrize(("name", "value", "same"), ROUNDED, ids=[name for name, *_ in ROUNDED])
def test_what_is_made_once_is_got_afterwards(door: Door, name: str, value: Any, same: Any) -> None:
    def work(session: Session) -> None:
        assert [get_or_create(session, Thing, {name: value})[1] for _ in range(3)] == [True, False, False]
        [(row, new)] = get_or_create_many(session, Thing, [{name: value}], key=(name,))
        assert (row, new) == (find(session, Thing)[0], False)
        session.execute(sa.delete(Thing))
        many = get_or_create_many(
            session, Thing, [{name: value, "name": str(n)} for n in range(3)], key=(name,)
        )
        assert [(row.name, new) for row, new in many] == [("0", True), ("0", False), ("0", False)]
        done = upsert(session, Thing, [{name: value, "name": str(n)} for n in range(3)], key=(name,))
        assert (done.inserted, done.updated, done.skipped) == (0, 1, 2)
        assert bulk_update(session, Thing, [{name: value, "name": "last"}], key=(name,)).updated == 1
        done = bulk_insert(session, Thing, [{name: value}], on_conflict="nothing", key=(name,))
        assert (done.inserted, names(session)) == (0, ["last"])

    door.do(work)


def test_a_value_that_is_refused_is_not_the_key_of_what_it_would_be_cut_to(door: Door) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Thing, [{"code": "abc", "exact": Decimal("99.99"), "real": 3.4028234e38}])
        large = [("exact", Decimal("100.5")), ("code", "abcd")]
        for name, value in [*large, ("real", 1e39)]:
            if door.dialect.name == "sqlite":
                continue
            refused(session, lambda name=name, value=value: get_or_create(session, Thing, {name: value}))
            refused(
                session, lambda name=name, value=value: upsert(session, Thing, [{name: value}], key=(name,))
            )
            refused(
                session,
                lambda name=name, value=value: get_or_create_many(
                    session, Thing, [{name: value}], key=(name,)
                ),
            )
        assert len(find(session, Thing, {"code": "abc"})) == 1

    door.do(work)


def test_a_text_of_blanks_too_long_is_stored_without_them_and_found(door: Door) -> None:
    def work(session: Session) -> None:
        expected = [True, False, False]
        given = ["abc", "abc  ", "abc   "]
        if door.dialect.name == "sqlite":  # It has texts of any length.
            expected = [True, True, True]
        assert [get_or_create(session, Thing, {"code": code})[1] for code in given] == expected
        session.execute(sa.delete(Thing))
        many = get_or_create_many(session, Thing, [{"code": code} for code in given], key=("code",))
        assert [new for _, new in many] == expected
        done = upsert(session, Thing, [{"code": code, "name": code} for code in given], key=("code",))
        assert done.updated == sum(expected)

    door.do(work)


def test_when_clocks_go_back_two_moments_are_two_where_the_server_knows_zones(door: Door) -> None:
    rome = ZoneInfo("Europe/Rome")

    def work(session: Session) -> None:
        twice = [datetime(2026, 10, 25, 2, 30, tzinfo=rome, fold=fold) for fold in (0, 1)]
        given = [{"zoned": each, "name": str(each.fold)} for each in twice]
        knows = door.dialect.name == "postgresql"
        assert upsert(session, Thing, given, key=("zoned",)).inserted == 1 + knows
        same = [{"zoned": each, "name": "new"} for each in (twice[0], twice[0].astimezone(UTC))]
        done = upsert(session, Thing, same, key=("zoned",))
        assert (done.inserted, done.updated) == ((0, 1) if knows else (1, 1))

    door.do(work)


def test_of_keys_that_are_stored_alike_the_first_row_is_made_and_the_last_one_updates(door: Door) -> None:
    def work(session: Session) -> None:
        near = [Decimal("1.004"), Decimal("1.0"), Decimal("0.999"), Decimal("1.01")]
        given = [{"exact": value, "name": str(n)} for n, value in enumerate(near)]
        many = get_or_create_many(session, Thing, given, key=("exact",))
        assert [(row.name, new) for row, new in many] == [
            ("0", True), ("0", False), ("0", False), ("3", True),
        ] or door.dialect.name == "sqlite"  # fmt: skip

    door.do(work)


def test_a_number_is_not_the_text_that_reads_alike_nor_the_other_way_round(door: Door) -> None:
    def work(session: Session) -> None:
        bulk_insert(session, Thing, [{"code": "05", "a": 1, "name": "old"}])
        for name, value in (("code", 5), ("a", "1abc")):
            for get in (get_or_create, get_or_create_many):
                attempt = session.begin_nested()
                try:
                    given: Any = {name: value, "b": 1}
                    if get is get_or_create:
                        row, new = get_or_create(session, Thing, {name: value}, {"b": 1})
                    else:
                        [(row, new)] = get_or_create_many(session, Thing, [given], key=(name,))
                except (DBAPIError, RowRefused):
                    attempt.rollback()
                else:
                    assert new
                    assert row.name is None
                    attempt.rollback()
        assert names(session) == ["old"]

    door.do(work)


def test_the_name_of_what_is_in_an_enumeration_is_a_key_whose_row_is_new_once(door_to: Doors) -> None:
    metadata = sa.MetaData()
    kind = sa.Column("kind", sa.Enum(Kind, name="kind_of_key"), unique=True)
    water = sa.Table("water", metadata, sa.Column("id", sa.Integer, primary_key=True), kind)
    door = door_to(metadata)

    def work(session: Session) -> list[bool]:
        rows = [{"kind": each} for each in ("LAKE", None, "LAKE")]
        got = get_or_create_many(session, water, rows, key=("kind",))
        got += get_or_create_many(session, water, [{"kind": Kind.LAKE}], key=("kind",))
        return [new for _, new in got]

    assert door.do(work) == [True, True, False, False]


def test_keys_without_a_unique_index_are_compared_as_their_column_is(door_to: Doors) -> None:
    """Of rows with one key the last counts: also where the column's collation makes them one."""
    metadata = sa.MetaData()
    kind = sa.String(20, "NOCASE").with_variant(sa.String(20), *MARIADB).with_variant(sa.Text, "postgresql")
    note = sa.Table("note", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", kind))
    note.append_column(sa.Column("said", sa.Integer))
    door = door_to(metadata)

    def work(session: Session, given: list[dict[str, Any]], *, at_once: bool) -> list[Any]:
        session.execute(sa.insert(note), [{"name": "a", "said": 0}, {"name": "A", "said": 0}])
        for rows in [given] if at_once else [[row] for row in given]:
            bulk_update(session, note, rows, key=("name",))
        said = list(session.scalars(sa.select(note.c.said).order_by(note.c.id)))
        session.rollback()
        return said

    for names in (("a", "A"), ("A", "a"), ("A", "a", "A")):
        rows = [{"name": name, "said": number} for number, name in enumerate(names, 1)]
        at_once, in_turn = (
            door.do(lambda session, way=way, rows=rows: work(session, rows, at_once=way))
            for way in (True, False)
        )
        assert at_once == in_turn
