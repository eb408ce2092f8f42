"""How databases are made, found and dropped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Server
    from penstock.errors import PenstockError


class Databases(ABC):
    """How one dialect makes, finds and drops databases."""

    @abstractmethod
    def exists(self, address: DatabaseAddress) -> bool:
        """Ask the server whether the database is there."""

    @abstractmethod
    def create(self, address: DatabaseAddress) -> bool:
        """Make the database; False if it was there already (made by someone else just now)."""

    @abstractmethod
    def drop(self, address: DatabaseAddress, last: str = "") -> bool:
        """Drop the database and end its connections; False if it was not there.

        Args:
            address: The database.
            last: The table that goes last, where they go one by one.
        """

    @abstractmethod
    def databases(self, server: Server, prefix: str) -> list[str]:
        """The databases whose names begin so."""

    def make_home(self, address: DatabaseAddress) -> None:
        """Make what a database of Penstock's own needs around it, such as a folder; by default nothing."""

    def has_home(self, address: DatabaseAddress) -> bool:
        """Whether that is there; without it, there is no database either."""
        return True

    def clone(self, source: DatabaseAddress, address: DatabaseAddress) -> bool:
        """Make the database as a copy of another one on the same server; False if it was there already.

        Raises:
            StoreBusy: Somebody uses the other one.
            NotSupported: It makes none.
        """
        raise NotSupported(f"Service {address.server.service} makes no copies of databases.")

    def prepare(self, address: DatabaseAddress) -> None:
        """Set a new database up before its record is written; safe to repeat. By default nothing."""

    def is_prepared(self, connection: Connection) -> bool:
        """Whether a database is set up as `prepare` does it; a drop that was killed may have undone that."""
        return True

    def enable_spatial(self, address: DatabaseAddress) -> None:
        """Give the database spatial types; safe to repeat. By default nothing."""

    def spatial_problem(self, address: DatabaseAddress, *, exists: bool) -> PenstockError | None:
        """Why this database can't be a spatial store, or None; by default it can't.

        Args:
            address: The database.
            exists: Whether it is there already.
        """
        return NotSupported(f"Service {address.server.service} has no spatial types.")
