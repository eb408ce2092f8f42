"""The transaction state of a connection to MariaDB, as its driver knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql.constants.SERVER_STATUS import SERVER_STATUS_IN_TRANS

from penstock.backends.mysql import pymysql_compat
from penstock.backends.mysql.faults import number_of, words_of
from penstock.errors import NotSupported, NotWritable

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.exc import DBAPIError

_ONLY_READS = frozenset({1290, 1792, 1836})
"""The server, or the transaction, takes no writes."""


def autocommits(connection: Connection) -> bool:
    """Whether the next statement would be a transaction by itself."""
    raw: Any = connection.connection.driver_connection
    asked = getattr(raw, "get_autocommit", None)
    return asked is not None and bool(asked()) and not raw.server_status & SERVER_STATUS_IN_TRANS


def begin(connection: Connection) -> bool:
    """Begin a transaction where each statement would be one by itself; whether that was so."""
    alone = autocommits(connection)
    if alone:
        connection.exec_driver_sql("BEGIN")
    return alone


def is_streaming(connection: Connection) -> bool:
    """Whether rows of a result are still on their way, which the next statement would throw away."""
    return pymysql_compat.is_streaming(connection.connection.driver_connection)


def check_idle(connection: Connection) -> None:
    """Raise NotSupported if rows of a result are still on their way."""
    if is_streaming(connection):
        raise NotSupported(
            "A result of this connection is not read to its end (yield_per, stream_results).",
            why="The driver throws the rest of it away at the next statement.",
            hint="Read it first, or on another connection.",
        )


def not_writable(error: DBAPIError, what: str) -> NotWritable | None:
    """The error for a transaction that only reads; None for other refusals."""
    if number_of(error) not in _ONLY_READS:
        return None
    return NotWritable(
        what, why=words_of(error), hint="Write in a transaction that may, on a server that may."
    )
