"""Errors of servers and files, and of what a backend can't do."""

from __future__ import annotations

from typing import Self

from penstock.errors.base import PenstockError

__all__ = [
    "BinariesNotFound",
    "BudgetExhausted",
    "DatabaseMissing",
    "EmbeddedError",
    "HostRefused",
    "HostUnknown",
    "LoginRefused",
    "NotAllowed",
    "NotSupported",
    "PermissionRefused",
    "ServerError",
    "ServerFull",
    "ServerNotReady",
    "ServerSilent",
    "ServerUnreachable",
    "StorageUnavailable",
    "TlsFailed",
    "WrongObject",
    "WrongProtocol",
]


class ServerError(PenstockError):
    """The server refused a statement; its own words and its SQLSTATE are given."""

    code = "server-refused"

    def anew(self, what: str = "") -> Self:
        """The same error without a traceback, which holds on to much.

        Args:
            what: What failed because of it; what is known of the cause then tells why.
        """
        why = f"{self.what} {self.why}".strip() if what else self.why
        return type(self)(what or self.what, why=why, hint=self.hint)


class ServerFull(ServerError):
    """The server has no connection left: for anybody, for this role, or for this database."""

    code = "server-full"


class DatabaseMissing(ServerError):
    """The server has no database of the name that an address gives."""

    code = "database-missing"


class ServerUnreachable(ServerError):
    """Nothing answers at the service's address, or what answers hangs up."""

    code = "server-unreachable"


class HostUnknown(ServerUnreachable):
    """The name of the host in an address leads to no machine."""

    code = "host-unknown"


class ServerSilent(ServerUnreachable):
    """Nothing answers in time at the service's address, though something may take the connection."""

    code = "server-silent"


class ServerNotReady(ServerUnreachable):
    """The server is starting up, or shutting down (SQLSTATE 57P03, 57P01)."""

    code = "server-not-ready"


class WrongProtocol(ServerUnreachable):
    """What answers at the service's address is no server of the kind that the address names."""

    code = "wrong-protocol"


class TlsFailed(ServerUnreachable):
    """The line could not be encrypted: no TLS on one side, or a certificate that is not trusted."""

    code = "tls-failed"


class LoginRefused(ServerError):
    """The server does not accept the service's user or password."""

    code = "login-refused"


class HostRefused(LoginRefused):
    """The server refuses this user from here, whatever the password: no entry in `pg_hba.conf`, or no
    account for this host.
    """

    code = "host-refused"


class PermissionRefused(ServerError):
    """The service's role lacks a privilege (SQLSTATE 42501)."""

    code = "permission-refused"


class NotAllowed(PermissionRefused):
    """The login is right, but the role may not connect to the database; the grant that it lacks is named."""

    code = "not-allowed"


class StorageUnavailable(ServerError):
    """A directory or file can't be read or written: missing, read-only, full, not a database."""

    code = "storage-unavailable"


class BudgetExhausted(PenstockError, TimeoutError):
    """Every connection that this process may have to a server is in use, and none became free in time."""

    code = "budget-exhausted"


class NotSupported(PenstockError):
    """The backend can't do what was asked of it."""

    code = "not-supported"


class WrongObject(NotSupported, TypeError):
    """A function is given an object of a kind that it can't work with, such as an `AsyncSession`."""

    code = "object-of-wrong-kind"


class EmbeddedError(PenstockError):
    """The embedded PostgreSQL server can't be made, started or stopped."""

    code = "embedded-failed"


class BinariesNotFound(EmbeddedError):
    """No PostgreSQL server binaries were found for the embedded server."""

    code = "embedded-binaries-not-found"
