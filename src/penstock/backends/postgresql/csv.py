"""Tables are read on the caller's connection: COPY as texts, which Arrow parses."""

from __future__ import annotations

import re
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import psycopg
from sqlalchemy.exc import DBAPIError

from penstock.backends.arrow import load_arrow
from penstock.backends.frames import BATCH, fitted, unlike
from penstock.backends.postgresql.asking import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from penstock.backends.arrow import Plan
    from penstock.backends.frames import Selected
    from penstock.errors import NotSupported

_COLUMN = re.compile(r"column #(\d+)")


@contextmanager
def read_within(connection: Connection, selected: Selected, plans: Sequence[Plan]) -> Iterator[Any]:
    """A block with a reader, in the transaction of the connection."""
    arrow = load_arrow()
    raw: Any = connection.connection.driver_connection
    schema = arrow.schema([(plan.name, plan.type) for plan in plans])
    text = f"COPY ({text_of(connection, selected, plans, csv=True)}) TO STDOUT (FORMAT CSV)"
    with _as_sqlalchemy_says(connection, text), raw.cursor() as cursor, cursor.copy(text.encode()) as rows:
        size = selected.batch or BATCH
        yield arrow.RecordBatchReader.from_batches(schema, _batches(iter(rows), schema, size))


@contextmanager
def _as_sqlalchemy_says(connection: Connection, text: str) -> Iterator[None]:
    """Turn an error of the driver's into one of SQLAlchemy's family."""
    try:
        yield
    except psycopg.Error as error:
        if connection.connection.driver_connection.closed:  # type: ignore[union-attr]
            connection.invalidate(error)
        told = DBAPIError.instance(text, None, error, psycopg.Error, dialect=connection.dialect)
        raise cast("DBAPIError", told) from error


def _batches(rows: Iterator[Any], schema: Any, size: int) -> Iterator[Any]:
    while block := b"".join(islice(rows, size)):  # The server sends a row at a time.
        yield _parsed(block, schema)


def _parsed(block: bytes, schema: Any) -> Any:
    arrow = load_arrow()
    from pyarrow import csv

    places = [str(place) for place in range(len(schema))]
    kinds = {place: _parsable(field.type) for place, field in zip(places, schema, strict=True)}
    try:
        table = csv.read_csv(
            arrow.py_buffer(block),
            read_options=csv.ReadOptions(column_names=places, block_size=len(block) + 1, use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=kinds,
                null_values=[""],
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except arrow.ArrowInvalid as error:
        raise _unlike(error, schema) from error
    columns = zip(schema, table.columns, strict=True)
    return arrow.record_batch([_made(field, array) for field, array in columns], schema=schema)


def _parsable(kind: Any) -> Any:
    """As what a text is parsed, to become what the table has."""
    arrow, types = load_arrow(), load_arrow().types
    if types.is_timestamp(kind):
        return arrow.timestamp("us")  # As of UTC.
    if types.is_duration(kind):
        return arrow.int64()
    return arrow.string() if types.is_binary(kind) or types.is_decimal256(kind) else kind


def _made(field: Any, chunks: Any) -> Any:
    arrow = load_arrow()
    array = chunks.combine_chunks()
    if arrow.types.is_binary(field.type):
        texts = array.to_pylist()
        return arrow.array([None if text is None else bytes.fromhex(text[2:]) for text in texts], field.type)
    return fitted(field, array)


def _unlike(error: Exception, schema: Any) -> NotSupported:
    """The error of a text that can't be parsed; Arrow calls its column by number."""
    found = _COLUMN.search(str(error))
    field = schema[int(found[1])] if found and int(found[1]) < len(schema) else None
    return unlike(field.name if field else "?", field and field.type, error)
