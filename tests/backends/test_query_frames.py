"""Data frames of pandas and polars, and tables of Arrow, are stored as their rows."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from fix_tables import SAMPLES, Kind, Sample, as_read, in_order, numbered
from penstock.errors import NotSupported, PenstockError, RowRefused, UnknownColumn
from penstock.query import (
    Written,
    bulk_insert,
    bulk_update,
    get_or_create_many,
    to_arrow,
    to_pandas,
    to_polars,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

UUID_1 = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def as_batches(engine: Engine) -> pa.RecordBatchReader:
    table = to_arrow(engine, in_order())
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=1))


READERS: dict[str, Callable[[Engine], Any]] = {
    "arrow": lambda engine: to_arrow(engine, in_order()),
    "batches": as_batches,
    "pandas": lambda engine: to_pandas(engine, in_order()),
    "polars": lambda engine: to_polars(engine, in_order()),
}


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=15)
@given_by(rows=st.lists(SAMPLES, min_size=1, max_size=4))
def test_what_is_read_into_a_frame_can_be_stored_again(
    samples: Engine, reader: str, rows: list[dict[str, Any]]
) -> None:
    with samples.begin() as connection:
        connection.execute(delete(Sample))
        bulk_insert(connection, Sample, numbered(rows))
        before = as_read(connection)
    frame = READERS[reader](samples)
    with samples.begin() as connection:
        connection.execute(delete(Sample))
        assert bulk_insert(connection, Sample, frame).inserted == len(rows)
        assert as_read(connection) == before


def stored(engine: Engine, frame: Any) -> dict[str, list[Any]]:
    """What SQLAlchemy reads of a frame that was stored, by column of the frame."""
    assert bulk_insert(engine, Sample, frame).inserted == len(frame)
    names = [name for name in list(frame.columns) if name != "number"]
    with engine.connect() as connection:
        rows = connection.execute(select(*(getattr(Sample, n) for n in names)).order_by(Sample.number)).all()
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def test_what_pandas_says_of_missing_values_is_null(samples: Engine) -> None:
    frame = pd.DataFrame(
        {
            "number": [1, 2],
            "small": [7.0, np.nan],
            "big": pd.array([2**60, None], dtype="Int64"),
            "text": ["Weber", None],
            "real": [1.5, np.nan],
            "exact": [1.5, np.nan],
            "truth": pd.array([True, None], dtype="boolean"),
            "day": [date(2026, 5, 4), pd.NaT],
            "moment": pd.to_datetime(["2026-05-04 12:00", None]),
            "zoned": pd.to_datetime(["2026-05-04 14:00", None]).tz_localize("Europe/Berlin"),
            "span": pd.to_timedelta(["1s", None]),
            "uuid": [UUID_1, pd.NA],
            "kind": pd.Categorical(["LAKE", None]),
            "document": [{"a": 1}, np.nan],
        }
    )
    found = stored(samples, frame)
    assert {name: values[1] for name, values in found.items()} == dict.fromkeys(found)
    assert [values[0] for values in found.values()] == [
        7, 2**60, "Weber", 1.5, Decimal("1.5"), True, date(2026, 5, 4), datetime(2026, 5, 4, 12),  # noqa: DTZ001
        NOON if samples.dialect.name == "postgresql" else datetime(2026, 5, 4, 14),  # noqa: DTZ001
        timedelta(seconds=1), UUID_1, Kind.LAKE, {"a": 1},
    ]  # fmt: skip


def test_objects_of_numpy_and_pandas_in_a_column_are_stored_as_those_of_python(samples: Engine) -> None:
    frame = pd.DataFrame(
        {
            "number": [1, 2],
            "small": pd.Series([np.int64(3), np.float64(4)], dtype=object),
            "real": pd.Series([np.float32(0.5), np.int8(1)], dtype=object),
            "moment": pd.Series([pd.Timestamp("2026-05-04 12:00"), np.nan], dtype=object),
            "span": pd.Series([pd.Timedelta(minutes=1), pd.NaT], dtype=object),
            "document": pd.Series([[1, "two"], "three"], dtype=object),
        }
    )
    frame.loc[1, "document"] = '"three"'
    found = stored(samples, frame)
    assert found == {
        "small": [3, 4],
        "real": [0.5, 1.0],
        "moment": [datetime(2026, 5, 4, 12), None],  # noqa: DTZ001
        "span": [timedelta(minutes=1), None],
        "document": [[1, "two"], "three"],
    }


def test_what_polars_has_types_for_is_stored_as_that(samples: Engine) -> None:
    frame = pl.DataFrame(
        {
            "number": [1, 2],
            "small": pl.Series([1, None], dtype=pl.UInt8),
            "text": pl.Series(["a", None], dtype=pl.Categorical),
            "kind": pl.Series(["LAKE", None], dtype=pl.Enum(["LAKE", "STREAM"])),
            "exact": [Decimal("1.25"), None],
            "loose": ["1.125", None],
            "data": [b"\0", None],
            "moment": pl.Series([datetime(2026, 5, 4, 12), None], dtype=pl.Datetime("ns")),  # noqa: DTZ001
            "clock": [time(12, 30), None],
            "span": pl.Series([timedelta(days=1), None], dtype=pl.Duration("ms")),
            "uuid": [str(UUID_1), None],
            "document": [{"a": [1]}, None],
            "day": [None, None],
        }
    )
    found = stored(samples, frame)
    assert {name: values[0] for name, values in found.items()} == {
        "small": 1, "text": "a", "kind": Kind.LAKE, "exact": Decimal("1.25"), "loose": Decimal("1.125"),
        "data": b"\0", "moment": datetime(2026, 5, 4, 12), "clock": time(12, 30), "span": timedelta(days=1),  # noqa: DTZ001
        "uuid": UUID_1, "document": {"a": [1]}, "day": None,
    }  # fmt: skip
    assert {name: values[1] for name, values in found.items()} == dict.fromkeys(found)


class Streamed:
    """A table of somebody's who knows Arrow."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("kind", ["table", "batch", "reader", "stream"])
