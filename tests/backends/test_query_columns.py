"""The quick ways to read columns give what the long ones give."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import example, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Time,
    Uuid,
    create_engine,
    delete,
    event,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INET, REAL
from sqlalchemy.dialects.sqlite import DATE
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import StaticPool

from fix_tables import SAMPLES, TEXTS, Kind, Sample, in_order, numbered
from penstock.errors import NotSupported
from penstock.models import UTCDateTime
from penstock.query import bulk_insert, to_arrow, to_arrow_batches

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Engine


def by_rows(engine: Engine, statement: Any) -> pa.Table:
    """What is read where something of an app's sees the rows on their way."""

    def listen(state: ORMExecuteState) -> None: ...

    with Session(engine) as session:
        event.listen(session, "do_orm_execute", listen)
        return to_arrow(session, statement)


def in_batches(engine: Engine, statement: Any) -> pa.Table:
    with Session(engine) as session, to_arrow_batches(session, statement, batch_size=3) as reader:
        return reader.read_all()


def within(engine: Engine, statement: Any) -> pa.Table:
    with Session(engine) as session:
        return to_arrow(session, statement)


EXTREMES = [
    {
        "small": -(2**15), "big": -(2**63), "text": "", "real": 5e-324, "exact": Decimal("-99999999.999999"),
        "loose": Decimal("0.00000001"), "truth": False, "data": b"", "day": date.min,
        "moment": datetime(1, 1, 1),  # noqa: DTZ001
        "clock": datetime.min.time(), "span": timedelta(days=-10_000), "uuid": UUID(int=0),
    },
    {},
    {
        "small": 2**15 - 1, "big": 2**63 - 1, "text": "\U0010ffff" * 20, "real": -1.7976931348623157e308,
        "exact": Decimal("99999999.999999"), "truth": True, "data": b"\xff\0", "day": date.max,
        "moment": datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
         "clock": datetime.max.time(), "span": timedelta(days=10_000),
        "uuid": UUID(int=2**128 - 1), "kind": Kind.LAKE, "document": {"é": [None, 1.5, "\u2028"]},
    },
]  # fmt: skip
EXTREMES = [{**dict.fromkeys(Sample.__table__.columns.keys()[2:]), **row} for row in EXTREMES]


@settings(max_examples=15)
@given_by(rows=st.lists(SAMPLES, max_size=8))
@example(rows=EXTREMES)
def test_a_session_reads_the_same_by_every_way_as_an_engine(
    samples: Engine, rows: list[dict[str, Any]]
) -> None:
    with samples.begin() as connection:
        connection.execute(delete(Sample))
        bulk_insert(connection, Sample, numbered([{"kind": None, "document": None, **row} for row in rows]))
    beside = to_arrow(samples, in_order())
    assert within(samples, in_order()).equals(beside)
    assert in_batches(samples, in_order()).equals(beside)
    long = by_rows(samples, in_order())
    assert long.drop_columns("document").equals(beside.drop_columns("document"))
    assert [as_told(each) for each in long["document"]] == [as_told(each) for each in beside["document"]]


def as_told(document: Any) -> Any:
    """JSON without the ways to write it."""
    return document.as_py() and json.loads(document.as_py())


# --- arrays ---------------------------------------------------------------------------------------

ITEMS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "smalls": (SmallInteger, st.integers(-(2**15), 2**15 - 1)),
    "numbers": (Integer, st.integers(-(2**31), 2**31 - 1)),
    "bigs": (BigInteger, st.integers(-(2**63), 2**63 - 1)),
    "reals": (Double, st.floats(allow_nan=False)),
    "truths": (Boolean, st.booleans()),
    "words": (Text, TEXTS),
    "bytes": (LargeBinary, st.binary(max_size=9)),
    "days": (Date, st.dates()),
    "moments": (DateTime, st.datetimes()),
    "zoned": (
        DateTime(timezone=True),
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    "clocks": (Time, st.times()),
    "uuids": (Uuid, st.uuids()),
    "kinds": (Enum("stream", "lake", name="waters"), st.sampled_from(["stream", "lake"])),
    "exact": (Numeric(12, 3), st.decimals(-(10**8), 10**8, places=3)),
    "loose": (Numeric, st.decimals(-(10**4), 10**4, places=5)),
}
LISTS = st.fixed_dictionaries(
    {name: st.none() | st.lists(st.none() | item, max_size=4) for name, (_, item) in ITEMS.items()}
)
arrays = Table("arrays", MetaData(), *(Column(name, ARRAY(kind)) for name, (kind, _) in ITEMS.items()))


@settings(max_examples=20)
@given_by(rows=st.lists(LISTS, max_size=5))
@example(rows=[{name: [] for name in ITEMS}])
@example(rows=[dict.fromkeys(ITEMS), {name: [None] for name in ITEMS}])
def test_arrays_are_read_by_copy_as_by_rows(postgresql_samples: Engine, rows: list[dict[str, Any]]) -> None:
    arrays.metadata.create_all(postgresql_samples)
    with Session(postgresql_samples) as session:
        for row in rows:
            session.execute(insert(arrays), row)
        copied = to_arrow(session, select(arrays))
        with to_arrow_batches(session, select(arrays)) as reader:
            expected = reader.read_all()
    assert copied.schema.equals(expected.schema)
    assert copied.to_pylist() == expected.to_pylist()


