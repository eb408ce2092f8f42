"""The rows of a SELECT are read into tables, as what SQLAlchemy reads."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    cast,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal,
    literal_column,
    select,
    text,
    type_coerce,
    union_all,
)
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import ORMExecuteState, Session, aliased, with_loader_criteria
from sqlalchemy.types import TypeDecorator

from fix_apps import Gage
from fix_tables import SAMPLES, Kind, Sample, as_kept, as_read, in_order, numbered
from penstock.errors import NotSupported
from penstock.query import bulk_insert, to_arrow, to_arrow_batches, to_pandas, to_polars

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from penstock import App, Stores


@settings(max_examples=30)
@given_by(rows=st.lists(SAMPLES, max_size=4))
def test_what_is_read_is_what_sqlalchemy_reads(samples: Engine, rows: list[dict[str, Any]]) -> None:
    with samples.begin() as connection:
        connection.execute(delete(Sample))
        bulk_insert(connection, Sample, numbered(rows))
        within = to_arrow(connection, in_order())
        expected = as_read(connection)
    beside = to_arrow(samples, in_order())
    assert list(map(as_kept, beside.to_pylist())) == expected
    assert list(map(as_kept, within.to_pylist())) == expected
    assert beside.schema.equals(within.schema)


# --- what is read ---------------------------------------------------------------------------------


class Sealed(TypeDecorator[str]):
    """A text that Python turns round."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> Any:
        return value and value[::-1]

    def process_result_value(self, value: Any, dialect: object) -> Any:
        return value and value[::-1]


def store(engine: Engine, *rows: dict[str, Any]) -> None:
    bulk_insert(engine, Sample, numbered(list(rows)))


def test_a_table_without_rows_has_the_types_of_its_columns(samples: Engine) -> None:
    zoned = "UTC" if samples.dialect.name == "postgresql" else None
    expected = {
        "number": pa.int64(),
        "small": pa.int64(),
        "big": pa.int64(),
        "text": pa.string(),
        "real": pa.float64(),
        "exact": pa.decimal128(20, 6),
        "loose": pa.decimal128(20, 8) if samples.dialect.name == "mariadb" else pa.string(),
        "truth": pa.bool_(),
        "data": pa.binary(),
        "day": pa.date32(),
        "moment": pa.timestamp("us"),
        "zoned": pa.timestamp("us", zoned),
        "clock": pa.time64("us"),
        "span": pa.duration("us"),
        "uuid": pa.string(),
        "kind": pa.string(),
        "document": pa.string(),
    }
    with samples.connect() as connection:
        for source in (samples, connection):
            table = to_arrow(source, select(Sample))
            assert dict(zip(table.schema.names, table.schema.types, strict=True)) == expected
            assert table.num_rows == 0
    assert to_polars(samples, select(Sample.number)).schema == {"number": pl.Int64}


def test_null_is_na_in_every_column_of_pandas_and_whole_numbers_stay_whole(samples: Engine) -> None:
    store(samples, {"big": 2**62 + 1, "truth": True}, {"text": None})
    frame = to_pandas(samples, in_order())
    assert isinstance(frame, pd.DataFrame)
    assert frame["big"].tolist() == [2**62 + 1, pd.NA]
    assert bool(frame.iloc[1, 1:].isna().all())
    assert str(frame.dtypes["truth"]) == "bool[pyarrow]"


def test_columns_are_called_as_attributes_labels_or_by_number(samples: Engine) -> None:
    store(samples, {"small": 3})
    statement = select(Sample.number, (Sample.small * 2).label("twice"), Sample.small + 1)
    assert to_arrow(samples, statement).to_pylist() == [{"number": 0, "twice": 6, "column_3": 4}]
    table = Sample.__table__
    assert to_arrow(samples, select(table.c.id, table.c.small)).to_pylist() == [{"id": 0, "small": 3}]


@pytest.mark.parametrize("source", ["engine", "connection", "session"])
def test_parameters_of_every_type_are_sent(samples: Engine, source: str) -> None:
    row = {
        "text": "it's 100% \\ \"so\" :x %(y)s", "exact": Decimal("1.5"), "data": b"\0\xff", "truth": True,
        "moment": datetime(2026, 5, 4), "uuid": uuid4(), "kind": Kind.LAKE, "day": date(2026, 5, 4),  # noqa: DTZ001
    }  # fmt: skip
    store(samples, {**row, "small": 7}, {})
    is_so = [getattr(Sample, name) == value for name, value in row.items()]
    statement = select(Sample.text).where(
        *is_so, Sample.number.in_([0, 1, 2]), Sample.small == bindparam("small")
    )
    with samples.connect() as connection, Session(connection) as session:
        on = {"engine": samples, "connection": connection, "session": session}[source]
        assert to_arrow(on, statement.params(small=7)).to_pylist() == [{"text": row["text"]}]


