"""The transaction state of a connection to PostgreSQL, as its driver knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from penstock.backends.postgresql.faults import (
    INSUFFICIENT_PRIVILEGE,
    diagnostics_of,
    sqlstate_of,
    words_of,
)
from penstock.errors import NotSupported, NotWritable

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.exc import DBAPIError

_HINTS = {
    "25P02": "Roll it back, or back to a savepoint, and write again.",
    "25006": "Write in a transaction that may.",
}
_KEPT_OUT = "ExecWithCheckOptions"
"""Where the server finds that a row is against a policy: its words for it are of any language."""


def autocommits(connection: Connection) -> bool:
    """Whether the next statement would be a transaction by itself."""
    said = getattr(connection.connection.dbapi_connection, "autocommit", False)
    return bool(said) and not _is_in_transaction(connection.connection.driver_connection)


def begin(connection: Connection) -> bool:
    """Begin a transaction where each statement would be one by itself; whether that was so."""
    alone = autocommits(connection)
    if alone:
        connection.exec_driver_sql("BEGIN")
    return alone


def _is_in_transaction(raw: Any) -> bool:
    if hasattr(raw, "is_in_transaction"):  # asyncpg's
        return bool(raw.is_in_transaction())
    return isinstance(raw, psycopg.BaseConnection) and raw.info.transaction_status != TransactionStatus.IDLE


def check_mode(connection: Connection) -> None:
    """Raise NotSupported for a connection in pipeline mode."""
    raw = connection.connection.driver_connection
    if isinstance(raw, psycopg.BaseConnection) and raw.pgconn.pipeline_status != PipelineStatus.OFF:
        raise NotSupported(
            "Rows can't be written on a connection in pipeline mode.",
            why="There is no COPY in a pipeline, and the server tells too late what became of a row.",
            hint="Write them before the pipeline, or after it.",
        )


def not_writable(error: DBAPIError, what: str) -> NotWritable | None:
    """The error for a transaction that has failed, or only reads; None for other refusals."""
    state = sqlstate_of(error) or ""
    return NotWritable(what, why=words_of(error), hint=_HINTS[state]) if state in _HINTS else None


def is_kept_out(error: DBAPIError) -> bool:
    """Whether a row is against a policy of its table, which has the SQLSTATE of a missing privilege."""
    said = diagnostics_of(error)
    function = getattr(said, "source_function", None) or getattr(said, "server_source_function", None)
    return sqlstate_of(error) == INSUFFICIENT_PRIVILEGE and function == _KEPT_OUT
