"""A registry in memory: the reference behaviour, and what tests and scripts use."""

from __future__ import annotations

from dataclasses import replace
from threading import RLock
from typing import TYPE_CHECKING

from penstock.engines import fork
from penstock.registry.conflicts import check_unchanged, collision, moved, successor
from penstock.registry.service import (
    Credential,
    JournalEntry,
    Link,
    RegistryIdentity,
    Service,
    StoreEntry,
    StoreState,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class MemoryRegistry:
    """Remembers for as long as the process lives.

    >>> registry = MemoryRegistry()
    >>> registry.put_service(Service(name="local", url="sqlite:///stores"))
    >>> [service.name for service in registry.services()]
    ['local']
    """

    label = "this process"
    lasting = False

    def __init__(self) -> None:
        self._lock = RLock()
        self._services: dict[str, Service] = {}
        self._links: dict[tuple[str, str], Link] = {}
        self._stores: dict[tuple[str, str], StoreEntry] = {}
        self._credentials: dict[str, Credential] = {}
        self._journal: list[JournalEntry] = []
        self._generation = 0
        fork.remember(self)

    def after_fork(self) -> None:
        """In a child of fork: make a new lock, for the thread that held the old one is gone."""
        self._lock = RLock()

    def generation(self, max_age: float = 0.0) -> int:
        """How often a service, a link, or a known store's place changed."""
        return self._generation

    def identity(self, *, make: bool = False) -> RegistryIdentity:
        """The identity of a registry that is not stored anywhere."""
        return RegistryIdentity(label=self.label)

    def services(self) -> Sequence[Service]:
        """Every service, by name."""
        with self._lock:
            return [self._services[name] for name in sorted(self._services)]

    def put_service(self, service: Service, *, replace: bool = False) -> None:
        """Remember a service; raises ServiceExists, or RegistryConflict if it was changed meanwhile."""
        with self._lock:
            before = self._services.get(service.name)
            self._services[service.name] = successor(before, service, replacing=replace)
            self._generation += 1

    def remove_service(self, name: str) -> None:
        """Forget a service; nothing happens if there is none."""
        with self._lock:
            self._generation += self._services.pop(name, None) is not None

    def links(self) -> Sequence[Link]:
        """Every link, by app and setting."""
        with self._lock:
            return [self._links[key] for key in sorted(self._links)]

    def put_link(self, link: Link) -> None:
        """Link a service to a setting, in place of what was linked before."""
        with self._lock:
            key = link.app, link.setting
            before = self._links.get(key)
            version = 1 if before is None else before.version + 1
            self._links[key] = replace(link, version=version)
            self._generation += 1

    def remove_link(self, app: str, setting: str) -> bool:
        """Unlink; False if nothing was linked."""
        with self._lock:
            removed = self._links.pop((app, setting), None) is not None
            self._generation += removed
            return removed

    def stores(self, app: str | None = None, name: str | None = None) -> Sequence[StoreEntry]:
        """Every remembered store, or those of one app, or of one name, in order; left ones too."""
        with self._lock:
            kept = [e for e in self._stores.values() if app in (None, e.app) and name in (None, e.name)]
            return sorted(kept, key=lambda e: (e.app, e.name, e.service, e.database))

    def find_store(self, app: str, name: str) -> StoreEntry | None:
        """Where this store is now, or None; never one where it was."""
        with self._lock:
            mine = (e for e in self._stores.values() if (e.app, e.name) == (app, name))
            return next((e for e in mine if e.state.is_current), None)

    def put_store(self, entry: StoreEntry) -> None:
        """Remember where a store is; where it was before is kept as left behind."""
        with self._lock:
            other = self._stores.get((entry.service, entry.database))
            if other is not None and (other.app, other.name) != (entry.app, entry.name):
                raise collision(other, entry)
            before = self.find_store(entry.app, entry.name) if entry.state.is_current else None
            if before is not None and moved(before, entry):
                left = replace(before, state=StoreState.LEFT, version=before.version + 1)
                self._stores[before.service, before.database] = left
            version = 1 if other is None else other.version + 1
            self._stores[entry.service, entry.database] = replace(entry, version=version)
            self._generation += entry.state.is_current and moved(before, entry)

    def remove_store(self, entry: StoreEntry) -> None:
        """Forget one place a store is or was; nothing happens if it is not known."""
        with self._lock:
            self._generation += self._stores.pop((entry.service, entry.database), None) is not None

    def credentials(self, service: str | None = None, database: str | None = None) -> Sequence[Credential]:
        """The logins of one store, or of all stores of a service, or of all; the oldest first."""
        with self._lock:
            kept = [
                each
                for each in self._credentials.values()
                if service in (None, each.service) and database in (None, each.database)
            ]
        return sorted(kept, key=lambda each: (each.since, each.id))

    def put_credentials(
        self, credentials: Sequence[Credential], *, instead_of: Sequence[Credential] = ()
    ) -> None:
        """Remember logins, in place of those of the same ids; raises RegistryConflict if they changed."""
        with self._lock:
            check_unchanged(instead_of, self._credentials)
            self._credentials.update({each.id: each for each in credentials})
            self._generation += 1

    def remove_credentials(self, credentials: Sequence[Credential]) -> None:
        """Forget logins; those that are not known don't matter."""
        with self._lock:
            for each in credentials:
                self._generation += self._credentials.pop(each.id, None) is not None

    def write_journal(self, entry: JournalEntry) -> None:
        """Add an entry to the journal."""
        with self._lock:
            self._journal.append(entry)

    def journal(self, limit: int = 100) -> Sequence[JournalEntry]:
        """The latest entries of the journal, newest first."""
        with self._lock:
            return list(reversed(self._journal[-limit:]))

    def close(self) -> None:
        """Does nothing: there is nothing to close."""
