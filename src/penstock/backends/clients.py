"""Addresses as other programs take them, and the clients of each server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCommand:
    """How a database's own client program is started; no password is among its arguments.

    Args:
        program: What it is called.
        package: The package of Debian that it is in.
        arguments: What it is told on the command line.
        environment: Variables that it is given besides.
        file_option: The option that names a file to read, which comes first; empty for none.
        file: What is in that file, which only this user may read.
    """

    program: str
    package: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    file_option: str = ""
    file: str = field(default="", repr=False)


class ClientBackend(Protocol):
    """How one dialect's databases are told of to other programs.

    Every address is one of a database, with the password if it shall be in the answer.
    """

    def keywords(self, url: URL) -> str:
        """The address as libpq takes it: `host=… user=…`.

        Raises:
            NotSupported: It is none of PostgreSQL's.
        """

    def jdbc(self, url: URL) -> str:
        """The address as Java takes it.

        Raises:
            NotSupported: It can't say what this one says of TLS, or how to get there.
        """

    def environment(self, url: URL) -> Mapping[str, str]:
        """The variables that the dialect's own programs read.

        Raises:
            NotSupported: None can say what the address says of TLS.
        """

    def command(self, address: DatabaseAddress, url: URL, *, read_only: bool) -> ClientCommand:
        """The dialect's own program, in this database.

        Args:
            address: The database.
            url: Its address.
            read_only: Whether transactions shall refuse to write unless they are told to.

        Raises:
            StoreNotCreated: There is no database, and the program would make one.
            NotSupported: A session can't be made to refuse writing.
        """


class NoClients:
    """Tells no other program where a database is."""

    def keywords(self, url: URL) -> str:
        raise _unknown(url)

    def jdbc(self, url: URL) -> str:
        raise _unknown(url)

    def environment(self, url: URL) -> Mapping[str, str]:
        raise _unknown(url)

    def command(self, address: DatabaseAddress, url: URL, *, read_only: bool) -> ClientCommand:
        raise _unknown(url)


def _unknown(url: URL) -> NotSupported:
    return NotSupported(f"No other way is known to tell programs of a {url.get_backend_name()} database.")
