"""Stores, the one object that ties declare to connect."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Self

from penstock.connect import Address, AddressBook, AppLike, EngineCache, ServiceAccount, Sessions
from penstock.connect.acting import on_its_behalf
from penstock.connect.health import ServiceHealth, health_of, server_version
from penstock.connect.rotation import rotate_password
from penstock.declare import AppDeclaration, StoreName
from penstock.engines import BudgetState, EngineOptions, budget_states
from penstock.errors import PenstockError
from penstock.provision.dynamic import DynamicStores, NewStore
from penstock.provision.fleet import in_parallel
from penstock.provision.inspection import Inspector
from penstock.provision.provisioner import Provisioner, SyncOptions, is_optional
from penstock.provision.removal import Remover
from penstock.provision.results import (
    DropResult,
    OnEvent,
    PurgeResult,
    Recorder,
    SyncResult,
    UndropResult,
)
from penstock.provision.roles import RolePolicy
from penstock.provision.rotation import Rotator
from penstock.registry import Bindings, Registry, Service, StoreEntry
from penstock.registry.operator import Operator
from penstock.registry.shape import KEEP_DROPPED
from penstock.secrets import Keyring
from penstock.stores.configured import config_at, keyring_of, registry_of
from penstock.stores.logins import StoreLogins

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from penstock.provision.plan import Plan
    from penstock.provision.status import StoreStatus
    from penstock.registry.file import FileConfig


class Stores(Sessions):
    """The `Stores` object: asks where a store is, hands out its engine, makes it, drops it.

    Args:
        registry: Services, links and remembered stores.
        bindings: Addresses in the environment; the process's own by default.
        engine_options: How engines pool their connections.
        apps: The apps it shall know by name.
        keyring: Opens and seals passwords; by default with the keys in `PENSTOCK_KEY`.

    Attributes:
        logins: Gives stores new logins.
        keep_dropped: Days for which a dropped store can be brought back; default 7, 0 for none.
        broken_apps: Why apps could not be imported, by package; their stores are no orphans.

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
        self.keep_dropped = KEEP_DROPPED
        self.config: FileConfig | None = None
        self.broken_apps: dict[str, PenstockError] = {}
        self.operator = Operator(registry)
        self._roles = RolePolicy(registry, self.book, self._engines, self.keyring)
        self._provisioner = Provisioner(registry, self.book, self._engines, self._roles)
        self._inspector = Inspector(registry, self.book, self._provisioner, self._roles, self._engines)
        self.logins = StoreLogins(
            self, self._provisioner, Rotator(registry, self.book, self._engines, self._roles)
        )
        self._remover = Remover(registry, self.book, self._engines, self._provisioner)
        self.run_time = DynamicStores(registry, self.book, self._provisioner)

    @classmethod
    def from_config(cls, path: Path | str | None = None) -> Self:
        """The `Stores` object that a `penstock.toml` describes.

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
            found.config, found.keep_dropped = config, config.keep_dropped
        return found

    # --- look ---

    def names(self, app: AppLike) -> list[str]:
        """Every store of an app, created or not: the declared ones, then those made at run time."""
        return self._provisioner.names(self.declaration(app))

    def members(self, app: AppLike, kind: str) -> list[str]:
        """The stores of one kind, by the names they have within it."""
        self.declaration(app).get_kind(kind)
        return self._provisioner.members(self.declaration(app), kind)

    def exists(self, app: AppLike, name: str) -> bool:
        """Ask the server whether the store is there, ours, and complete.

        Raises:
            ServerError: The server can't be asked.
        """
        return self._inspector.exists(self.declaration(app), name)

    def status(self, app: AppLike | None = None) -> list[StoreStatus]:
        """What every store is like right now; those that no app uses come last (see `left_over`)."""
        apps = self.apps if app is None else [self.declaration(app)]
        statuses = [self.store_status(each, name) for each in apps for name in self.names(each)]
        return statuses + self.left_over(None if app is None else apps[0].package)

    def orphans(self) -> list[StoreStatus]:
        """What the remembered stores are like that their apps declare no more, or that were left behind."""
        return self._inspector.orphans(self.apps)

    def broken(self) -> list[StoreStatus]:
        """What the remembered stores are like whose apps can't be imported, or are not here."""
        return self._inspector.broken(self.apps, self.broken_apps)

    def left_over(self, package: str | None = None) -> list[StoreStatus]:
        """The stores that no app here uses: of broken apps, orphans, dropped ones that are kept.

        Args:
            package: Those of one app only, which may be gone; of all by default.
        """
        left = [each for each in (*self.broken(), *self.orphans()) if package in (None, each.app)]
        return left + [self._inspector.kept(entry) for entry in self._remover.kept(package)]

    def selected(self, app: AppLike, names: Sequence[str] = ()) -> list[str]:
        """The stores that names, or names of kinds, stand for; all of the app's by default.

        Raises:
            UnknownStore: A name stands for nothing.
        """
        return self._provisioner.selected(self.declaration(app), names)

    def store_status(self, app: AppLike, name: str) -> StoreStatus:
        """What one store is like right now."""
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
        chosen = self.selected(declaration, names)
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

        Its database is kept under another name for `keep_dropped` days, where nobody can connect to it,
        and can be brought back by `undrop`; but not where the registry would not remember it.

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
        return self._drop(declaration, self.book.get(declaration, name), self._keep(now=now), on_event)

    @on_its_behalf
    def drop_remembered(
        self, entry: StoreEntry, *, now: bool = False, on_event: OnEvent | None = None
    ) -> DropResult:
        """Drop a store where the registry remembers it, though nobody declares it any more; see `drop`.

        Raises:
            StoreNotOurs: The database there is not this store's.
        """
        app = AppDeclaration(entry.app, entry.app, ())
        return self._drop(app, self.book.remembered(app, entry), self._keep(now=now), on_event)

    @on_its_behalf
    def undrop(
        self, app: AppLike, name: str, database: str | None = None, *, on_event: OnEvent | None = None
    ) -> UndropResult:
        """Let a dropped store be what it was, as long as it is kept.

        Args:
            app: The app; the package of one that is not here will do.
            name: The store.
            database: What its database is called meanwhile; by default that of the latest drop.
            on_event: Told of each step; see `sync`.

        Raises:
            UnknownStore: No such store is kept.
            StoreExists: There is a store of this name again.
        """
        package = app if isinstance(app, str) else self.declaration(app).package
        with Recorder(on_event) as record:
            record.address = self._remover.restore(package, name, database)
        return record.result(UndropResult, package, name).or_raise()

    def kept(self, app: AppLike | None = None) -> list[StoreEntry]:
        """The dropped stores that are kept, the latest first."""
        package = app if app is None or isinstance(app, str) else self.declaration(app).package
        return self._remover.kept(package)

    @on_its_behalf
    def purge(self, *, every: bool = False, on_event: OnEvent | None = None) -> list[PurgeResult]:
        """Let dropped stores go for good: those whose time is over, or all that are kept.

        Returns:
            How each ended; one that fails does not stop the others.
        """
        return self._remover.purge(every=every, on_event=on_event)

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

    def rotate_service(
        self, service: str, role: ServiceAccount = ServiceAccount.SERVICE, *, seal: bool = False
    ) -> Service:
        """Give a service's role a new password, on its server and here, while apps run.

        Args:
            service: The service.
            role: Whose password it is.
            seal: Whether a password that is kept elsewhere may be replaced by one in the registry.

        Raises:
            SecretError: The password is kept where Penstock can't change it.
            DefinedElsewhere: A file defines the service.
        """
        return rotate_password(self.registry, self.keyring, service, role, seal=seal)

    def link(self, service: str, app: AppLike, setting: str) -> None:
        """Link a service to a setting (see `Operator.link`)."""
        self.operator.link(service, self.declaration(app), setting, self.apps)
        self._engines.dispose()

    def unlink(self, app: AppLike, setting: str) -> bool:
        """Pull a service out of a setting; False if there was none. Its stores stay."""
        package = app if isinstance(app, str) else self.declaration(app).package
        unlinked = self.operator.unlink(package, setting)
        self._engines.dispose()
        return unlinked

    def server_version(self, service: str | Service, role: ServiceAccount = ServiceAccount.SERVICE) -> str:
        """Connect to a service; its server's version, or the reason it can't be used as an error."""
        asked = self.operator.get_service(service) if isinstance(service, str) else service
        return server_version(asked, self.keyring, role, self.book.connect_timeout)

    def check(self) -> list[ServiceHealth]:
        """How every service answers right now, and what this process has of its connections."""
        return [self._health(each) for each in self.registry.services()]

    def budgets(self) -> list[BudgetState]:
        """What this process has of each server's connections, and who uses them; asks nobody."""
        return budget_states()

    def close(self) -> None:
        """Close every idle connection; everything stays usable."""
        self._engines.close()
        self.registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _health(self, service: Service) -> ServiceHealth:
        health = health_of(service, self.keyring, self._engines)
        if not health.ok or not self._roles.are_known_to(service):
            return health
        try:
            problem = self._roles.problem_of(service)
        except PenstockError as error:
            problem = error
        return replace(health, roles=problem is None, no_roles=problem)

    def _keep(self, *, now: bool) -> timedelta:
        return timedelta(0) if now else timedelta(days=self.keep_dropped)

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

    def _drop(
        self, app: AppDeclaration, address: Address, keep: timedelta, on_event: OnEvent | None
    ) -> DropResult:
        existed, kept = False, None
        with Recorder(on_event) as record:
            record.address = address
            existed, kept = self._remover.drop(app, address, keep)
        result = record.result(DropResult, app.package, address.store.name, existed=existed, kept=kept)
        return result.or_raise()
