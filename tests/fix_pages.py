"""Columns of every type that a server can order, and walks through pages."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from fix_doors import Door
from penstock.query import paginate_keyset

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Water(enum.Enum):
    """A kind of water, in another order than that of the alphabet."""

    STREAM = "stream"
    POND = "pond"
    LAKE = "lake"


class Negated(sa.types.TypeDecorator[int]):
    """A number that is stored as its opposite: so Python's order is not the server's."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> Any:
        """What is stored."""
        return None if value is None else -value

    def process_result_value(self, value: Any, dialect: object) -> Any:
        """What is read."""
        return None if value is None else -value


class Hidden(sa.types.TypeDecorator[str]):
    """A text of which Python sees less than is stored, and which can't be compared in Python's way."""

    impl = sa.String(20)
    cache_ok = True

    class comparator_factory(sa.types.TypeDecorator.Comparator[str]):  # noqa: N801 (SQLAlchemy's name)
        """Compares nothing."""

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:
            """Refuse to."""
            if op in (sa.sql.operators.gt, sa.sql.operators.lt):
                raise AssertionError(op)
            return super().operate(op, *other, **kwargs)

    def process_result_value(self, value: Any, dialect: object) -> Any:
        """What is read."""
        return value and value[:1]


@dataclass(frozen=True)
class Kind:
    """A type of columns.

    Args:
        ddl: What the server calls it.
        declared: What it is to SQLAlchemy.
        values: Some of its values, as SQL has them; many are alike.
    """

    ddl: str
    declared: Any
    values: Sequence[str]


def texts(*values: str) -> list[str]:
    """Values as SQL's texts."""
    return ["'" + value.replace("'", "''") + "'" for value in values]


WORDS = texts("a", "A", "a ", "ä", "b", "B", "", "a!", "é", "e", "ab", "O'H", "ß", "ss", "Z", "0", "10", "9")
REALS = (
    "0.1",
    "0.10000001",
    "0.2",
    "0.3",
    "16777216",
    "16777217",
    "1234567.8",
    "1234567.9",
    "-0.0",
    "0",
    "1e-30",
)
DOUBLES = (
    "0.1",
    "0.30000000000000004",
    "0.3",
    "0.1e0",
    "1e300",
    "-1e-300",
    "0.0",
    "-0.0",
    "123456789.12345679",
)
NUMBERS = (
    "0.1",
    "0.10",
    "0.123456789012",
    "0.123456789013",
    "0.123456789014",
    "-7",
    "1e10",
    "1.005",
    "1.004",
)
INTS = ("0", "1", "-1", "2147483647", "-2147483648", "7", "42")
BIGS = ("0", "1", "9007199254740993", "9007199254740992", "9223372036854775807", "-9223372036854775808")
DAYS = texts("2020-01-01", "2020-01-02", "1970-01-01", "1000-01-01", "9999-12-31")
MOMENTS = texts(
    "2020-01-01 00:00:00", "2020-01-01 00:00:00.000001", "2020-01-01 00:00:00.9", "1971-12-31 23:59:59"
)
CLOCKS = texts("00:00:00", "23:59:59.999999", "12:00:00", "12:00:00.000001")
UUIDS = texts(
    "00000000-0000-0000-0000-000000000001",
    "10000000-0000-0000-0000-000000000000",
    "c1ac82fc-ecc3-11f1-b93a-02fc00000001",
    "c1ac82fc-ecc3-4cf1-893a-02fc00000001",
    "f1ac82fc-0cc3-4cf1-093a-02fc00000001",
)
WATERS = texts("STREAM", "POND", "LAKE")
JSONS = texts("{}", "[]", "1", "10", "9", '"a"', "null", '{"a": 1}', '{"a": 1.0}', "true")

