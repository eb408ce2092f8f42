"""Columns of Arrow meet what a table has: keys, defaults, versions, constraints."""

from __future__ import annotations

import logging
import sys
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Double,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fix_tables import Sample
from penstock.backends.postgresql import columns
from penstock.errors import RowRefused, RowStale
from penstock.query import Written, bulk_insert, bulk_update, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from fix_doors import Doors

POSTGRESQL = ["postgresql", "psycopg-async", "asyncpg-async"]

KEYED, DEFAULTED, NARROW = MetaData(), MetaData(), MetaData()
keyed = Table(
    "keyed",
    KEYED,
    Column("whole", SmallInteger, primary_key=True),
    Column("word", Text, primary_key=True),
    Column("value", Double),
)
defaulted = Table(
    "defaulted",
    DEFAULTED,
    Column("number", Integer, primary_key=True),
    Column("word", String(20)),
    Column("double", Integer, default=lambda context: context.get_current_parameters()["number"] * 2),
    Column("more", Integer, default=lambda context: context.current_parameters["double"] + 1),
    Column("state", String(20), default="new"),
)
narrow = Table(
    "narrow",
    NARROW,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("small", SmallInteger),
    Column("word", String(5)),
    Column("day", Date, nullable=False),
    CheckConstraint("small < 100", "small_is_small"),
    CheckConstraint("length(word) < 6", "word_is_short"),
)


class VersionedBase(DeclarativeBase):
    metadata = MetaData()


class Versioned(VersionedBase):
    __tablename__ = "versioned"

    number: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


KEYS = st.lists(st.tuples(st.integers(-128, 127), st.sampled_from(["a", "B", "ä", "b"])), max_size=12)


@pytest.mark.parametrize("verb", [upsert, partial(bulk_insert, on_conflict="nothing"), bulk_update])
@pytest.mark.parametrize("door_to", POSTGRESQL, indirect=True)
def test_columns_meet_rows_that_are_there_as_rows_do(door_to: Doors, verb: Callable[..., Written]) -> None:
    door = door_to(KEYED)

    @settings(max_examples=40)
    @given_by(there=KEYS, given=KEYS, chunk=st.integers(1, 5))
    def any_keys(there: list[tuple[int, str]], given: list[tuple[int, str]], chunk: int) -> None:
        table = pa.table(
            {
                "whole": pa.array([key for key, _ in given], pa.int64()),
                "word": pa.array([word for _, word in given], pa.string_view()),
                "value": pa.array(range(len(given)), pa.float64()),
            }
        )
        frame = pa.Table.from_batches(table.to_batches(max_chunksize=chunk), table.schema)

        def outcomes(session: Session) -> list[Any]:
            found = []
            for rows in (frame, frame.to_pylist()):
                session.execute(delete(keyed))
                old = [{"whole": key, "word": word, "value": -1.0} for key, word in dict.fromkeys(there)]
                bulk_insert(session, keyed, old)
                written = verb(session, keyed, rows, key=("whole", "word"))
                found.append(
                    (written, session.execute(select(keyed).order_by(keyed.c.whole, keyed.c.word)).all())
                )
            return found

        by_columns, by_rows = door.do(outcomes)
        assert by_columns == by_rows

    any_keys()


def test_defaults_of_python_are_made_for_each_row_of_a_frame_and_see_it(door_to: Doors) -> None:
    door = door_to(DEFAULTED)
    frame = pa.table({"number": pa.array([4, 7]), "word": ["a", None]})
    door.do(lambda session: bulk_insert(session, defaulted, frame))
    rows = door.do(lambda session: session.execute(select(defaulted).order_by(defaulted.c.number)).all())
    assert [tuple(row) for row in rows] == [(4, "a", 8, 9, "new"), (7, None, 14, 15, "new")]


def test_a_frame_with_versions_is_compared_with_the_rows_that_are_there(door_to: Doors) -> None:
    door = door_to(VersionedBase.metadata)
    door.do(lambda session: bulk_insert(session, Versioned, pa.table({"number": [1, 2], "word": ["a", "b"]})))
    good = pa.table({"number": [2, 1], "word": ["d", "c"], "version": [1, 1]})
    assert door.do(lambda session: upsert(session, Versioned, good)) == Written(updated=2)
    rows = door.do(lambda session: session.execute(select(Versioned.__table__).order_by("number")).all())
    assert [tuple(row) for row in rows] == [(1, "c", 2), (2, "d", 2)]
    with pytest.raises(RowStale, match="Row 0 "):
        door.do(lambda session: upsert(session, Versioned, good))


