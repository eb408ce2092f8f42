"""SQLSTATE decides what a refusal means; the server's own words are kept."""

from __future__ import annotations

import psycopg
from psycopg import OperationalError
from psycopg.errors import FinishedPGconn
from sqlalchemy.exc import DBAPIError

from penstock.backends.faults import cause_of, found_in
from penstock.errors import (
    DatabaseMissing,
    LoginRefused,
    NotSupported,
    PenstockError,
    PermissionRefused,
    ServerError,
    ServerFull,
    ServerNotReady,
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

NO_LOGIN = "28"
"""How the SQLSTATE of a refused login begins."""

MAY_BE_LOGIN = (NO_LOGIN, "08P01")
"""The same, and what older versions of PgBouncer say of it."""

ELSEWHERE = frozenset({NOT_THERE, INSUFFICIENT_PRIVILEGE, "28000", "55000", "53300", None})
"""Who is refused so in one database may be let into another one; None where nothing is known."""

_LIMITS = {
    "InitializeSessionUserId": ("role", "raise the role's: ALTER ROLE … CONNECTION LIMIT …"),
    "CheckMyDatabase": ("database", "raise the database's: ALTER DATABASE … CONNECTION LIMIT …"),
}
"""Whose limit it is, by the function that checks it; otherwise the server's."""

_BY_STATE: tuple[tuple[str, type[PenstockError], str], ...] = (
    (
        INSUFFICIENT_PRIVILEGE,
        PermissionRefused,
        "Grant the role what it lacks, or use a service whose role has it.",
    ),
    (NO_LOGIN, LoginRefused, "Check the service's user and its password: penstock services test"),
    (NOT_THERE, DatabaseMissing, "Run the command again."),
    ("53100", StorageUnavailable, "Free space on the server's disk."),
    ("53300", ServerFull, "Wait, or raise max_connections on the server."),
    ("53", ServerError, "The server lacks a resource; look at its log."),
    ("55P03", StoreBusy, "Wait for the other sync to end, then run the command again."),
    (IN_USE, StoreBusy, "End the sessions that use the database, then run the command again."),
    ("57P", ServerNotReady, "Wait until the server has started, then run the command again."),
    ("08", ServerUnreachable, "Check that the server runs and can be reached from here."),
    ("0A000", NotSupported, "Use a server or a version that can."),
)


def sqlstate_of(error: BaseException) -> str | None:
    """The five characters of the SQL standard, where the server gave them."""
    cause = cause_of(error)
    state = getattr(cause, "sqlstate", None)
    return state if isinstance(state, str) else None


def diagnostics_of(error: BaseException) -> object | None:
    """What the driver has of the server's other fields, such as the column; asyncpg's are in the cause."""
    cause = getattr(error, "orig", error)
    return getattr(cause, "diag", None) or getattr(cause, "__cause__", None)


def is_about_database(state: str | None) -> bool:
    """Whether a refusal may be due to a database that is not there, or no longer; None is an unknown one."""
    return state is None or state in ELSEWHERE or state.startswith(NO_LOGIN)


def no_answer(error: BaseException) -> bool:
    """Whether no server answered, so that asking again would only take as long again."""
    return isinstance(found_in(error), ServerUnreachable)


def may_be_login(error: BaseException) -> bool:
    """Whether a refusal may be due to the password, as it may be without a SQLSTATE."""
    if not isinstance(error, psycopg.Error) or no_answer(error):
        return False
    return (error.sqlstate or NO_LOGIN).startswith(MAY_BE_LOGIN)


def full(routine: str, said: str, user: str, database: str) -> ServerFull:
    """The error of a server that has no connection left.

    Args:
        routine: The function of the server's that refused; it says whose limit is reached.
        said: What the server said.
        user: Who wanted in.
        database: Where to.
    """
    whose, hint = _LIMITS.get(routine, ("", "raise max_connections on the server."))
    limited = {"role": user, "database": database}.get(whose, "")
    return ServerFull(
        f"The server has no connection left{f' for the {whose} {limited}' if whose else ''}.",
        why=said,
        hint=f"Close connections, give processes fewer of them (max_connections of the service), or {hint}",
    )


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
    found = found_in(error)
    if found is not None:
        return found.anew(what)
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
    cause = cause_of(error)
    diagnostics = getattr(cause, "diag", None)
    primary = getattr(diagnostics, "message_primary", None)
    detail = getattr(diagnostics, "message_detail", None)
    if primary:
        return f"{primary} {detail}" if detail else str(primary)
    return " ".join(str(cause).split())


def _without_state(error: Exception, what: str, words: str) -> PenstockError:
    """A connection that was lost, or refused without a SQLSTATE that libpq could tell."""
    cause = cause_of(error)
    attempt = getattr(cause, "pgconn", None)
    if attempt is not None and (attempt.used_password or attempt.needs_password):
        return LoginRefused(
            what, why=words, hint="Check the service's user and its password: penstock services test"
        )
    return ServerUnreachable(what, why=words, hint="Check that the server runs and can be reached from here.")