def test_every_kind_of_select_is_read(samples: Engine) -> None:
    store(samples, {"small": 1, "text": "a"}, {"small": 2, "text": "b"}, {"small": 2, "text": "c"})
    other = aliased(Sample)
    both = union_all(select(Sample.small), select(Sample.small)).order_by("small").limit(2)
    assert to_arrow(samples, both)["small"].to_pylist() == [1, 1]
    grouped = select(Sample.small, func.count()).group_by(Sample.small).order_by(Sample.small.desc())
    assert to_arrow(samples, grouped).to_pylist() == [{"small": 2, "count": 2}, {"small": 1, "count": 1}]
    joined = select(Sample.text, other.text.label("next")).join(other, other.number == Sample.number + 1)
    assert to_arrow(samples, joined.order_by(Sample.number))["next"].to_pylist() == ["b", "c"]
    written = text("SELECT small FROM sample WHERE small > :least").columns(small=Integer).params(least=1)
    assert to_arrow(samples, written)["small"].to_pylist() == [2, 2]
    nothing = to_arrow(samples, select(literal_column("NULL").label("none"), literal(1.5).label("number")))
    assert nothing.to_pylist() == [{"none": None, "number": 1.5}]


def test_what_python_makes_of_a_value_is_in_the_table(samples: Engine) -> None:
    store(samples, {"text": "drawer"})
    sealed = select(type_coerce(Sample.text, Sealed).label("text"), Sample.number)
    assert to_arrow(samples, sealed).to_pylist() == [{"text": "reward", "number": 0}]


def test_sums_have_room_for_more_digits_and_averages_are_numbers(samples: Engine) -> None:
    store(samples, *({"exact": Decimal("99999999.5"), "small": n} for n in (1, 2)))
    table = to_arrow(samples, select(func.sum(Sample.exact), func.sum(Sample.small).label("n")))
    assert table.schema.types == [pa.decimal128(38, 6), pa.int64()]
    assert table.to_pylist() == [{"sum": Decimal("199999999"), "n": 3}]
    average = to_polars(samples, select(func.avg(Sample.small, type_=Float).label("mean")))
    assert average["mean"].to_list() == [1.5]


# --- batches --------------------------------------------------------------------------------------


def test_a_table_larger_than_a_batch_is_read_batch_by_batch(samples: Engine) -> None:
    bulk_insert(samples, Sample, ((n, "x" * 150) for n in range(120_000)), columns=("number", "text"))
    with to_arrow_batches(samples, in_order()) as reader:
        sizes = [batch.num_rows for batch in reader]
    assert len(sizes) > 1
    assert sum(sizes) == 120_000
    with samples.connect() as connection:
        for source in (samples, connection):
            with to_arrow_batches(source, in_order(), batch_size=50_001) as reader:
                assert [batch.num_rows for batch in reader if batch.num_rows] == [50_001, 50_001, 19_998] or (
                    source is samples
                )
            with to_arrow_batches(source, in_order(), batch_size=1000) as reader:
                assert reader.read_next_batch()["number"].to_pylist() == list(range(1000))
            assert to_arrow(source, in_order())["number"].to_pylist() == list(range(120_000))


def test_a_reader_that_is_left_half_read_leaves_nothing_behind(samples: Engine) -> None:
    bulk_insert(samples, Sample, ((n, "x" * 1000) for n in range(50_000)), columns=("number", "text"))
    for _ in range(3):
        with to_arrow_batches(samples, select(Sample), batch_size=10) as reader:
            assert reader.read_next_batch().num_rows == 10
    with pytest.raises(ZeroDivisionError), to_arrow_batches(samples, select(Sample)) as reader:
        raise ZeroDivisionError
    assert to_arrow(samples, select(Sample)).num_rows == 50_000
    pool: Any = samples.pool
    assert pool.budget.state().holders == {}


