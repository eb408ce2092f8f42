"""SQLSTATE decides what a refusal means; the server's own words are kept."""

from __future__ import annotations

from psycopg import OperationalError
from psycopg.errors import ConnectionTimeout, FinishedPGconn
from sqlalchemy.exc import DBAPIError

from penstock.errors import (
    LoginRefused,
    NotSupported,
    PenstockError,
    PermissionRefused,
    ServerError,
    ServerUnreachable,
    StorageUnavailable,
    StoreBusy,
)

DUPLICATE = frozenset({"42P04", "23505"})
"""CREATE DATABASE lost a race: `duplicate_database`, or the catalog's own unique index."""

GONE = frozenset({"57P01", "57P02", "57P03", "3D000"})
"""The session was ended by an administrator, or the database is no longer there."""

_LOST = "consuming input failed"
"""How psycopg begins what it says of a session that was there."""

INSUFFICIENT_PRIVILEGE = "42501"
IN_USE = "55006"
NOT_THERE = "3D000"

_BY_STATE: tuple[tuple[str, type[PenstockError], str], ...] = (
    (
        INSUFFICIENT_PRIVILEGE,
        PermissionRefused,
        "Grant the role what it lacks, or use a service whose role has it.",
    ),
    ("28", LoginRefused, "Check the service's user and its password: penstock services test"),
    (NOT_THERE, ServerError, "Run the command again."),
    ("53100", StorageUnavailable, "Free space on the server's disk."),
    ("53300", ServerError, "Wait, or raise max_connections on the server."),
    ("53", ServerError, "The server lacks a resource; look at its log."),
    ("55P03", StoreBusy, "Wait for the other sync to end, then run the command again."),
    (IN_USE, StoreBusy, "End the sessions that use the database, then run the command again."),
    ("57P", ServerUnreachable, "Wait until the server has started, then run the command again."),
    ("08", ServerUnreachable, "Check that the server runs and can be reached from here."),
    ("0A000", NotSupported, "Use a server or a version that can."),
)


def sqlstate_of(error: BaseException) -> str | None:
    """The five characters of the SQL standard, where the server gave them."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


def diagnostics_of(error: BaseException) -> object | None:
    """What the driver has of the server's other fields, such as the column; asyncpg's are in the cause."""
    cause = getattr(error, "orig", error)
    return getattr(cause, "diag", None) or getattr(cause, "__cause__", None)


def no_answer(error: BaseException) -> bool:
    """Whether nothing answered in time, so that asking again would only take as long again."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, ConnectionTimeout)


def forget_password(error: BaseException) -> None:
    """Take the password out of a refused connection's error: psycopg keeps all it was told in `pgconn`."""
    attempt = getattr(error, "pgconn", None)
    if isinstance(attempt, FinishedPGconn):
        attempt.password, attempt.info = b"", []


def was_cut(error: BaseException) -> bool:
    """Whether a session was lost, and the driver can say no more: no SQLSTATE."""
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    if not isinstance(cause, OperationalError) or cause.sqlstate is not None or cause.pgconn is not None:
        return False
    # Without a statement it was never connected, when asking again would not help; or lost on the way.
    return error.statement is not None or str(cause).startswith(_LOST)


def translated(error: Exception, what: str) -> PenstockError:
    """A driver's error as one of ours."""
    if isinstance(error, PenstockError):
        return error
    state = sqlstate_of(error)
    words = words_of(error)
    if state is None:
        return _without_state(error, what, words)
    for prefix, kind, hint in _BY_STATE:
        if state.startswith(prefix):
            return kind(what, why=f"{words} (SQLSTATE {state})", hint=hint)
    return ServerError(what, why=f"{words} (SQLSTATE {state})")


def words_of(error: Exception) -> str:
    """What the server, or the driver, said."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    diagnostics = getattr(cause, "diag", None)
    primary = getattr(diagnostics, "message_primary", None)
    detail = getattr(diagnostics, "message_detail", None)
    if primary:
        return f"{primary} {detail}" if detail else str(primary)
    return " ".join(str(cause).split())


def _without_state(error: Exception, what: str, words: str) -> PenstockError:
    """libpq gives no SQLSTATE for a refused connection; whether it sent a password is known."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    attempt = getattr(cause, "pgconn", None)
    if attempt is not None and (attempt.used_password or attempt.needs_password):
        return LoginRefused(
            what, why=words, hint="Check the service's user and its password: penstock services test"
        )
    return ServerUnreachable(what, why=words, hint="Check that the server runs and can be reached from here.")