def test_what_is_read_within_is_sent_by_copy_arrays_and_aware_moments_too(postgresql_samples: Engine) -> None:
    arrays.metadata.create_all(postgresql_samples)
    when = literal_column("timestamptz '2026-05-04 14:00+02'", UTCDateTime()).label("moment")
    real = literal_column("array[133962768::real]", ARRAY(REAL)).label("real")
    hosts = literal_column("array[inet '10.0.0.1', null]", ARRAY(INET)).label("hosts")
    with postgresql_samples.begin() as connection:
        connection.execute(insert(arrays), {"words": ["a"]})
        executed: list[str] = []
        event.listen(connection, "before_cursor_execute", lambda *given: executed.append(given[2]))
        table = to_arrow(connection, select(arrays.c.words, arrays.c.kinds, when, hosts, real))
    assert [statement.split(" (")[0] for statement in executed] == ["COPY"]
    assert table.to_pylist() == [
        {
            "words": ["a"],
            "kinds": None,
            "moment": datetime(2026, 5, 4, 12, tzinfo=UTC),
            "hosts": ["10.0.0.1/32", None],
            "real": [133962768.0],
        }
    ]


def test_an_array_of_more_dimensions_than_declared_is_refused_and_one_so_declared_is_read(
    postgresql_samples: Engine,
) -> None:
    grid = "array[[1, 2], [3, 4]]"
    with postgresql_samples.connect() as connection:
        with pytest.raises(NotSupported, match="'grid' of the table"):
            to_arrow(connection, select(literal_column(grid, ARRAY(Integer)).label("grid")))
        declared = select(literal_column(grid, ARRAY(Integer, dimensions=2)).label("grid"))
        assert to_arrow(connection, declared).to_pylist() == [{"grid": [[1, 2], [3, 4]]}]


# --- what is declared of a text ------------------------------------------------------------------


def test_columns_of_a_text_are_found_by_their_names(samples: Engine) -> None:
    swapped = text("SELECT 1 AS b, 'x' AS a").columns(a=Text, b=Integer)
    ordered = text("SELECT 1, 'x'").columns(Column("one", Integer), Column("two", Text))
    with samples.connect() as connection:
        for source in (samples, connection):
            assert to_arrow(source, swapped).to_pylist() == [{"a": "x", "b": 1}]
            assert to_arrow(source, ordered).to_pylist() == [{"one": 1, "two": "x"}]


# --- what SQLite may hold ------------------------------------------------------------------------

NEARLY = st.one_of(
    st.datetimes().map(str),
    st.dates().map(str),
    st.times().map(str),
    st.uuids().map(lambda key: key.hex),
    st.uuids().map(str),
    st.text("0123456789-:. TZ+", max_size=20),
    st.sampled_from(["0000-01-01", "24:00:00", "2026-02-30", "1e3", "null", '{"a": 1e400}', "NaN", "a"]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.binary(max_size=3),
    st.none(),
)
KINDS = [
    BigInteger(), Boolean(), Date(), DateTime(), Double(), Enum(Kind), Interval(), LargeBinary(), Numeric(),
    Numeric(20, 4), Numeric(20, 4, asdecimal=False), Numeric(20, 4, decimal_return_scale=6), Text(), Time(),
    Uuid(), Uuid(as_uuid=False), UTCDateTime(),
    DATE(storage_format="%(day)d-%(month)d-%(year)d", regexp=r"(?P<day>\d+)-(?P<month>\d+)-(?P<year>\d+)"),
]  # fmt: skip


def outcome(read: Any, engine: Engine, statement: Any) -> Any:
    """What is read, NaN as a word; or that it can't be."""
    try:
        table = read(engine, statement)
    except Exception:
        return "refused"
    return str(table.schema), repr(table.to_pylist())


@settings(max_examples=150)
@given_by(kind=st.sampled_from(KINDS), values=st.lists(NEARLY, max_size=3))
def test_whatever_sqlite_holds_the_quick_way_reads_it_as_the_long_one(kind: Any, values: list[Any]) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (value)")
        for value in values:
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (value,))
    statement = select(Table("t", MetaData(), Column("value", kind)))
    assert outcome(within, engine, statement) == outcome(by_rows, engine, statement)
    engine.dispose()


def test_a_number_with_a_fraction_is_no_whole_number() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    half = select(literal_column("1.5", Integer).label("half"))
    with pytest.raises(NotSupported, match="'half' of the table"):
        to_arrow(engine, half)
    whole = select(literal_column("2.0", Integer).label("whole"))
    assert to_arrow(engine, whole).to_pylist() == [{"whole": 2}]
    engine.dispose()


def test_batches_are_read_in_bounded_memory(samples: Engine) -> None:
    bulk_insert(samples, Sample, ((n, "x" * 1000) for n in range(20_000)), columns=("number", "text"))
    assert to_arrow(samples, select(Sample.number).limit(1)).num_rows == 1  # What is imported is no batch.
    tracemalloc.start()
    try:
        with to_arrow_batches(samples, select(Sample.number, Sample.text), batch_size=200) as reader:
            assert sum(batch.num_rows for batch in reader) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