def test_a_connection_can_be_used_between_its_batches(samples: Engine) -> None:
    bulk_insert(samples, Sample, ((n,) for n in range(100)), columns=("number",))
    old = select(Sample.number).where(Sample.number < 1000)
    with samples.begin() as connection, to_arrow_batches(connection, old, batch_size=10) as reader:
        for batch in reader:
            bulk_insert(connection, Sample, [{"number": batch["number"][0].as_py() + 1000}])
    assert to_arrow(samples, select(Sample.number)).num_rows == 110


# --- what is seen ---------------------------------------------------------------------------------


def test_a_transaction_reads_what_it_has_written_and_an_engine_does_not(postgresql_samples: Engine) -> None:
    with Session(postgresql_samples) as session:
        bulk_insert(session, Sample, [{"number": 1}])
        session.add(Sample(number=2))
        assert to_arrow(session, in_order())["number"].to_pylist() == [1, 2]
        assert to_arrow(session.connection(), in_order())["number"].to_pylist() == [1, 2]
        assert to_arrow(postgresql_samples, in_order()).num_rows == 0
        session.commit()
    assert to_arrow(postgresql_samples, in_order())["number"].to_pylist() == [1, 2]


def test_a_session_reads_what_its_events_let_it(samples: Engine) -> None:
    store(samples, {"small": 1}, {"small": 2})

    def only_ones(state: ORMExecuteState) -> None:
        state.statement = state.statement.options(with_loader_criteria(Sample, Sample.small == 1))

    with Session(samples) as session:
        event.listen(session, "do_orm_execute", only_ones)
        assert to_arrow(session, select(Sample))["small"].to_pylist() == [1]
        assert to_arrow(session, select(Sample.small, Sample.number))["small"].to_pylist() == [1]


def test_a_table_is_one_snapshot(postgresql_samples: Engine) -> None:
    bulk_insert(
        postgresql_samples, Sample, ((n, "x" * 1000) for n in range(50_000)), columns=("number", "text")
    )
    with to_arrow_batches(postgresql_samples, select(Sample.number, Sample.text)) as reader:
        seen = reader.read_next_batch().num_rows
        with postgresql_samples.begin() as connection:
            connection.execute(delete(Sample))
        assert seen + sum(batch.num_rows for batch in reader) == 50_000


def test_a_connection_that_reads_a_table_is_counted(postgresql_samples: Engine) -> None:
    pool: Any = postgresql_samples.pool
    with to_arrow_batches(postgresql_samples, select(Sample.number)) as reader:
        state = pool.budget.state()
        assert (state.open - state.idle, state.holders) == (1, {"laboratory:samples": 1})
        reader.read_all()
    assert pool.budget.state().open == state.idle


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (delete(Sample), "no SELECT but Delete"),
        (insert(Sample).returning(Sample.number), "no SELECT but Insert"),
        (text("SELECT 1"), "no SELECT but TextClause"),
        (select(Sample.number, text("1")), "no known type"),
        (select(Sample.number, Sample.number), "'number'"),
        (select(Sample, aliased(Sample)), "called 'big', 'clock'"),
    ],
)
def test_what_is_no_table_is_refused(samples: Engine, statement: Any, what: str) -> None:
    with pytest.raises(NotSupported, match=what):
        to_arrow(samples, statement)


def test_values_that_are_not_of_their_columns_type_are_refused(samples: Engine) -> None:
    store(samples, {"text": "a", "exact": Decimal("0.123456")})
    finer = select((Sample.exact * Sample.exact).label("product"))
    with samples.connect() as connection:
        for source in (samples, connection):
            if (
                samples.dialect.name == "postgresql"
            ):  # SQLite's numbers have no more digits than are asked for.
                with pytest.raises(NotSupported, match="'product' of the table has values that are no dec"):
                    to_arrow(source, finer)
    assert to_arrow(samples, select(cast(finer.selected_columns[0], Float).label("p"))).num_rows == 1


def test_an_interval_is_as_long_as_the_driver_says(postgresql_samples: Engine) -> None:
    spans = "'2 years 3 months 4 days 5 seconds'", "'-15 months 0.000001 seconds'"
    asked = select(*(literal_column(f"{s}::interval", Interval).label(f"s{n}") for n, s in enumerate(spans)))
    with postgresql_samples.connect() as connection:
        expected = [dict(row) for row in connection.execute(asked).mappings()]
        assert to_arrow(connection, asked).to_pylist() == expected
    assert to_arrow(postgresql_samples, asked).to_pylist() == expected


