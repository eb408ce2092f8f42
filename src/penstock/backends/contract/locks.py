"""How those who work on a database, or under a name, wait for each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Server


class Locks(ABC):
    """How one dialect lets people wait for each other."""

    @abstractmethod
    def lock(
        self, address: DatabaseAddress, timeout: float, on: Connection | None = None
    ) -> AbstractContextManager[None]:
        """Hold the store's lock, waiting up to `timeout` seconds; raises StoreBusy.

        Args:
            address: The store.
            timeout: Seconds.
            on: A session of Penstock's own in the store, which may have the lock until that session ends,
                whatever others do on it; by default one for the block alone.
        """

    @abstractmethod
    def named_lock(
        self, server: Server, name: str, *, shared: bool = False, timeout: float
    ) -> AbstractContextManager[None]:
        """Hold a lock that all who use a server share by its name, or have it with others who share it.

        It is let go of with the block, or with the process.

        Raises:
            StoreBusy: Others had it for longer than `timeout` seconds.
        """

    def forget_lock(self, server: Server, name: str) -> None:
        """Remove what is left of a lock that nobody will ever want again; by default nothing is."""

    def lock_transaction(self, connection: Connection) -> None:
        """Let only one transaction at a time past this point in a database, until it ends.

        Raises:
            NotSupported: There is no such lock (see `Capabilities.transaction_locks`).
        """
        raise NotSupported(f"{connection.dialect.name} has no lock that ends with a transaction.")
