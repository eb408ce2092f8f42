"""Dropped stores are kept for a while: brought back, or let go for good."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from penstock.connect.acting import acting_for
from penstock.provision.results import Recorder, UndropResult
from penstock.registry.shape import KEEP_DROPPED

if TYPE_CHECKING:
    from penstock.connect import AppLike, Sessions
    from penstock.provision.removal import Remover
    from penstock.provision.results import OnEvent, PurgeResult
    from penstock.registry import StoreEntry


class KeptStores:
    """The dropped stores that are kept: `stores.kept`.

    Args:
        stores: Know the apps.
        remover: Does the work.

    Attributes:
        days: For how long a dropped store is kept; default 7, 0 to keep none.
    """

    def __init__(self, stores: Sessions, remover: Remover) -> None:
        self._stores = stores
        self._remover = remover
        self.days = KEEP_DROPPED

    @property
    def time(self) -> timedelta:
        """The same as `days`."""
        return timedelta(days=self.days)

    def entries(self, app: AppLike | None = None) -> list[StoreEntry]:
        """What the registry remembers of them, the latest first.

        Args:
            app: The app, by default all; the package of one that is not here will do.
        """
        return self._remover.kept(None if app is None else self._stores.package(app))

    def undrop(
        self, app: AppLike, name: str, database: str | None = None, *, on_event: OnEvent | None = None
    ) -> UndropResult:
        """Restore a dropped store, as long as its database is kept.

        Args:
            app: The app; the package of one that is not here will do.
            name: The store.
            database: What its database is called meanwhile; by default that of the latest drop.
            on_event: Told of each step; see `Stores.sync`.

        Raises:
            UnknownStore: No such store is kept.
            StoreExists: There is a store of this name again.
        """
        package = self._stores.package(app)
        with acting_for(self._stores), Recorder(on_event) as record:
            record.address = self._remover.restore(package, name, database)
        return record.result(UndropResult, package, name).or_raise()

    def purge(self, *, every: bool = False, on_event: OnEvent | None = None) -> list[PurgeResult]:
        """Let dropped stores go for good.

        Args:
            every: Those too whose time is not over; default False.
            on_event: Told of each step; see `Stores.sync`.

        Returns:
            How each ended; one that fails does not stop the others.
        """
        with acting_for(self._stores):
            return self._remover.purge(every=every, on_event=on_event)