@pytest.mark.parametrize("moment", ["'infinity'::date", "'-infinity'::timestamptz", "'infinity'::timestamp"])
def test_infinity_is_no_day(postgresql_samples: Engine, moment: str) -> None:
    kind = Date() if "date" in moment else DateTime(timezone="tz" in moment)
    with pytest.raises(NotSupported, match="'never' of the table"):
        to_arrow(postgresql_samples, select(literal_column(moment, kind).label("never")))


def test_what_a_server_refuses_is_an_error_of_sqlalchemys(postgresql_samples: Engine) -> None:
    store(postgresql_samples, *({"small": n} for n in range(10)))
    for wrong in (1 / (Sample.small - 5), literal_column("nowhere")):
        with pytest.raises(DBAPIError):
            to_arrow(postgresql_samples, select(wrong.label("wrong")).select_from(Sample))
    assert to_arrow(postgresql_samples, select(Sample)).num_rows == 10


# --- other ways -----------------------------------------------------------------------------------


def test_arrays_enumerations_and_strange_types_of_the_server_are_read(postgresql_samples: Engine) -> None:
    metadata = MetaData()
    strange = Table(
        "strange",
        metadata,
        Column("numbers", ARRAY(Integer)),
        Column("words", ARRAY(Text)),
        Column("uuids", ARRAY(Uuid)),
        Column("grid", ARRAY(Integer, dimensions=2)),
        Column("kind", Enum("stream", "lake", name="waters")),
        Column("document", JSONB),
        Column("address", INET),
    )
    metadata.create_all(postgresql_samples)
    key = uuid4()
    row = {
        "numbers": [1, None], "words": ["a"], "uuids": [key], "grid": [[1, 2], [3, 4]], "kind": "lake",
        "document": {"a": [1]}, "address": "10.0.0.1",
    }  # fmt: skip
    with postgresql_samples.begin() as connection:
        connection.execute(insert(strange), row)
        expected = {**row, "uuids": [str(key)], "document": '{"a": [1]}'}
        for source in (postgresql_samples, connection):
            assert (
                to_arrow(source, select(strange).limit(0)).schema == to_arrow(source, select(strange)).schema
            )
        assert to_arrow(connection, select(strange)).to_pylist() == [expected]
    assert to_arrow(postgresql_samples, select(strange)).to_pylist() == [expected]
    flat = select(strange.c.kind, strange.c.document, strange.c.address)
    assert to_arrow(postgresql_samples, flat).to_pylist() == [
        {"kind": "lake", "document": '{"a": [1]}', "address": "10.0.0.1/32"}
    ]
    bulk_insert(
        postgresql_samples,
        strange,
        to_arrow(
            postgresql_samples,
            select(strange).with_only_columns(
                strange.c.numbers, strange.c.words, strange.c.uuids, strange.c.grid, strange.c.document
            ),
        ),
    )
    with postgresql_samples.connect() as connection:
        again = connection.execute(select(strange).where(strange.c.kind.is_(None))).mappings().one()
        assert {**again, "kind": "lake", "address": "10.0.0.1"} == row


def test_tasks_read_tables_over_any_driver(async_stores: Stores, lab: type[App]) -> None:
    async def read() -> list[Any]:
        async with lab.gages.aio.session() as session:
            table = await session.run_sync(to_arrow, select(Gage).order_by(Gage.number))
        return list(table.to_pylist())

    assert asyncio.run(read()) == [
        {"number": "03185400", "altitude": 1030.7},
        {"number": "03186000", "altitude": 838.4},
    ]


def test_an_engine_in_autocommit_and_one_of_sqlalchemys_own_are_read(samples: Engine) -> None:
    store(samples, {"small": 1})
    alone = samples.execution_options(isolation_level="AUTOCOMMIT")
    assert to_arrow(alone, select(Sample)).num_rows == 1
    with alone.connect() as connection:
        assert to_arrow(connection, select(Sample)).num_rows == 1
        raw: Any = connection.connection.driver_connection
        url = samples.url
        if samples.dialect.name == "postgresql":
            url = url.set(password=raw.info.password)
        if samples.dialect.name == "mariadb":
            url = url.set(password=raw.password.decode())
    plain = create_engine(url)
    assert to_arrow(plain, select(Sample)).num_rows == 1
    plain.dispose()
