"""Tables are read on the caller's connection, in its transaction: binary COPY."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from sqlalchemy.exc import DBAPIError

from penstock.backends.arrow import load_arrow
from penstock.backends.postgresql.asking import sent_within, text_of
from penstock.backends.postgresql.decoding import batches, is_decoded
from penstock.backends.postgresql.refusals import without_values
from penstock.backends.postgresql.sessions import UTF8, codec_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from penstock.backends.arrow import Plan
    from penstock.backends.frames import Selected
    from penstock.backends.postgresql.asking import Statement


@contextmanager
def read_within(connection: Connection, selected: Selected, plans: Sequence[Plan]) -> Iterator[Any]:
    """A block with a reader, in the transaction of the connection."""
    arrow = load_arrow()
    raw: Any = connection.connection.driver_connection
    schema = arrow.schema([(plan.name, plan.type) for plan in plans])
    query, oids = _asked(connection, selected, plans)
    sent = _copy(query.sent).encode(codec_of(raw))
    with (
        _as_sqlalchemy_says(connection, _copy(query.shown)),
        raw.cursor() as cursor,
        cursor.copy(sent) as rows,
    ):
        yield arrow.RecordBatchReader.from_batches(schema, batches(rows, schema, oids, selected.batch))


def _copy(query: str) -> str:
    return f"COPY ({query}) TO STDOUT (FORMAT BINARY)"


def _asked(connection: Connection, selected: Selected, plans: Sequence[Plan]) -> tuple[Statement, list[int]]:
    """The statement, and the types of what it gives; what can't be decoded is sent as a text."""
    raw: Any = connection.connection.driver_connection
    converted = codec_of(raw) != UTF8
    made = [sent_within(plan.kind, converted=converted) for plan in plans]
    text = text_of(connection, selected, made)
    oids = _types(connection, text)
    strange = [not is_decoded(oid) for oid in oids]
    if any(strange):
        for place in (place for place, one in enumerate(strange) if one):
            made[place] = sent_within(plans[place].kind, converted=converted, decoded=False)
        text = text_of(connection, selected, made)
        oids = _types(connection, text)
    return text, oids


def _types(connection: Connection, text: Statement) -> list[int]:
    """What a statement will give, as the server numbers types; a COPY does not tell."""
    raw: Any = connection.connection.driver_connection
    alone = getattr(raw, "alone", nullcontext)  # In a test that is rolled back, others may have it, too.
    with _as_sqlalchemy_says(connection, text.shown), alone():
        for result in (
            raw.pgconn.prepare(b"", text.sent.encode(codec_of(raw))),
            raw.pgconn.describe_prepared(b""),
        ):
            if result.status != ExecStatus.COMMAND_OK:
                raise error_from_result(result, encoding=raw.info.encoding)
    return [result.ftype(place) for place in range(result.nfields)]


@contextmanager
def _as_sqlalchemy_says(connection: Connection, text: str) -> Iterator[None]:
    """Turn an error of the driver's into one of SQLAlchemy's family."""
    try:
        yield
    except psycopg.Error as error:
        if connection.connection.driver_connection.closed:  # type: ignore[union-attr]
            connection.invalidate(error)
        clean = without_values(error)
        told = DBAPIError.instance(text, None, clean, psycopg.Error, dialect=connection.dialect)
        raise cast("DBAPIError", told) from None if connection.engine.hide_parameters else error