@pytest.mark.parametrize("form", [pa.Table.to_pandas, pl.from_arrow, pa.Table.to_reader])
def test_a_row_that_is_refused_is_named_as_if_it_came_in_a_mapping(
    door_to: Doors, form: Callable[[pa.Table], Any]
) -> None:
    door, count = door_to(NARROW), 60
    wrong: list[tuple[str, int, Any]] = [
        ("small", 50, 2**40), ("word", 59, "x" * 9), ("day", 3, None),
    ]  # fmt: skip
    for name, place, value in wrong:
        columns: dict[str, list[Any]] = {
            "number": list(range(count)),
            "small": [1] * count,
            "word": ["a"] * count,
            "day": [date(2026, 1, 1)] * count,
        }
        columns[name][place] = value
        told = []
        for rows in (form(pa.table(columns)), pa.table(columns).to_pylist()):
            with pytest.raises(RowRefused) as caught:
                door.do(partial(bulk_insert, model=narrow, rows=rows))
            told.append(str(caught.value))
        assert told[0] == told[1]
        assert f"Row {place}" in told[0]
        assert name in told[0]
    assert door.do(lambda session: session.scalar(select(func.count()).select_from(narrow))) == 0


def test_a_number_that_is_too_large_is_named_far_down_in_a_table(postgresql_samples: Engine) -> None:
    numbers = np.arange(700_005)
    numbers[700_001] = 2**40
    frame = pa.table({"number": np.arange(700_005), "small": numbers % 100 + (numbers >= 2**40) * 2**40})
    with pytest.raises(RowRefused, match=r"Row 700001 of Sample can't be stored: an int out of its range"):
        bulk_insert(postgresql_samples, Sample, frame)
    with postgresql_samples.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Sample)) == 0


def test_a_reader_is_read_no_further_than_a_block_ahead(samples: Engine) -> None:
    schema = pa.schema([("number", pa.int64()), ("text", pa.string())])
    held: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, 400_000, 10_000):
            texts = pa.array(["a" * 100] * 10_000)
            yield pa.record_batch([pa.array(range(first, first + 10_000)), texts], schema=schema)
            held.append(pa.total_allocated_bytes())

    before = pa.total_allocated_bytes()
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    assert bulk_insert(samples, Sample, reader).inserted == 400_000
    assert max(held) - before < 20_000_000  # All of them are 43 millions.


def test_without_the_library_that_encodes_columns_rows_are_sent(
    postgresql_samples: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns._pgpq.cache_clear()
    monkeypatch.setitem(sys.modules, "pgpq", None)
    try:
        assert bulk_insert(postgresql_samples, Sample, pa.table({"number": [1]})) == Written(inserted=1)
    finally:
        columns._pgpq.cache_clear()


def test_texts_are_sent_in_the_encoding_of_the_connection(postgresql_samples: Engine) -> None:
    with postgresql_samples.begin() as connection:
        connection.execute(text("SET LOCAL client_encoding TO latin1"))
        bulk_insert(connection, Sample, pa.table({"number": [1], "text": ["Ü"]}))
        assert connection.scalar(select(Sample.text)) == "Ü"


@pytest.mark.parametrize("door_to", POSTGRESQL, indirect=True)
def test_a_frame_is_stored_where_rows_cannot_be_copied(door_to: Doors) -> None:
    door, frame = door_to(KEYED), pa.table({"whole": [2, 1], "word": ["a", "b"], "value": [0.5, None]})

    def outcome(session: Session) -> Written:
        rule = text("CREATE RULE nothing_else AS ON UPDATE TO keyed DO ALSO NOTHING")
        session.execute(rule)
        return bulk_insert(session, keyed, frame)

    assert door.do(outcome) == Written(inserted=2)


def test_objects_after_missing_ones_are_stored(postgresql_samples: Engine) -> None:
    values: list[Any] = [None, pd.NA, np.nan, "a", "b"]
    frame = pd.DataFrame(
        {"number": range(5), "text": values, "document": [None, pd.NA, [1, 2], {"a": 1}, {}]}
    )
    bulk_insert(postgresql_samples, Sample, frame)
    with postgresql_samples.connect() as connection:
        rows = connection.execute(select(Sample.text, Sample.document).order_by(Sample.number)).all()
    documents = [None, None, [1, 2], {"a": 1}, {}]
    assert [tuple(row) for row in rows] == list(zip([None, None, None, "a", "b"], documents, strict=True))


def test_only_columns_that_need_it_are_made_of_python(
    postgresql_samples: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "penstock.backends.postgresql.columns")
    frame = pd.DataFrame(
        {
            "number": pd.array([1, None], "Int64").fillna(2),
            "big": [1.0, np.nan],
            "text": pd.Series(["a", None], dtype=object),
            "kind": pd.Categorical(["LAKE", None]),
            "document": [{"a": 1}, None],
            "zoned": pd.to_datetime(["2026-05-04 14:00", None]).tz_localize("Europe/Berlin"),
        }
    )
    assert bulk_insert(postgresql_samples, Sample, frame).inserted == 2
    assert [each.getMessage() for each in caplog.records] == ["Python makes the values of kind, document"]
