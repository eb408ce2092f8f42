"""Two keys are the same if the server says so, which takes rows one by one."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import CompileError, DBAPIError, IntegrityError, MultipleResultsFound

from fix_tables import MARIADB, Shouted
from penstock.errors import RowRefused
from penstock.query import bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors

Row = dict[str, Any]
Rows = list[Row]


EXAMPLES = int(os.environ.get("PENSTOCK_EXAMPLES", "12"))


class Kind(enum.Enum):
    STREAM = "a stream"
    LAKE = "a lake"


ROME, EAST = ZoneInfo("Europe/Rome"), timezone(timedelta(hours=2))
WORDS = ["a", "A", "a ", "á", "b", "ab", "ab  ", "", " "]
MOMENTS = [datetime(2026, 5, 4, 3, 2, 1, each) for each in (0, 4, 400_000, 600_000, 999_999)]  # noqa: DTZ001
SPANS = [timedelta(seconds=each) for each in (1, 1.2, 1.6, 2, 0.9999999)]
FLOATS = [0.1, 0.1 + 1e-10, 0.3, 0.1 + 0.2, 16_777_216.0, 16_777_217.0, 2.0]
EXACTS = [Decimal(each) for each in ("1.005", "1.01", "1.0", "1", "1.004", "0.999", "99999999.99", "1e9")]
WHOLE = UUID("00000000-0000-4000-8000-00000000000a")
KEYS: dict[str, tuple[Any, list[Any]]] = {
    "whole": (sa.Integer, [1, 2, 3]),
    "real": (sa.REAL().with_variant(mysql.FLOAT(), *MARIADB), FLOATS),
    "double": (sa.Double, FLOATS),
    "exact": (sa.Numeric(10, 2), [*EXACTS, 1.0, 1]),
    "moment": (sa.DateTime, MOMENTS),
    "second": (
        postgresql.TIMESTAMP(precision=0).with_variant(mysql.DATETIME(fsp=3), *MARIADB),
        [*MOMENTS, datetime(2026, 5, 4, 3, 2, 2)],  # noqa: DTZ001
    ),
    "clock": (sa.Time, [each.time() for each in MOMENTS]),
    "tenth": (postgresql.TIME(precision=1), [each.time() for each in MOMENTS]),
    "zoned": (
        sa.DateTime(timezone=True),
        [datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ROME) for fold in (0, 1)]
        + [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 2, 30, tzinfo=EAST)],
    ),
    "span": (sa.Interval(second_precision=6), SPANS),
    "short_span": (postgresql.INTERVAL(precision=0), SPANS),
    "text": (sa.String(20), WORDS),
    "short": (sa.String(2), [*WORDS, "a   ", "abc"]),
    "fixed": (sa.CHAR(4), [*WORDS, "a      ", "abcde"]),
    "shouted": (Shouted, WORDS),
    "kind": (sa.Enum(Kind, name="water"), [*Kind, "LAKE"]),
    "truth": (sa.Boolean, [True, False]),
    "day": (sa.Date, [date(2026, 5, 4), date(2026, 5, 5)]),
    "data": (sa.LargeBinary(20).with_variant(mysql.VARBINARY(20), *MARIADB), [b"", b"a", b"a\0", b"A"]),
    "padded": (mysql.BINARY(4), [b"a", b"a\0", b"A"]),
    "uuid": (sa.Uuid, [WHOLE, UUID(int=1)]),
    "uuid_text": (sa.Uuid(as_uuid=False), [str(WHOLE), str(WHOLE).upper(), str(UUID(int=1))]),
    "folded": (sa.String(20, collation="folded"), WORDS),
    "unaccented": (sa.String(20).with_variant(sa.String(20, "utf8mb4_general_ci"), *MARIADB), WORDS),
    "unpadded": (sa.String(20).with_variant(sa.String(20, "utf8mb4_nopad_bin"), *MARIADB), WORDS),
    "nocase": (sa.String(20).with_variant(sa.String(20, "NOCASE"), "sqlite"), WORDS),
    "trimmed": (sa.String(20).with_variant(sa.String(20, "RTRIM"), "sqlite"), WORDS),
    "address": (postgresql.INET, ["10.0.0.1", "10.0.0.1/32", "::1", "0:0::1", "10.0.0.2"]),
    "network": (postgresql.CIDR, ["10.0.0.0/8", "10/8", "10.0.0.0/9"]),
    "card": (postgresql.MACADDR, ["08:00:2b:01:02:03", "08-00-2B-01-02-03", "08:00:2b:01:02:04"]),
    "small": (
        postgresql.DOMAIN("small_number", sa.Numeric(4, 1)),
        [Decimal("1.04"), Decimal("1"), Decimal("1.06"), Decimal("1.1")],
    ),
    "binary_json": (
        postgresql.JSONB(none_as_null=True),
        [{"a": 1}, {"a": 1.0}, {"b": [1, 2], "a": 1}, {"a": 1, "b": [1, 2]}],
    ),
    "exacts": (postgresql.ARRAY(sa.Numeric(4, 1)), [[Decimal("1.04")], [Decimal("1")], []]),
    "bits": (postgresql.BIT(4), ["1010", "0101"]),
    "citext": (postgresql.CITEXT, WORDS),
}
"""Types of keys, with values that servers may take for the same."""

ONLY = {"padded": "mariadb", "folded": "postgresql", "binary_json": "postgresql"}

if sa.__version__ < "2.1":  # Until then it took no text for a BIT through asyncpg.
    del KEYS["bits"]


def is_held(dialect: sa.Dialect, name: str) -> bool:
    """Whether a dialect has such columns."""
    kind = sa.types.to_instance(KEYS[name][0])
    home = type(kind).__module__
    if ".dialects." in home and f".dialects.{dialect.name}." not in home:
        return bool(kind.dialect_impl(dialect) is not kind and kind._variant_mapping.get(dialect.name))
    if name in ONLY and ONLY[name] != dialect.name:
        return False
    try:
        kind.compile(dialect=dialect)
    except CompileError:
        return False
    return True


class Lab:
    """A store with a table for every type of key that its server has."""

    def __init__(self, door: Door, tables: dict[str, sa.Table]) -> None:
        self.door = door
        self.tables = tables

    def __repr__(self) -> str:
        return f"Lab({self.door.dialect.driver})"


@pytest.fixture
def lab(door_to: Doors) -> Lab:
    metadata = sa.MetaData()
    tables: dict[str, sa.Table] = {}

    def make(connection: sa.Connection, first_time: bool) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(
                "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
            )
            connection.exec_driver_sql("CREATE EXTENSION citext")
        for name, (kind, _) in KEYS.items():
            if is_held(connection.dialect, name):
                tables[name] = table_of(metadata, name, kind)
        metadata.create_all(connection)

    return Lab(door_to(sa.MetaData(), make), tables)


def table_of(metadata: sa.MetaData, name: str, kind: Any) -> sa.Table:
    """A table with such a key, and with one of two columns."""
    return sa.Table(
        f"keys_{name}",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("one", kind, unique=True),
        sa.Column("two", kind),
        sa.Column("more", sa.Integer),
        sa.Column("said", sa.Integer),
        sa.UniqueConstraint("two", "more"),
    )


# --- one by one -----------------------------------------------------------------------------------


class OneByOne:
    """What a loop over the rows does, with nothing but INSERT: the server says what is the same."""

    def __init__(self, session: Session, table: sa.Table) -> None:
        self._session = session
        self._table = table

    def there(self, row: Row) -> int | None:
        """What the row says that is in the way; None if the row can be inserted."""
        if self._goes(row):
            return None
        for said in self._session.scalars(sa.select(self._table.c.said)).all():
            with self._undone():
                self._session.execute(sa.delete(self._table).where(self._table.c.said != said))
                if not self._goes(row):
                    return int(said)
        raise AssertionError("It is refused, but no row is in the way.")

    def last_of_each(self, rows: Rows) -> Rows:
        """The rows that have no later one with the same key."""
        kept: Rows = []
        with self._undone():
            self._session.execute(sa.delete(self._table))
            for row in reversed(rows):
                if self._goes(row):
                    self.insert(row)
                    kept.append(row)
        return kept[::-1]

    def insert(self, row: Row) -> None:
        self._session.execute(sa.insert(self._table), row)

    def update(self, said: int, row: Row) -> None:
        self._session.execute(
            sa.update(self._table).where(self._table.c.said == said).values(said=row["said"])
        )

    def _goes(self, row: Row) -> bool:
        attempt = self._session.begin_nested()
        try:
            self.insert(row)
        except IntegrityError:
            return False
        finally:
            attempt.rollback()
        return True

    def _undone(self) -> Undone:
        return Undone(self._session)


class Undone:
    """A block of which nothing stays."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> None:
        self._attempt = self._session.begin_nested()

    def __exit__(self, *_: object) -> None:
        self._attempt.rollback()


