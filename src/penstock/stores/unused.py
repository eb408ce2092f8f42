"""The remembered stores that no app here uses."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from penstock.connect.acting import acting_for
from penstock.declare import AppDeclaration

if TYPE_CHECKING:
    from penstock.connect import Sessions
    from penstock.errors import PenstockError
    from penstock.provision.inspection import Inspector
    from penstock.provision.removal import Remover
    from penstock.provision.results import DropResult, OnEvent
    from penstock.provision.status import StoreStatus
    from penstock.registry import StoreEntry
    from penstock.stores.kept import KeptStores


class UnusedStores:
    """The remembered stores that no app here uses: `stores.unused`.

    Args:
        stores: Know the apps.
        inspector: Looks at stores.
        remover: Drops them.
        kept: Those that are dropped already.

    Attributes:
        broken_apps: Why apps could not be imported, by package; their stores are no orphans.
    """

    def __init__(self, stores: Sessions, inspector: Inspector, remover: Remover, kept: KeptStores) -> None:
        self._stores = stores
        self._inspector = inspector
        self._remover = remover
        self._kept = kept
        self.broken_apps: dict[str, PenstockError] = {}

    def orphans(self) -> list[StoreStatus]:
        """The stores that their apps no longer declare, or that were left behind on another service."""
        return self._inspector.orphans(self._stores.apps)

    def broken(self) -> list[StoreStatus]:
        """The stores whose apps can't be imported, or are not installed."""
        return self._inspector.broken(self._stores.apps, self.broken_apps)

    def statuses(self, package: str | None = None) -> list[StoreStatus]:
        """All of them: of broken apps, orphans, dropped ones that are kept.

        Args:
            package: Those of one app only, which may be gone; of all by default.
        """
        left = [each for each in (*self.broken(), *self.orphans()) if package in (None, each.app)]
        return left + [self._inspector.kept(entry) for entry in self._remover.kept(package)]

    def drop(self, entry: StoreEntry, *, now: bool = False, on_event: OnEvent | None = None) -> DropResult:
        """Drop a store where the registry remembers it; see `Stores.drop`.

        Args:
            entry: What the registry remembers.
            now: Drop the database for good; default False.
            on_event: Told of each step; see `Stores.sync`.

        Raises:
            StoreNotOurs: The database there is not this store's.
        """
        app = AppDeclaration(entry.app, entry.app, ())
        keep = timedelta(0) if now else self._kept.time
        with acting_for(self._stores):
            return self._remover.drop(app, self._stores.book.remembered(app, entry), keep, on_event)
