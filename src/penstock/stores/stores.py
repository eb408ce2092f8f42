"""Stores, the one object that ties declare to connect."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Self

from penstock.connect import Address, AddressBook, AppLike, EngineCache, Sessions
from penstock.connect.acting import on_its_behalf
from penstock.declare import AppDeclaration, StoreName
from penstock.engines import EngineOptions
from penstock.provision.dynamic import DynamicStores, NewStore
from penstock.provision.fleet import in_parallel
from penstock.provision.inspection import Inspector
from penstock.provision.provisioner import Provisioner, SyncOptions, is_optional
from penstock.provision.removal import Remover
from penstock.provision.results import (
    DropResult,
    OnEvent,
    Recorder,
    SyncResult,
)
from penstock.provision.roles import RolePolicy
from penstock.provision.rotation import Rotator
from penstock.registry import Bindings, Registry
from penstock.secrets import Keyring
from penstock.stores.configured import config_at, keyring_of, registry_of
from penstock.stores.connections import Connections
from penstock.stores.kept import KeptStores
from penstock.stores.links import Links
from penstock.stores.logins import StoreLogins
from penstock.stores.services import Services
from penstock.stores.unused import UnusedStores

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from penstock.provision.plan import Plan
    from penstock.provision.status import StoreStatus
    from penstock.registry.file import FileConfig


class Stores(Sessions):
    """Looks up where a store is, hands out its engine, creates it and drops it.

    Args:
        registry: Services, links and remembered stores.
        bindings: Addresses in the environment; the process's own by default.
        engine_options: How engines pool their connections.
        apps: The apps it shall know by name.
        keyring: Opens and seals passwords; by default with the keys in `PENSTOCK_KEY`.

    Attributes:
        logins: Gives stores new logins.
        services: The servers that stores can be on.
        connections: The connection settings of apps.
        links: Which service answers which setting.
        kept: The dropped stores that can be brought back.
        unused: The remembered stores that no app here uses.

    >>> from penstock import MemoryRegistry
    >>> stores = Stores(MemoryRegistry())
    >>> stores.registry.put_service(Service(name="local", url="sqlite:///stores"))
    """

    def __init__(
        self,
        registry: Registry,
        *,
        bindings: Bindings | None = None,
        engine_options: EngineOptions | None = None,
        apps: Iterable[AppLike] = (),
        keyring: Keyring | None = None,
    ) -> None:
        self.keyring = keyring or Keyring()
        book = AddressBook(registry, bindings or Bindings(), self.keyring)
        super().__init__(book, EngineCache(registry, book, engine_options or EngineOptions()), apps)
        self.registry = registry
        self.config: FileConfig | None = None
        self._roles = RolePolicy(registry, self.book, self._engines, self.keyring)
        self._provisioner = Provisioner(registry, self.book, self._engines, self._roles)
        self._inspector = Inspector(registry, self.book, self._provisioner, self._roles, self._engines)
        self.logins = StoreLogins(
            self, self._provisioner, Rotator(registry, self.book, self._engines, self._roles)
        )
        self._remover = Remover(registry, self.book, self._engines, self._provisioner)
        self.services = Services(registry, self.book, self._engines, self._roles, self.keyring)
        self.connections = Connections(self, self._engines)
        self.links = Links(self, registry, self._engines)
        self.kept = KeptStores(self, self._remover)
        self.unused = UnusedStores(self, self._inspector, self._remover, self.kept)
        self.run_time = DynamicStores(registry, self.book, self._provisioner)

    @classmethod
    def from_config(cls, path: Path | str | None = None) -> Self:
        """Make the `Stores` object that a `penstock.toml` describes.

        Args:
            path: The file; by default `PENSTOCK_CONFIG`, else looked for from the working
                directory upward. Without one, only the environment answers.

        Raises:
            ConfigError: The file can't be trusted, or something in it is wrong.
        """
        config = config_at(path)
        found = cls(
            registry_of(config),
            engine_options=None if config is None else config.engine,
            keyring=keyring_of(config),
        )
        if config is not None:
            found.config, found.kept.days = config, config.keep_dropped
        return found

    # --- look ---

    def names(self, app: AppLike, chosen: Sequence[str] = ()) -> list[str]:
        """The stores of an app, created or not: the declared ones, then those made at run time.

        Args:
            app: The app.
            chosen: Only these; the name of a kind stands for all of its stores.

        Raises:
            UnknownStore: One of these names stands for nothing.
        """
        return self._provisioner.selected(self.declaration(app), chosen)

    def exists(self, app: AppLike, name: str) -> bool:
        """Ask the server whether the store is there, ours, and complete.

        Raises:
            ServerError: The server can't be asked.
        """
        return self._inspector.exists(self.declaration(app), name)

    def status(self, app: AppLike | None = None) -> list[StoreStatus]:
        """The state of every store right now; those that no app uses come last (see `unused`)."""
        apps = self.apps if app is None else [self.declaration(app)]
        statuses = [self.store_status(each, name) for each in apps for name in self.names(each)]
        return statuses + self.unused.statuses(None if app is None else apps[0].package)

    def store_status(self, app: AppLike, name: str) -> StoreStatus:
        """The state of one store right now."""
        return self._inspector.status(self.declaration(app), name)

    # --- change ---

    @on_its_behalf
    def plan(self, app: AppLike, name: str, options: SyncOptions | None = None) -> Plan:
        """What a sync of one store would do now; changes nothing."""
        return self._provisioner.plan(self.declaration(app), name, options or SyncOptions())

    @on_its_behalf
    def sync(
        self,
        app: AppLike,
        names: Sequence[str] = (),
        options: SyncOptions | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> list[SyncResult]:
        """Bring an app's stores in line with its declaration, `options.jobs` at a time.

        A store that fails does not stop the others.

        Args:
            app: The app.
            names: Stores or kinds; all of the app's by default.
            options: How to sync.
            on_event: Called when a step begins and when it has ended well, on the thread that does it. What
                it raises ends that store's sync, and goes on to the caller.

        Returns:
            How each ended, in order.

        Raises:
            UnknownStore: A name stands for nothing.
        """
        declaration, options = self.declaration(app), options or SyncOptions()
        chosen = self.names(declaration, names)
        work = [partial(self._sync_one, declaration, name, options, on_event) for name in chosen]
        return in_parallel(work, options.jobs)

    @on_its_behalf
    def create(
        self,
        app: AppLike,
        name: str,
        asked: NewStore | None = None,
        options: SyncOptions | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> SyncResult:
        """Make a store at run time; idempotent.

        Args:
            app: The app.
            name: `KIND.NAME` for a store of a kind, or a plain name made through a connection.
            asked: The connection it is made through, and what belongs inside; not for a kind.
            options: How to sync.
            on_event: Told of each step; see `sync`.

        Raises:
            DeclarationError: The app declares a store of this name, otherwise.
            WrongSetting: There is no such kind, or the name is a connection setting's.
            ValueError: A plain store is new, and no connection is named.
        """
        declaration, options = self.declaration(app), options or SyncOptions()
        return self._create_one(declaration, name, asked or NewStore(), options, on_event).or_raise()

    @on_its_behalf
    def create_many(
        self,
        app: AppLike,
        names: Iterable[str],
        asked: NewStore | None = None,
        options: SyncOptions | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> list[SyncResult]:
        """Make several stores at run time, `options.jobs` at a time; see `create`.

        Returns:
            How each ended, in order; one that fails does not stop the others.
        """
        declaration, options = self.declaration(app), options or SyncOptions()
        asked = asked or NewStore()
        work = [partial(self._create_one, declaration, name, asked, options, on_event) for name in names]
        return in_parallel(work, options.jobs)

    @on_its_behalf
    def drop(
        self, app: AppLike, name: str, *, now: bool = False, on_event: OnEvent | None = None
    ) -> DropResult:
        """Drop a store; a declared store stays declared. Idempotent.

        Its database is kept under another name for `kept.days` days, where nobody can connect to it,
        and can be brought back by `kept.undrop`; but not where the registry would not remember it.

        Args:
            app: The app.
            name: The store.
            now: Drop the database for good; default False.
            on_event: Told of each step; see `sync`.

        Raises:
            StoreNotOurs: The database there is not this store's.
        """
        declaration = self.declaration(app)
        if declaration.find(StoreName(name).setting) is None and name not in self.names(declaration):
            return DropResult(app=declaration.package, store=name)
        keep = timedelta(0) if now else self.kept.time
        return self._remover.drop(declaration, self.book.get(declaration, name), keep, on_event)

    @on_its_behalf
    def adopt(self, app: AppLike, name: str, database: str | None = None, connection: str = "") -> Address:
        """Make an existing database this store's, with the data in it.

        Args:
            app: The app.
            name: The store; one that is not declared becomes one as the app makes at run time.
            database: The database's physical name; the store's own by default.
            connection: The connection setting whose server it is on, for a store that is not declared.
        """
        return self.run_time.adopt(self.declaration(app), StoreName(name), database, connection)

    def close(self) -> None:
        """Close every idle connection; everything stays usable."""
        self._engines.close()
        self.registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _sync_one(
        self, app: AppDeclaration, name: str, options: SyncOptions, on_event: OnEvent | None
    ) -> SyncResult:
        with Recorder(on_event) as record:
            self._provisioner.sync(app, name, options)
        skipped = is_optional(self._provisioner.contents(app, name), record.error)
        return record.result(SyncResult, app.package, name, skipped=skipped)

    def _create_one(
        self,
        app: AppDeclaration,
        name: str,
        asked: NewStore,
        options: SyncOptions,
        on_event: OnEvent | None,
    ) -> SyncResult:
        with Recorder(on_event) as record:
            self.run_time.create(app, StoreName(name), asked, options)
        return record.result(SyncResult, app.package, name)
