"""Errors of servers and files, and of what a backend can't do."""

from __future__ import annotations

from penstock.errors.base import PenstockError


class ServerError(PenstockError):
    """The server refused a statement; its own words and its SQLSTATE are given."""

    code = "server-refused"


class ServerUnreachable(ServerError):
    """Nothing answers at the service's address, or it does not speak the expected protocol."""

    code = "server-unreachable"


class LoginRefused(ServerError):
    """The server does not accept the service's user or password."""

    code = "login-refused"


class PermissionRefused(ServerError):
    """The service's role lacks a privilege (SQLSTATE 42501)."""

    code = "permission-refused"


class StorageUnavailable(ServerError):
    """A directory or file can't be read or written: missing, read-only, full, not a database."""

    code = "storage-unavailable"


class BudgetExhausted(PenstockError, TimeoutError):
    """Every connection that this process may have to a server is in use, and none became free in time."""

    code = "budget-exhausted"


class NotSupported(PenstockError):
    """The backend can't do what was asked of it."""

    code = "not-supported"


class EmbeddedError(PenstockError):
    """The embedded PostgreSQL server can't be made, started or stopped."""

    code = "embedded-failed"


class BinariesNotFound(EmbeddedError):
    """No PostgreSQL server binaries were found for the embedded server."""

    code = "embedded-binaries-not-found"
