"""Tables are read on the caller's connection, in its transaction: binary COPY."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from penstock.backends.arrow import load_arrow
from penstock.backends.postgresql.asking import sent_within, text_of
from penstock.backends.postgresql.decoding import batches, is_decoded
from penstock.backends.postgresql.refusals import without_values
from penstock.backends.postgresql.sessions import UTF8, codec_of
from penstock.backends.streaming import executed

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
    codec = codec_of(raw)
    schema = arrow.schema([(plan.name, plan.type) for plan in plans])
    made = [sent_within(plan.kind, converted=codec != UTF8) for plan in plans]
    text = text_of(connection, selected, made)

    def read(cursor: Any, _: str) -> list[Any]:
        with _without_values(connection):
            query, oids = _asked(connection, selected, plans, text, made)
            with cursor.copy(_copy(query.sent).encode(codec)) as rows:
                return list(batches(rows, schema, oids, selected.batch))

    yield arrow.RecordBatchReader.from_batches(schema, executed(connection, _copy(text.shown), read))


def _copy(query: str) -> str:
    return f"COPY ({query}) TO STDOUT (FORMAT BINARY)"


def _asked(
    connection: Connection, selected: Selected, plans: Sequence[Plan], text: Statement, made: list[Any]
) -> tuple[Statement, list[int]]:
    """The statement, and the types of what it gives; what can't be decoded is sent as a text."""
    raw: Any = connection.connection.driver_connection
    oids = _types(raw, text)
    strange = [place for place, oid in enumerate(oids) if not is_decoded(oid)]
    if strange:
        for place in strange:
            made[place] = sent_within(plans[place].kind, converted=codec_of(raw) != UTF8, decoded=False)
        text = text_of(connection, selected, made)
        oids = _types(raw, text)
    return text, oids


def _types(raw: Any, text: Statement) -> list[int]:
    """What a statement will give, as the server numbers types; a COPY does not tell."""
    alone = getattr(raw, "alone", nullcontext)  # In a test that is rolled back, others may have it, too.
    with alone():
        for result in (
            raw.pgconn.prepare(b"", text.sent.encode(codec_of(raw))),
            raw.pgconn.describe_prepared(b""),
        ):
            if result.status != ExecStatus.COMMAND_OK:
                raise error_from_result(result, encoding=raw.info.encoding)
    return [result.ftype(place) for place in range(result.nfields)]


@contextmanager
def _without_values(connection: Connection) -> Iterator[None]:
    """Let an error of the driver's have no values in it."""
    try:
        yield
    except psycopg.Error as error:
        hidden = connection.engine.hide_parameters
        raise without_values(error) from None if hidden else error
