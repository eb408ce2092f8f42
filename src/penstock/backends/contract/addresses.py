"""How an address is read, and what a database is called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress, Server


class Addresses(ABC):
    """How one dialect reads addresses, and what it calls databases and servers."""

    @abstractmethod
    def normalise(self, url: URL) -> URL:
        """The same address with a driver Penstock uses; raises ConfigError for a bad one."""

    @abstractmethod
    def split(self, url: URL) -> tuple[URL, str]:
        """A store's full URL as a service's URL and a database name."""

    @abstractmethod
    def store_url(self, address: DatabaseAddress) -> URL:
        """The URL of a store, without its password."""

    @abstractmethod
    def server_key(self, server: Server) -> str:
        """What a server is called: the same for all services that lead to it, without the user."""

    def sync_url(self, url: URL) -> URL:
        """The same address with the driver for threads, if it asks for one for event loops."""
        return url

    def password_audience(self, url: URL) -> URL:
        """The parts of an address that decide who receives its password, and how safely."""
        return url.set(database="")

    def display_name(self, address: DatabaseAddress) -> str:
        """What a message calls the database: by its name, or by its file."""
        return address.database

    def check_name(self, database: str) -> None:
        """Raise InvalidName for a database name this backend can't carry; by default it can carry all."""

    def connection_address(self, server: Server, label: str) -> DatabaseAddress:
        """The database that a plain connection to the server goes to; raises NotSupported."""
        raise NotSupported(
            f"Service {server.service} has no connections but those to its stores.",
            hint="get_persistent_store_database(NAME) of a store; this setting still serves to make stores.",
        )