POSTGRESQL = {
    "small": Kind("smallint", sa.SmallInteger(), INTS[:3]),
    "whole": Kind("integer", sa.Integer(), INTS),
    "big": Kind("bigint", sa.BigInteger(), BIGS),
    "wrong_whole": Kind("numeric", sa.Integer(), ("1", "2", "1.5", "1e20")),
    "real": Kind("real", sa.REAL(), (*REALS, "'NaN'", "'Infinity'")),
    "real_said_double": Kind("real", sa.Double(), REALS),
    "double": Kind("double precision", sa.Double(), (*DOUBLES, "'NaN'", "'-Infinity'")),
    "exact": Kind("numeric", sa.Numeric(), (*NUMBERS, "'NaN'", "1e50", "0.1000000000000000000000001")),
    "cents": Kind("numeric(10,2)", sa.Numeric(10, 2), ("0.10", "0.11", "1.00")),
    "as_float": Kind(
        "numeric(30,20)", sa.Numeric(30, 20, asdecimal=False), ("0.1", "0.10000000000000000001")
    ),
    "truth": Kind("boolean", sa.Boolean(), ("true", "false")),
    "water": Kind("water", sa.Enum(Water), WATERS),
    "water_text": Kind("varchar(10)", sa.Enum(Water, native_enum=False), WATERS),
    "day": Kind("date", sa.Date(), (*DAYS, *texts("infinity", "-infinity", "0044-03-15 BC", "12020-01-01"))),
    "clock": Kind("time", sa.Time(), (*CLOCKS, "'24:00:00'")),
    "zoned_clock": Kind(
        "timetz", sa.Time(timezone=True), texts("04:05:06-08", "12:05:06+00", "04:05:06.1+05:30")
    ),
    "moment": Kind("timestamp", sa.DateTime(), (*MOMENTS, *texts("infinity", "0044-03-15 12:00:00.5 BC"))),
    "zoned": Kind(
        "timestamptz",
        sa.DateTime(timezone=True),
        (
            *MOMENTS,
            *texts("2020-06-01 00:00:00+05:53:28", "2020-05-31 18:06:32Z", "-infinity", "20000-01-01"),
        ),
    ),
    "zoned_said_plain": Kind("timestamptz", sa.DateTime(), MOMENTS),
    "span": Kind("interval", sa.Interval(), texts("1 day", "24:00:00", "-1 day", "00:00:00.000001")),
    "months": Kind(
        "interval",
        postgresql.INTERVAL(),
        texts(
            "1 mon", "30 days", "29 days 24:00:00", "-1 mon +1 day", "1 year", "12 mons", "-1 day +00:00:01"
        ),
    ),
    "uuid": Kind("uuid", sa.Uuid(), UUIDS),
    "uuid_said_text": Kind("uuid", sa.Uuid(as_uuid=False), UUIDS),
    "blob": Kind("bytea", sa.LargeBinary(), texts(r"\x", r"\x00", r"\x00ff", r"\x01", r"\xff")),
    "word": Kind("text", sa.Text(), WORDS),
    "word_c": Kind('text COLLATE "C"', sa.String(), WORDS),
    "word_ci": Kind("text COLLATE nobody_cares", sa.String(), WORDS),
    "padded": Kind("char(5)", sa.CHAR(5), WORDS),
    "folded": Kind("citext", postgresql.CITEXT(), WORDS),
    "folded_said_text": Kind("citext", sa.Text(), WORDS),
    "address": Kind(
        "inet", postgresql.INET(), texts("10.0.0.1", "10.0.0.1/8", "9.0.0.1", "::1", "10.0.0.0/8")
    ),
    "net": Kind("cidr", postgresql.CIDR(), texts("10.0.0.0/8", "9.0.0.0/8", "10.0.0.0/16")),
    "card": Kind("macaddr", postgresql.MACADDR(), texts("08:00:2b:01:02:03", "08:00:2b:01:02:04")),
    "numbers": Kind(
        "integer[]", postgresql.ARRAY(sa.Integer()), texts("{}", "{1}", "{10}", "{9}", "{1,NULL}")
    ),
    "words": Kind("text[]", postgresql.ARRAY(sa.Text()), texts("{}", '{""}', "{a,b}", '{"a,b"}', "{NULL}")),
    "document": Kind("jsonb", postgresql.JSONB(), JSONS),
    "domain": Kind(
        "percentage", postgresql.DOMAIN("percentage", sa.Numeric()), ("0.1", "0.10", "99.999999999999")
    ),
    "bits": Kind("bit(4)", postgresql.BIT(4), ("B'0000'", "B'0001'", "B'1000'")),
    "range": Kind("int4range", postgresql.INT4RANGE(), texts("[1,5)", "[1,6)", "empty", "(,5)")),
    "negated": Kind("integer", Negated(), INTS[:-4]),
    "hidden": Kind("varchar(20)", Hidden(), WORDS),
}
MARIADB = {
    "whole": Kind("integer", sa.Integer(), INTS),
    "unsigned": Kind(
        "bigint unsigned", mysql.BIGINT(unsigned=True), ("0", "18446744073709551615", "9007199254740993")
    ),
    "real": Kind("float", sa.Float(), REALS),
    "real_said_float": Kind("float", mysql.FLOAT(), REALS),
    "double": Kind("double", sa.Double(), DOUBLES),
    "exact": Kind("decimal(30,15)", sa.Numeric(30, 15), NUMBERS),
    "fine": Kind(
        "decimal(38,30)", sa.Numeric(38, 30), ("0.000000000000000000000000000001", "1e-30", "2e-30", "0")
    ),
    "as_float": Kind(
        "decimal(30,20)", sa.Numeric(30, 20, asdecimal=False), ("0.1", "0.10000000000000000001")
    ),
    "truth": Kind("bool", sa.Boolean(), ("true", "false")),
    "water": Kind("enum('STREAM','POND','LAKE')", sa.Enum(Water), WATERS),
    "water_own": Kind("enum('STREAM','POND','LAKE')", mysql.ENUM("STREAM", "POND", "LAKE"), WATERS),
    "water_text": Kind("varchar(10)", sa.Enum(Water, native_enum=False), WATERS),
    "some": Kind("set('c','b','a')", mysql.SET("c", "b", "a"), texts("", "a", "b", "c", "a,b", "c,a")),
    "bits": Kind("bit(9)", mysql.BIT(9), ("b'0'", "b'1'", "b'100000000'", "b'11111111'")),
    "year": Kind("year", mysql.YEAR(), ("2020", "1999", "1901", "2155")),
    "day": Kind("date", sa.Date(), DAYS),
    "clock": Kind("time(6)", mysql.TIME(fsp=6), (*CLOCKS, *texts("-12:00:00.5", "838:59:59", "-00:00:01"))),
    "moment": Kind("datetime(6)", mysql.DATETIME(fsp=6), MOMENTS),
    "rough": Kind("datetime", sa.DateTime(), MOMENTS),
    "stamp": Kind("timestamp(6) NULL", mysql.TIMESTAMP(fsp=6), MOMENTS),
    "span": Kind("datetime(6)", sa.Interval(), MOMENTS),
    "uuid": Kind("uuid", sa.Uuid(), UUIDS),
    "uuid_text": Kind("char(32)", sa.Uuid(native_uuid=False), [each.replace("-", "") for each in UUIDS]),
    "blob": Kind("blob", sa.LargeBinary(), ("x''", "x'00'", "x'00ff'", "x'01'", "x'ff'")),
    "binary": Kind("binary(4)", sa.BINARY(4), ("x''", "x'00'", "x'00ff'", "x'61'")),
    "word": Kind("varchar(20)", sa.String(20), WORDS),
    "word_bin": Kind("varchar(20) COLLATE utf8mb4_bin", sa.String(20), WORDS),
    "word_nopad": Kind("varchar(20) COLLATE utf8mb4_nopad_bin", sa.String(20), WORDS),
    "word_german": Kind("varchar(20) COLLATE utf8mb4_german2_ci", sa.String(20), WORDS),
    "word_latin": Kind("varchar(20) CHARACTER SET latin1", sa.String(20), WORDS),
    "padded": Kind("char(5)", sa.CHAR(5), WORDS),
    "text": Kind("text", sa.Text(), WORDS),
    "document": Kind("json", sa.JSON(), JSONS),
    "negated": Kind("integer", Negated(), INTS[:-4]),
    "hidden": Kind("varchar(20)", Hidden(), WORDS),
}
STORED = ("0", "1", "1.5", "'1'", "'abc'", "''", "x''", "x'31'", "1e300", "-9223372036854775808", "9e999")
SQLITE = {
    "whole": Kind("INTEGER", sa.Integer(), (*INTS, *BIGS)),
    "real": Kind("REAL", sa.REAL(), (*DOUBLES, "9e999", "-9e999")),
    "single": Kind("FLOAT", sa.Float(), REALS),
    "exact": Kind("NUMERIC", sa.Numeric(), (*NUMBERS, "'0.1234567890123456789'", "9007199254740993")),
    "cents": Kind("NUMERIC(10, 2)", sa.Numeric(10, 2), ("1.001", "1.002", "1.003", "1.0", "1")),
    "mixed": Kind("", sa.Text(), STORED),
    "mixed_whole": Kind("INTEGER", sa.Integer(), STORED),
    "mixed_text": Kind("TEXT", sa.Text(), STORED),
    "mixed_number": Kind("NUMERIC", sa.Numeric(), STORED),
    "truth": Kind("BOOLEAN", sa.Boolean(), ("0", "1")),
    "water": Kind("VARCHAR(10)", sa.Enum(Water), WATERS),
    "day": Kind("DATE", sa.Date(), DAYS),
    "clock": Kind("TIME", sa.Time(), (*CLOCKS, "'12:00'")),
    "moment": Kind("DATETIME", sa.DateTime(), (*MOMENTS, "'2020-01-01T00:00:00+00:00'")),
    "span": Kind("DATETIME", sa.Interval(), MOMENTS),
    "uuid": Kind("CHAR(32)", sa.Uuid(), [each.replace("-", "") for each in UUIDS]),
    "blob": Kind("BLOB", sa.LargeBinary(), ("x''", "x'00'", "x'00ff'", "x'01'", "x'ff'", "'text'")),
    "word": Kind("TEXT", sa.Text(), WORDS),
    "word_ci": Kind("TEXT COLLATE NOCASE", sa.Text(), WORDS),
    "word_short": Kind("TEXT COLLATE RTRIM", sa.Text(), WORDS),
    "document": Kind("JSON", sa.JSON(), JSONS),
    "negated": Kind("INTEGER", Negated(), INTS[:-4]),
    "hidden": Kind("VARCHAR(20)", Hidden(), WORDS),
}
KINDS = {"postgresql": POSTGRESQL, "mariadb": MARIADB, "mysql": MARIADB, "sqlite": SQLITE}
BEFORE = {
    "postgresql": (
        "CREATE EXTENSION citext",
        "CREATE TYPE water AS ENUM ('STREAM', 'POND', 'LAKE')",
        "CREATE DOMAIN percentage AS numeric CHECK (VALUE < 100)",
        "CREATE COLLATION nobody_cares (provider = icu, locale = 'und-u-ks-level1', deterministic = false)",
    ),
}
"""What has to be there before the tables."""