Result = tuple[Any, ...]
Way = Callable[["Session", sa.Table, Rows, tuple[str, ...]], Result]


def skipped_one_by_one(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    loop, inserted = OneByOne(session, table), 0
    for row in rows:
        if loop.there(row) is None:
            loop.insert(row)
            inserted += 1
    return inserted, 0, len(rows) - inserted


def upserted_one_by_one(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    loop, inserted, updated = OneByOne(session, table), 0, 0
    for row in loop.last_of_each(rows):
        there = loop.there(row)
        if there is None:
            loop.insert(row)
            inserted += 1
        else:
            loop.update(there, row)
            updated += 1
    return inserted, updated, len(rows) - inserted - updated


def updated_one_by_one(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    loop, updated = OneByOne(session, table), 0
    for row in loop.last_of_each(rows):
        there = loop.there(row)
        if there is not None:
            loop.update(there, row)
            updated += 1
    return 0, updated, len(rows) - updated


def got_one_by_one(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    loop, results = OneByOne(session, table), []
    for row in rows:
        there = loop.there(row) if None not in (row[name] for name in key) else null(session, table, row, key)
        if there is None:
            loop.insert(row)
        results.append((row["said"] if there is None else there, there is None))
    return tuple(results)


def null(session: Session, table: sa.Table, row: Row, key: tuple[str, ...]) -> int | None:
    """What a row says in whose key NULL is where it is in this one; the others are numbers."""
    same = (table.c[name] == row[name] for name in key)
    return session.scalars(sa.select(table.c.said).where(*same)).one_or_none()


# --- all at once ----------------------------------------------------------------------------------


def skipped(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    done = bulk_insert(session, table, rows, on_conflict="nothing", key=key)
    return done.inserted, done.updated, done.skipped


def upserted(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    done = upsert(session, table, rows, key=key)
    return done.inserted, done.updated, done.skipped


def updated(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    done = bulk_update(session, table, rows, key=key)
    return done.inserted, done.updated, done.skipped


def got_singly(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    got = (
        get_or_create(session, table, {name: row[name] for name in key}, {"said": row["said"]})
        for row in rows
    )
    return tuple((row.said, new) for row, new in got)


def got(session: Session, table: sa.Table, rows: Rows, key: tuple[str, ...]) -> Result:
    return tuple((row.said, new) for row, new in get_or_create_many(session, table, rows, key=key))


WAYS: dict[str, tuple[Way, Way]] = {
    "nothing": (skipped, skipped_one_by_one),
    "upsert": (upserted, upserted_one_by_one),
    "bulk_update": (updated, updated_one_by_one),
    "get_or_create": (got_singly, got_one_by_one),
    "get_or_create_many": (got, got_one_by_one),
}

REFUSED = "refused"


def outcome(session: Session, table: sa.Table, way: Way, old: Rows, rows: Rows, key: tuple[str, ...]) -> Any:
    """What a way returns, and what is in the table then; nothing of it stays."""
    try:
        for row in old:
            if OneByOne(session, table).there(row) is None:
                session.execute(sa.insert(table), row)
        result: Any = way(session, table, rows, key)
        said = sa.cast(table.c[key[0]], sa.Text) if readable(table.c[key[0]]) else table.c[key[0]]
        return result, session.execute(
            sa.select(said, table.c.more, table.c.said).order_by(table.c.said)
        ).all()
    except (DBAPIError, MultipleResultsFound, RowRefused):
        return REFUSED
    finally:
        session.rollback()


def readable(column: sa.Column[Any]) -> bool:
    return not isinstance(column.type, sa.LargeBinary | postgresql.DOMAIN | mysql.BINARY)


def rows_of(drawn: list[tuple[Any, ...]], key: tuple[str, ...], first: int) -> Rows:
    return [
        {**dict(zip(key, each, strict=False)), "said": number} for number, each in enumerate(drawn, first)
    ]


@pytest.mark.filterwarnings("ignore:.*named_types.DOMAIN:sqlalchemy.exc.SADeprecationWarning")
@settings(max_examples=EXAMPLES, phases=[Phase.generate])
@given_by(data=st.data())
def test_rows_are_the_same_where_the_server_says_so(lab: Lab, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(lab.tables)))
    way = data.draw(st.sampled_from(sorted(WAYS)))
    key = data.draw(st.sampled_from([("one",), ("two", "more")]))
    values = st.none() | st.sampled_from(KEYS[name][1])
    whole = st.integers(1, 2) if way.startswith("get") else st.none() | st.integers(1, 2)
    drawn = st.lists(st.tuples(values, whole), max_size=5)
    old, rows = rows_of(data.draw(drawn), key, 1), rows_of(data.draw(drawn), key, 101)
    table = lab.tables[name]
    ours, theirs = (
        lab.door.do(lambda session, one=one: outcome(session, table, one, old, rows, key))
        for one in WAYS[way]
    )
    assert ours == theirs


@pytest.mark.filterwarnings("ignore:.*named_types.DOMAIN:sqlalchemy.exc.SADeprecationWarning")
def test_one_connection_compares_keys_of_one_table_after_the_other(lab: Lab) -> None:
    def work(session: Session) -> None:
        for _ in range(7):  # Drivers prepare what they have been given a few times.
            for name, table in lab.tables.items():
                rows = [{"one": KEYS[name][1][0], "said": 1}, {"one": KEYS[name][1][0], "said": 2}]
                assert outcome(session, table, got, [], rows, ("one",)) != REFUSED, name
                assert outcome(session, table, upserted, [], rows, ("one",)) != REFUSED, name

    lab.door.do(work)


@pytest.mark.parametrize("key", [("one",), ("two", "more")])
@pytest.mark.parametrize("way", WAYS)
def test_keys_of_other_types_than_the_first_are_sent_as_what_their_column_is(
    lab: Lab, way: str, key: tuple[str, ...]
) -> None:
    table = lab.tables["exact"]
    given: list[list[tuple[Any, int]]] = [[(1, 1)], [(7, 1), (Decimal("1.5"), 1)], [(Decimal("1.5"), 1)]]
    for drawn in given:  # What a statement is compiled for may be used for another.
        old, rows = rows_of([(Decimal("1.5"), 1), (2, 1)], key, 1), rows_of(drawn, key, 101)
        ours, theirs = (
            lab.door.do(
                lambda session, one=one, old=old, rows=rows: outcome(session, table, one, old, rows, key)
            )
            for one in WAYS[way]
        )
        assert ours == theirs != REFUSED


@pytest.mark.parametrize("way", WAYS)
def test_a_row_that_is_there_keeps_its_key_to_the_last_bit(lab: Lab, way: str) -> None:
    """16,777,217 is stored as 16,777,216, which servers show as 16,777,200."""
    table = lab.tables["real"]

    def work(session: Session) -> list[Any]:
        session.execute(sa.insert(table), {"one": 16777217.0, "said": 1})
        stored = sa.select(sa.cast(table.c.one, sa.Double)).order_by(table.c.one)
        was = session.scalars(stored).all()
        WAYS[way][0](session, table, rows_of([(16777217.0,), (None,)], ("one",), 101), ("one",))
        now = session.scalars(stored.where(table.c.one.is_not(None))).all()
        session.rollback()
        return [was, now]

    was, now = lab.door.do(work)
    assert was == now


def test_a_row_that_is_read_as_another_key_is_not_taken_for_it(lab: Lab) -> None:
    """A row stored as "A" is read as "a"; where the server tells the two apart, it is only found as "A"."""
    table = lab.tables["uuid_text"]
    upper, lower = str(WHOLE).upper(), str(WHOLE)
    old = [{"one": upper, "said": 1}]
    rows = [{"one": lower, "said": 101}, {"one": upper, "said": 102}]
    ours, theirs = (
        lab.door.do(lambda session, one=one: outcome(session, table, one, old, rows, ("one",)))
        for one in WAYS["get_or_create_many"]
    )
    assert ours == theirs != REFUSED
