"""What every registry answers, and what a writable one remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.registry.service import (
        Credential,
        JournalEntry,
        Link,
        RegistryIdentity,
        Service,
        StoreEntry,
    )


class Readable(Protocol):
    """Answers which services there are, and which setting is linked to which service."""

    @property
    def label(self) -> str:
        """What people call the place it answers from."""

    def services(self) -> Sequence[Service]:
        """Every service, by name."""

    def links(self) -> Sequence[Link]:
        """Every link, by app and setting."""

    def generation(self, max_age: float = 0.0) -> int:
        """A number that changes whenever a service, a link, or a known store's place changed.

        A new store changes nothing that anybody has looked up before, so it need not count.

        Args:
            max_age: An answer of this many seconds ago will do, if nothing was written by this
                object since; while another thread asks, the last answer is given at once. Default
                0: ask now.

        Raises:
            RegistryError: The registry can't be asked.
        """


class Registry(Readable, Protocol):
    """Also remembers: services, links, stores, and what was done to them.

    Each call is one transaction, whole or not at all; any number of threads, processes and hosts may
    write at once. Every row has a version, which counts how often it was written.
    """

    @property
    def lasting(self) -> bool:
        """Whether it still knows tomorrow, in another process, what it is told now."""

    def identity(self, *, make: bool = False) -> RegistryIdentity:
        """Which registry it is.

        Args:
            make: Whether its database is made, if it is not there; else one that was never written to has
                an id that nobody has. Default False.
        """

    def put_service(self, service: Service, *, replace: bool = False) -> None:
        """Remember a service.

        An edit is made from what was read, so it says by `id` and `version` what that was, and the
        second of two edits of one version is refused rather than the first one lost.

        Args:
            service: What to remember. Its `id` is kept, or given if it is empty; its `version` is that
                of what it was made from, 0 for a new one.
            replace: Whether it takes the place of the service it was made from; default False.

        Raises:
            ServiceExists: There is one of this name, and it may not be replaced.
            RegistryConflict: Somebody changed or removed it since it was read.
        """

    def remove_service(self, name: str) -> None:
        """Forget a service; nothing happens if there is none."""

    def put_link(self, link: Link) -> None:
        """Link a service to a setting, in place of what was linked before.

        The last one wins: it says all there is to say, and needs nothing of what was there before.
        """

    def remove_link(self, app: str, setting: str) -> bool:
        """Unlink; False if nothing was linked."""

    def stores(self, app: str | None = None, name: str | None = None) -> Sequence[StoreEntry]:
        """Every remembered store, or those of one app, or of one name, in order; also where they were."""

    def find_store(self, app: str, name: str) -> StoreEntry | None:
        """Where this store is now, or None; never one where it was (`StoreState.is_current`)."""

    def put_store(self, entry: StoreEntry) -> None:
        """Remember where a store is; where it was before is kept as left behind.

        An entry of where a store was changes nothing of where it is.

        The last one wins: it tells how the last work on the store ended. Which store a database belongs
        to is decided once, by the first one.

        Raises:
            NameCollision: The database belongs to another store.
        """

    def remove_store(self, entry: StoreEntry) -> None:
        """Forget one place a store is or was; nothing happens if it is not known."""

    def credentials(self, service: str | None = None, database: str | None = None) -> Sequence[Credential]:
        """The logins of one store, or of all stores of a service, or of all; the oldest first."""

    def put_credentials(
        self, credentials: Sequence[Credential], *, instead_of: Sequence[Credential] = ()
    ) -> None:
        """Remember logins, in place of those of the same ids: all of them, or none.

        Args:
            credentials: What to remember.
            instead_of: What they were made from.

        Raises:
            RegistryConflict: Something that they were made from is not there any more as it was.
        """

    def remove_credentials(self, credentials: Sequence[Credential]) -> None:
        """Forget logins; those that are not known don't matter."""

    def write_journal(self, entry: JournalEntry) -> None:
        """Add an entry to the journal."""

    def journal(self, limit: int = 100) -> Sequence[JournalEntry]:
        """The latest entries of the journal, newest first."""

    def close(self) -> None:
        """Let go of files and connections; the registry stays usable."""