@dataclass(frozen=True)
class Shelf:
    """A table with a column of every type that a server has.

    Args:
        door: The way to it.
        kinds: Its columns' types, by name.
        table: It; its key is a number.
    """

    door: Door
    kinds: dict[str, Kind]
    table: sa.Table

    def fill(self, session: Session, rows: Sequence[dict[str, Any]], *, anew: bool = True) -> None:
        """Store rows, whose values are as SQL has them."""
        run = session.connection().exec_driver_sql
        quoted = session.connection().dialect.identifier_preparer.quote
        if anew:
            run(f"DELETE FROM {self.table.name}")
        for row in rows:
            names = ", ".join(map(quoted, row))
            run(f"INSERT INTO {self.table.name} ({names}) VALUES ({', '.join(map(str, row.values()))})")


def shelf_of(door: Door, name: str = "shelf", *, not_null: bool = False) -> Shelf:
    """Make such a table behind a door."""
    kinds = KINDS[door.dialect.name]
    quoted = door.dialect.identifier_preparer.quote
    end = " NOT NULL" if not_null else ""
    columns = [
        f"{quoted(each)} {kind.ddl}{end if 'NULL' not in kind.ddl else ''}" for each, kind in kinds.items()
    ]

    def make(session: Session) -> None:
        run = session.connection().exec_driver_sql
        run(f"CREATE TABLE {name} (id integer PRIMARY KEY, {', '.join(columns)})")

    door.do(make)
    declared = (
        sa.Column(each, kind.declared, nullable=not not_null or "NULL" in kind.ddl)
        for each, kind in kinds.items()
    )
    table = sa.Table(name, sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *declared)
    return Shelf(door, kinds, table)


