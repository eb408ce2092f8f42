"""Columns of Arrow are stored as the same values given as rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import assume, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    REAL,
    BigInteger,
    Column,
    Double,
    Integer,
    Interval,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    delete,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from fix_tables import TEXTS, Sample, Shouted, TableBase
from penstock.errors import PenstockError
from penstock.query import bulk_insert
from penstock.query.incoming import frame_of
from penstock.query.target import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors

POSTGRESQL = ["postgresql", "psycopg-async", "asyncpg-async"]

LISTS = partial(st.lists, max_size=3)
FLOATS = st.floats()
WHOLE = {bits: st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
MOMENTS = st.datetimes()
ZONED = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001
SECONDS = MOMENTS.map(lambda moment: moment.replace(microsecond=0))
BY_NANOSECONDS = st.integers(-(2**62), 2**62)
SPANS = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))
DECIMALS = st.decimals(-(10**8), 10**8, places=6)
JSONS = st.fixed_dictionaries({"a": st.none() | WHOLE[32], "b": LISTS(TEXTS)})

BY_FRAMES = ("in uuid", "in decimal", "in json", "uuid", "timestamp ns", "timestamp ns in Berlin")
"""The ends of the names of those of which only a frame makes what the column takes."""

ZONE, UUIDS = "Europe/Berlin", st.uuids().map(lambda value: value.bytes)
CASES: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    **{f"int{bits} in int2": ("small", getattr(pa, f"int{bits}")(), WHOLE[bits]) for bits in (8, 16, 32, 64)},
    "uint16 in int2": ("small", pa.uint16(), st.integers(0, 2**16 - 1)),
    "uint64 in int8": ("big", pa.uint64(), st.integers(0, 2**64 - 1)),
    "int32 in int8": ("big", pa.int32(), WHOLE[32]),
    "int64 in int8": ("big", pa.int64(), WHOLE[64]),
    "double in int8": ("big", pa.float64(), FLOATS | WHOLE[64].map(float)),
    "double in int2": ("small", pa.float64(), WHOLE[16].map(float) | st.just(0.5)),
    "decimal in int8": ("big", pa.decimal128(20, 6), DECIMALS | st.just(Decimal(7))),
    "bool in int2": ("small", pa.bool_(), st.booleans()),
    "text in int8": ("big", pa.string(), TEXTS),
    "null in int8": ("big", pa.null(), st.none()),
    "double": ("real", pa.float64(), FLOATS),
    "float": ("real", pa.float32(), st.floats(width=32)),
    "half": ("real", pa.float16(), st.floats(width=16)),
    "int64 in double": ("real", pa.int64(), WHOLE[64]),
    "decimal in double": ("real", pa.decimal128(20, 6), DECIMALS),
    "string": ("text", pa.string(), TEXTS | st.just("\0")),
    "large_string": ("text", pa.large_string(), TEXTS),
    "string_view": ("text", pa.string_view(), TEXTS),
    "binary in text": ("text", pa.binary(), st.binary(max_size=3)),
    "int64 in text": ("text", pa.int64(), WHOLE[64]),
    "binary": ("data", pa.binary(), st.binary(max_size=20)),
    "large_binary": ("data", pa.large_binary(), st.binary(max_size=20)),
    "binary_view": ("data", pa.binary_view(), st.binary(max_size=20)),
    "fixed binary": ("data", pa.binary(3), st.binary(min_size=3, max_size=3)),
    "string in binary": ("data", pa.string(), TEXTS),
    "bool": ("truth", pa.bool_(), st.booleans()),
    "int8 in bool": ("truth", pa.int8(), st.integers(0, 2)),
    "date32": ("day", pa.date32(), st.dates()),
    "date64": ("day", pa.date64(), st.dates()),
    "timestamp in date": ("day", pa.timestamp("us"), MOMENTS),
    **{f"timestamp {u}": ("moment", pa.timestamp(u), SECONDS if u == "s" else MOMENTS) for u in ("s", "us")},
    "timestamp ns": ("moment", pa.timestamp("ns"), BY_NANOSECONDS),
    "timestamp with zone": ("zoned", pa.timestamp("us", "UTC"), ZONED),
    "timestamp in Berlin": ("zoned", pa.timestamp("us", ZONE), ZONED),
    "timestamp ns in Berlin": ("zoned", pa.timestamp("ns", ZONE), BY_NANOSECONDS),
    "timestamp with zone in one without": ("moment", pa.timestamp("us", "UTC"), ZONED),
    "timestamp without zone in one with": ("zoned", pa.timestamp("us"), MOMENTS),
    "date in timestamp": ("moment", pa.date32(), st.dates()),
    "time64": ("clock", pa.time64("us"), st.times()),
    "time64 ns": ("clock", pa.time64("ns"), st.times()),
    "time32": ("clock", pa.time32("s"), st.times().map(lambda value: value.replace(microsecond=0))),
    "duration": ("span", pa.duration("us"), SPANS),
    "duration ns": ("span", pa.duration("ns"), SPANS),
    "decimal": ("exact", pa.decimal128(20, 6), DECIMALS),
    "decimal256": ("exact", pa.decimal256(50, 6), DECIMALS),
    "decimal, loose": ("loose", pa.decimal128(20, 6), st.decimals(-(10**4), 10**4, places=6)),
    "int64 in decimal": ("loose", pa.int64(), WHOLE[16]),
    "double in decimal": ("exact", pa.float64(), FLOATS),
    "string in decimal": ("loose", pa.string(), st.just("1.25") | st.just("secret")),
    "uuid": ("uuid", pa.uuid(), UUIDS),
    "fixed binary in uuid": ("uuid", pa.binary(16), UUIDS),
    "string in uuid": ("uuid", pa.string(), st.uuids().map(str) | st.just("secret")),
    "enum": ("kind", pa.string(), st.sampled_from(["LAKE", "STREAM"])),
    "struct": ("document", pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]), JSONS),
    "list in json": ("document", pa.list_(pa.int64()), LISTS(WHOLE[64])),
    "string in json": ("document", pa.string(), st.sampled_from(['{"a": 1.50}', "null", "{secret"])),
}  # fmt: skip

LISTED = MetaData()
arrays = Table(
    "lists",
    LISTED,
    Column("number", Integer, primary_key=True),
    Column("real", REAL),
    Column("word", String(5)),
    Column("loud", Shouted),
    Column("short", SmallInteger),
    Column("span", Interval),
    Column("digits", Numeric),
    Column("floating", Numeric(asdecimal=False)),
    Column("whole", ARRAY(BigInteger)),
    Column("parts", ARRAY(Double)),
    Column("words", ARRAY(Text)),
    Column("document", JSONB(none_as_null=True)),
)
MORE: dict[str, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    "double in real": ("real", pa.float64(), FLOATS),
    "float in real": ("real", pa.float32(), st.floats(width=32)),
    "int64 in real": ("real", pa.int64(), WHOLE[64]),
    "string in varchar": ("word", pa.string(), TEXTS),
    "string in a type of the app's": ("loud", pa.string(), TEXTS),
    "duration, long": ("span", pa.duration("s"), st.integers(-(2**40), 2**40)),
    "decimal": ("digits", pa.decimal128(38, 10), st.decimals(-(10**8), 10**8, places=10)),
    "decimal32": ("digits", pa.decimal32(5, 2), st.decimals(-99, 99, places=2)),
    "decimal256": ("digits", pa.decimal256(60, 2), st.decimals(-(10**40), 10**40, places=2)),
    "decimal of tens": ("digits", pa.decimal128(5, -2), st.just(Decimal(300))),
    "double in digits": ("digits", pa.float64(), FLOATS),
    "uint64 in digits": ("digits", pa.uint64(), st.integers(0, 2**64 - 1)),
    "double in floating": ("floating", pa.float64(), FLOATS),
    "list of int64": ("whole", pa.list_(pa.int64()), LISTS(st.none() | WHOLE[64])),
    "list of int8": ("whole", pa.list_(pa.int8()), LISTS(WHOLE[8])),
    "list of uint64": ("whole", pa.list_(pa.uint64()), LISTS(st.integers(0, 2**64 - 1))),
    "large list of double": ("parts", pa.large_list(pa.float64()), LISTS(st.none() | FLOATS)),
    "list of string": ("words", pa.list_(pa.string()), LISTS(st.none() | TEXTS)),
    "list of string_view": ("words", pa.list_(pa.string_view()), LISTS(TEXTS)),
    "list of lists": ("whole", pa.list_(pa.list_(pa.int64())), st.just([[1, 2], [3, 4]])),
    "fixed list": ("whole", pa.list_(pa.int64(), 2), LISTS(WHOLE[64], min_size=2).map(lambda v: v[:2])),
    "struct": ("document", pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))]), JSONS),
}


WAYS = st.fixed_dictionaries(
    {"cut": st.integers(0, 2), "chunk": st.integers(1, 3), "encoded": st.booleans(), "nan": st.booleans()}
)


def table_of(column: str, kind: pa.DataType, values: list[Any], way: dict[str, Any]) -> pa.Table:
    """A table whose arrays are cut out of longer ones, and may be of categories."""
    more = [*values[: way["cut"]], *values]
    of_uuids = kind == pa.uuid()
    array = pa.array(more, pa.binary(16) if of_uuids else kind)
    if of_uuids:
        array = pa.ExtensionArray.from_storage(pa.uuid(), array)
    elif way["encoded"] and not (pa.types.is_nested(kind) or pa.types.is_null(kind) or "view" in str(kind)):
        array = array.dictionary_encode()
    numbers = pa.array(range(len(more)), pa.int64())
    table = pa.table({"number": numbers, column: array}).slice(len(more) - len(values))
    return pa.Table.from_batches(table.to_batches(max_chunksize=way["chunk"]), table.schema)


def outcome(session: Session, target: Any, rows: Any, column: str, **how: Any) -> Any:
    """What a server says of a column that was stored, or why it was refused."""
    table = target if isinstance(target, Table) else target.__table__
    session.execute(delete(table))
    try:
        bulk_insert(session, target, rows, **how)
    except PenstockError as error:
        return str(error)
    known = table.columns[column]
    said = known.cast(Text) if session.connection().dialect.name == "postgresql" else known
    return repr(session.execute(select(said).order_by(*table.primary_key)).scalars().all())


def check(door: Door, target: Any, cases: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(cases)))
    column, kind, strategy = cases[name]
    values, way = data.draw(st.lists(st.none() | strategy, max_size=5)), data.draw(WAYS)
    try:
        frame = table_of(column, kind, values, way)
    except pa.ArrowException:  # It is no value of this type.
        assume(False)
    nan = "null" if way["nan"] else "keep"

    def outcomes(session: Session) -> list[Any]:
        names, rows = tuple(frame.column_names), taken_apart(frame, target)
        given: list[tuple[Any, dict[str, Any]]] = [(frame, {}), (rows, {"columns": names})]
        if not name.endswith(BY_FRAMES):
            given.append((frame.to_pylist(), {}))
        return [outcome(session, target, each, column, nan=nan, **how) for each, how in given]

    found = door.do(outcomes)
    assert len(set(found)) == 1, (name, frame.column(1), found)


def taken_apart(frame: pa.Table, target: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of a table, as servers get them that take no columns."""
    known = frame_of(frame, target_of(target))
    assert known is not None
    return known.rows()


def test_columns_are_stored_as_the_same_rows_are(door_to: Doors) -> None:
    door = door_to(TableBase.metadata)

    @settings(max_examples=100)
    @given_by(data=st.data())
    def every_type(data: st.DataObject) -> None:
        check(door, Sample, CASES, data)

    every_type()


@pytest.mark.parametrize("door_to", POSTGRESQL, indirect=True)
def test_columns_of_more_types_of_postgresql_are_stored_as_the_same_rows_are(door_to: Doors) -> None:
    door = door_to(LISTED)

    @settings(max_examples=100)
    @given_by(data=st.data())
    def every_type(data: st.DataObject) -> None:
        check(door, arrays, MORE, data)

    every_type()
