"""Rows are sent to PostgreSQL by COPY, in a transaction of SQLAlchemy's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy.util import await_only

from penstock.backends.columnar import Columns
from penstock.backends.postgresql.columns import streamed
from penstock.backends.postgresql.encoder import HEADER, TRAILER, Encoder
from penstock.backends.postgresql.sessions import codec_of
from penstock.backends.rows import Unfit
from penstock.backends.streaming import executed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from sqlalchemy import Connection

    from penstock.backends.postgresql.encoder import Field

_AT_A_TIME = 500
"""Rows that are encoded while the server stores those before them: few objects at once, so that Python does
not look for garbage among all that there are."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where rows are copied to.

    Args:
        schema: Where the table is; None where the connection looks for it.
        table: Its name, unquoted.
        columns: The names of its columns, in the order of the values.
    """

    schema: str | None
    table: str
    columns: Sequence[str]

    def statement(self, connection: Connection) -> str:
        """The COPY, as the server reads it."""
        quote = connection.dialect.identifier_preparer.quote
        place = f"{quote(self.schema)}.{quote(self.table)}" if self.schema else quote(self.table)
        columns = ", ".join(map(quote, self.columns))
        return f"COPY {place} ({columns}) FROM STDIN (FORMAT BINARY)".replace("%%", "%")


def copy(
    connection: Connection, into: Destination, fields: list[Field], rows: Sequence[Sequence[Any]]
) -> int:
    """Send rows.

    Args:
        connection: In a transaction, in which a statement was sent: only then has every driver begun it.
        into: Where to.
        fields: How each column is written.
        rows: The rows.

    Returns:
        How many the server stored: triggers may leave some out.

    Raises:
        Unfit: A value is of a type that its column can't hold.
        DBAPIError: The server refuses a row, or does not answer.
    """
    raw: Any = connection.connection.driver_connection
    by_psycopg = isinstance(raw, psycopg.BaseConnection)
    codec = codec_of(raw) if by_psycopg else "utf-8"
    made = streamed(rows, fields, codec, into.columns) if isinstance(rows, Columns) else None
    stream = _stream(fields, rows, codec) if made is None else made
    statement = into.statement(connection)
    if isinstance(raw, psycopg.AsyncConnection):
        return executed(
            connection, statement, lambda _, said: await_only(_by_async_psycopg(raw, said, stream))
        )
    if by_psycopg:
        return executed(connection, statement, partial(_by_psycopg, codec, stream))
    return executed(connection, statement, lambda *_: _told(connection, _by_asyncpg(raw, into, stream)))


def _stream(fields: list[Field], rows: Sequence[Sequence[Any]], codec: str) -> Iterator[bytes]:
    encoder = Encoder(fields, codec)
    yield HEADER
    for start in range(0, len(rows), _AT_A_TIME):
        try:
            yield encoder.encode(rows[start : start + _AT_A_TIME])
        except Unfit as error:
            raise Unfit(start + error.row, error.column) from error.__cause__
    yield TRAILER


def _by_psycopg(codec: str, stream: Iterator[bytes], cursor: Any, statement: str) -> int:
    with cursor.copy(statement.encode(codec)) as copying:
        for piece in stream:
            copying.write(piece)
    return int(cursor.rowcount)


async def _by_async_psycopg(
    raw: psycopg.AsyncConnection[Any], statement: str, stream: Iterator[bytes]
) -> int:
    async with raw.cursor() as cursor:
        async with cursor.copy(statement.encode(codec_of(raw))) as copying:
            for piece in stream:
                await copying.write(piece)
        return cursor.rowcount


async def _by_asyncpg(raw: Any, into: Destination, stream: Iterator[bytes]) -> int:
    failed: list[Exception] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for piece in stream:
                yield piece
        except Exception as error:  # Raised in here, it would have asyncpg cancel what comes next.
            failed.append(error)
            yield TRAILER

    said = await raw.copy_to_table(
        into.table, schema_name=into.schema, columns=into.columns, source=pieces(), format="binary"
    )
    if failed:
        raise failed[0]
    return int(said.removeprefix("COPY "))


def _told(connection: Connection, copying: Awaitable[int]) -> int:
    """What is awaited; an error is as SQLAlchemy's adapter makes it of the driver's."""
    try:
        return await_only(copying)
    except Unfit:
        raise
    except Exception as error:
        raise _translated(connection.connection.dbapi_connection, error) from error


def _translated(adapter: Any, error: Exception) -> Exception:
    """What SQLAlchemy's adapter makes of an error, where there is one between it and the driver."""
    translate = getattr(adapter, "_handle_exception", None)
    if translate is None:
        return error
    try:
        translate(error)
    except Exception as known:
        return known
    return error
