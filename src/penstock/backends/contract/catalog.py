"""What a server says of itself, and what is in a database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.backends.address import Server


class Catalog(ABC):
    """What one dialect's servers say of themselves and their databases."""

    @abstractmethod
    def has_table(self, connection: Connection, table: str) -> bool:
        """Whether a plain table of this name is in the default schema.

        Never a view, nor a table at which somebody's code runs when it is read or written.
        """

    @abstractmethod
    def has_relations(self, connection: Connection, besides: str) -> bool:
        """Whether there are tables, views or sequences of a user's, besides the one named."""

    @abstractmethod
    def size(self, connection: Connection) -> int:
        """The database's size in bytes."""

    @abstractmethod
    def version(self, server: Server) -> str:
        """The server's version; connects, so it is also the test of a service."""

    def connection_limit(self, server: Server) -> int | None:
        """The most connections the server gives to all its clients together; None if there is no limit."""
        return None