def test_whatever_speaks_arrow_is_taken(samples: Engine, kind: str) -> None:
    table = pa.table({"number": [1, 2], "text": ["a", None]})
    batch = table.to_batches()[0]
    given = {
        "table": table,
        "batch": batch,
        "reader": pa.RecordBatchReader.from_batches(table.schema, [batch]),
        "stream": Streamed(table),
    }
    assert bulk_insert(samples, Sample, given[kind]) == Written(inserted=2)
    assert bulk_insert(samples, Sample, table, on_conflict="nothing") == Written(skipped=2)


def test_every_helper_that_writes_many_rows_takes_frames(samples: Engine) -> None:
    frame = pd.DataFrame({"number": [1, 2], "text": ["a", "b"]})
    assert upsert(samples, Sample, frame) == Written(inserted=2)
    assert upsert(samples, Sample, pl.from_pandas(frame)) == Written(updated=2)
    assert bulk_update(samples, Sample, frame.assign(number=[2, 3])) == Written(updated=1, skipped=1)
    made = get_or_create_many(samples, Sample.__table__, frame.rename(columns={"number": "id"}))
    assert [(row.text, new) for row, new in made] == [("a", False), ("a", False)]


def test_the_index_of_a_frame_is_no_column(samples: Engine) -> None:
    frame = pd.DataFrame({"number": [1, 2], "text": ["a", "b"]}, index=pd.Index([8, 9], name="small"))
    assert bulk_insert(samples, Sample, frame[:0]) == Written()
    bulk_insert(samples, Sample, frame)
    with samples.connect() as connection:
        assert connection.scalars(select(Sample.small)).all() == [None, None]


def test_a_frame_larger_than_a_block_is_stored_whole(samples: Engine) -> None:
    frame = pl.DataFrame({"number": range(120_000)}).with_columns(real=pl.col("number") / 2)
    assert bulk_insert(samples, Sample, frame.to_pandas()).inserted == 120_000
    assert upsert(samples, Sample, frame.with_columns(real=pl.lit(1.0))).updated == 120_000
    with samples.connect() as connection:
        assert connection.scalar(select(func.sum(Sample.real))) == 120_000


def refused(engine: Engine, frame: Any) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        bulk_insert(engine, Sample, frame)
    return caught.value


def test_what_is_wrong_with_a_frame_is_said_before_anything_is_stored(samples: Engine) -> None:
    good = pd.DataFrame({"number": [1, 2], "text": ["a", "b"]})
    other = refused(samples, good.assign(other=1)[:0])
    assert isinstance(other, UnknownColumn)
    assert "no column 'other'" in other.what
    assert isinstance(refused(samples, good.rename(columns={"text": 3})), UnknownColumn)
    twice = refused(samples, good.set_axis(["number", "number"], axis=1))
    assert isinstance(twice, NotSupported)
    assert "'number'" in twice.what
    assert "collect()" in refused(samples, pl.from_pandas(good).lazy()).hint
    assert "no table" in refused(samples, good["text"]).what
    period = refused(samples, good.assign(text=pd.period_range("2020", "2021", freq="Y")))
    assert "type that can't be stored" in period.what
    assert "complex" in refused(samples, good.assign(text=np.array([1j, 2]))).why
    with pytest.raises(NotSupported, match="names its columns itself"):
        bulk_insert(samples, Sample, good, columns=("number", "text"))
    assert "secret" not in str(refused(samples, good.assign(text=pd.Categorical([1, "secret"]))))
    for column, value in (("uuid", "secret"), ("document", "{secret"), ("loose", "secret")):
        wrong = refused(samples, good.assign(**{column: [None, value]}))
        assert isinstance(wrong, RowRefused)
        assert wrong.what == f"Row 1 can't be stored for its {column}."
        assert "secret" not in str(wrong)
    with samples.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Sample)) == 0


NO_EXTRA = """
import sys
from importlib.abc import MetaPathFinder

class Nowhere(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nowhere())
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, select
from sqlalchemy.pool import StaticPool
from penstock.errors import MissingExtra
from penstock.query import bulk_insert, to_arrow, to_pandas, to_polars

print([name for name in ("pyarrow", "pandas", "polars", "numpy") if name in sys.modules])
engine = create_engine("sqlite://", poolclass=StaticPool)
gage = Table("gage", MetaData(), Column("number", Integer))
gage.create(engine)
bulk_insert(engine, gage, [{"number": 1}])
for read in (to_arrow, to_pandas, to_polars):
    try:
        read(engine, select(gage))
    except MissingExtra as error:
        print(read.__name__, error.hint)
"""


@pytest.mark.parametrize("package", ["pyarrow", "pandas", "polars"])
def test_a_library_that_is_not_there_is_named_with_the_way_to_get_it(package: str) -> None:
    command = (sys.executable, "-c", NO_EXTRA, package)
    loaded, *said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert loaded == "[]"
    all_of_them = {"pyarrow": ["to_arrow", "to_pandas", "to_polars"]}
    names = all_of_them.get(package, [f"to_{package}"])
    assert said == [f'{name} pip install "penstock[frames]"' for name in names]
