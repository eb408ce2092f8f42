"""The server's error number decides what a refusal means; its own words are kept."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from penstock.backends.faults import cause_of, found_in
from penstock.errors import (
    DatabaseMissing,
    HostRefused,
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
    TlsFailed,
)

# https://mariadb.com/docs/server/reference/error-codes
EXISTS = 1007
NOT_THERE = frozenset({1008, 1049})
"""DROP, or any use, of a database that is not there."""

NO_ENTRY = frozenset({1044, 1049})
"""A connection to a database that is not there, or that the user may not see."""

NO_RIGHT = frozenset({1142, 1143, 1044, 1227})
"""The user may not do that."""

NO_LOGIN = frozenset({1045, 1698, 1820, 1862, 3118, 4151})
WAITED = 1205
NO_SUCH_THREAD = 1094
NOT_OWNER = 1095

GONE = frozenset({1046, 1049, 1053, 1927, 2006, 2013, 2014, 4031})
"""The session was ended, or its database is no longer there."""

_KINDS: tuple[tuple[frozenset[int], type[PenstockError], str], ...] = (
    (NO_LOGIN, LoginRefused, "Check the service's user and its password: penstock services test"),
    (
        frozenset({1044, 1095, 1142, 1143, 1227, 1370, 1410, 1419, 1557, 1873, 4163}),
        PermissionRefused,
        "Grant the user what it lacks, or use a service whose user has it.",
    ),
    (frozenset({1129, 1130}), HostRefused, "Let the user in from this host."),
    (frozenset({3159}), TlsFailed, "Add ?ssl_ca=FILE to the address."),
    (NOT_THERE, DatabaseMissing, "Run the command again."),
    (frozenset({1040, 1203}), ServerFull, "Wait, or raise max_connections on the server."),
    (frozenset({1226}), ServerError, "Wait, or raise what the user may have of the server."),
    (frozenset({1053}), ServerNotReady, "Wait until the server has started, then run the command again."),
    (frozenset({3, 28, 1021, 1114}), StorageUnavailable, "Free space on the server's disk."),
    (frozenset({WAITED}), StoreBusy, "Wait for the other one to end, then run the command again."),
    (frozenset({1235, 1286, 4161}), NotSupported, "Use a server or a version that can."),
    (
        frozenset({1927, 2002, 2003, 2006, 2013, 2014, 4031}),
        ServerUnreachable,
        "Check that the server runs and can be reached from here.",
    ),
)


def number_of(error: BaseException) -> int | None:
    """The server's number of an error, or the client's own; None if it has none."""
    cause = cause_of(error)
    number = cause.args[0] if cause is not None and cause.args else None
    return number if isinstance(number, int) else None


def may_be_login(error: BaseException) -> bool:
    """Whether a refusal may be due to the password."""
    return number_of(error) in NO_LOGIN


def words_of(error: BaseException) -> str:
    """What the server, or the driver, said."""
    cause = cause_of(error)
    said = cause.args[-1] if cause is not None and cause.args else cause
    return " ".join(str(said).split())


def was_ended(error: Exception) -> bool:
    """Whether an error says that the session, or its database, was taken away."""
    if type(found_in(error)) not in (DatabaseMissing, ServerUnreachable, type(None)):
        return False  # No server answered as it should: there is no use in asking at once again.
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return number_of(error) in GONE


def translated(error: Exception, what: str) -> PenstockError:
    """A driver's error as one of ours."""
    if isinstance(error, PenstockError):
        return error
    found = found_in(error)
    if found is not None:
        return found.anew(what)
    number = number_of(error)
    why = words_of(error) if number is None else f"{words_of(error)} (error {number})"
    for numbers, kind, hint in _KINDS:
        if number in numbers:
            return kind(what, why=why, hint=hint)
    return ServerError(what, why=why)