# --- walks ----------------------------------------------------------------------------------------


def walked(
    session: Session | sa.Connection,
    query: Any,
    order_by: Sequence[Any] = (),
    per_page: int = 2,
    most: int = 200,
) -> list[Any]:
    """All rows, page by page; and the same backwards, or the test fails."""
    pages = [paginate_keyset(session, query, order_by=order_by, per_page=per_page)]
    while (after := pages[-1].next_cursor) is not None:
        assert len(pages) < most, "there is no end"
        pages.append(paginate_keyset(session, query, order_by=order_by, per_page=per_page, after=after))
    back = pages[-1]
    for expected in reversed(pages[:-1]):
        assert back.prev_cursor is not None
        back = paginate_keyset(session, query, order_by=order_by, per_page=per_page, before=back.prev_cursor)
        assert list(back.items) == list(expected.items)
    assert back.prev_cursor is None
    return [item for page in pages for item in page.items]


def in_one_go(session: Session, table: sa.Table, order: Sequence[tuple[str, bool, bool | None]]) -> list[int]:
    """The keys of all rows as one SELECT sorts them, by columns that are descending, or have NULL first."""
    items: list[Any] = []
    for name, descending, nulls_first in order:
        first = descending if nulls_first is None else nulls_first
        column = sa.type_coerce(table.c[name], sa.types.NullType())
        items.append(sa.case((column.is_(None), 0 if first else 1), else_=1 if first else 0))
        items.append(column.desc() if descending else column)
    return list(session.scalars(sa.select(table.c.id).order_by(*items, table.c.id)))


def order_by(table: sa.Table, order: Sequence[tuple[str, bool, bool | None]]) -> list[Any]:
    """The same order as it is said to `paginate_keyset`."""
    made = []
    for name, descending, nulls_first in order:
        item: Any = sa.desc(table.c[name]) if descending else table.c[name]
        if nulls_first is not None:
            item = sa.nulls_first(item) if nulls_first else sa.nulls_last(item)
        made.append(item)
    return made
