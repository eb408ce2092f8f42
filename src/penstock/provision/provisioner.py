"""Makes, syncs, adopts and drops stores, and keeps the registry up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from penstock.backends import keeping
from penstock.declare import AppDeclaration, DatabaseSetting, StoreName, Tables
from penstock.engines import LENT
from penstock.errors import NotLinked, PenstockError, StoreNotCreated, StoreNotOurs, UnknownStore
from penstock.provision.apply import Progress
from penstock.provision.connection import own_connection
from penstock.provision.context import SyncContext, look
from penstock.provision.facts import DesiredState, InitializerForm
from penstock.provision.initializers import FoundInitializer, find_initializer
from penstock.provision.record import StoreRecord, read_record
from penstock.provision.results import working_on
from penstock.provision.sync import plan_of, sync_store
from penstock.registry import Registry, RegistryIdentity, StoreEntry, StoreState, journalled
from penstock.registry.conflicts import collision
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from penstock.connect import Address, AddressBook, EngineCache
    from penstock.provision.plan import Plan
    from penstock.provision.roles import RolePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """How a sync is done.

    Args:
        refresh: Drop what is ours first, and begin anew.
        force_first_time: Tell initializers that it is the first time.
        lock_timeout: Seconds to wait for another sync of the same store.
        jobs: How many stores to work on at a time; default 1. Each needs up to four connections.
    """

    refresh: bool = False
    force_first_time: bool = False
    lock_timeout: float = 600.0
    jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What belongs inside a store: its setting's words, or what was said when it was made.

    Args:
        tables: The declared tables.
        initializer: The initializer, or its dotted path.
        spatial: Whether the store is spatial.
        required: Whether the app can't work without it.
    """

    tables: Tables | None = None
    initializer: str | Callable[..., object] = ""
    spatial: bool = False
    required: bool = True

    @classmethod
    def of(cls, setting: DatabaseSetting) -> Contents:
        """What a setting declares."""
        return cls(
            tables=setting.metadata,
            initializer=setting.initializer,
            spatial=setting.spatial,
            required=setting.required,
        )


class Provisioner:
    """The verbs that change stores.

    Args:
        registry: Remembers what was made.
        book: Where stores are.
        engines: The engines apps use, handed to initializers.
        roles: Decides which stores get roles of their own.

    Attributes:
        template_of: Tells the database that a missing store is copied from; None to make it from nothing.
    """

    def __init__(
        self, registry: Registry, book: AddressBook, engines: EngineCache, roles: RolePolicy
    ) -> None:
        self._registry = registry
        self._book = book
        self._engines = engines
        self._roles = roles
        self.template_of: Callable[[AppDeclaration, Address], str] | None = None

    def names(self, app: AppDeclaration) -> list[str]:
        """Every store of an app: the declared ones first, then those made at run time."""
        static = [s.name for s in app.databases if not s.many]
        return static + [e.name for e in self._entries(app) if e.dynamic and e.name not in static]

    def selected(self, app: AppDeclaration, names: Sequence[str] = ()) -> list[str]:
        """The stores that names stand for: one, or all of a kind; all for no name; raises UnknownStore."""
        every = self.names(app)
        if not names:
            return every
        chosen: list[str] = []
        for name in names:
            setting = app.find(name)
            if isinstance(setting, DatabaseSetting) and setting.many:
                chosen += [store for store in every if StoreName(store).kind == name]
            elif name in every:
                chosen.append(name)
            else:
                raise UnknownStore(
                    f"App {app.package} has no store {name!r}.",
                    hint=did_you_mean(name, [*every, *(kind.name for kind in app.databases if kind.many)])
                    or f"penstock stores list {app.package}",
                )
        return chosen

    def contents(self, app: AppDeclaration, name: str) -> Contents:
        """What belongs inside a store."""
        setting = app.find(StoreName(name).setting)
        if isinstance(setting, DatabaseSetting):
            return Contents.of(setting)
        entry = self._registry.find_store(app.package, name)
        if entry is None:
            return Contents()
        return Contents(initializer=entry.initializer, spatial=entry.spatial)

    def plan(self, app: AppDeclaration, name: str, options: SyncOptions) -> Plan:
        """What a sync of one store would do now."""
        address = self._book.get(app, name)
        return plan_of(self.work_on(app, address, self.contents(app, name), options))

    def make(
        self,
        app: AppDeclaration,
        address: Address,
        contents: Contents,
        options: SyncOptions,
        entry: StoreEntry,
    ) -> None:
        """Sync one store and remember how that ended."""
        working_on(address)
        action, detail = "refresh store" if options.refresh else "sync store", where_of(address)
        with journalled(self._registry, action, subject_of(address), detail):
            self._registry.identity(make=True)
            context = self.work_on(app, address, contents, options)
            context.let_go()
            before = self._registry.find_store(app.package, entry.name)
            told = Progress(detail, first=partial(self._remember, address, entry))
            if not _is_same_place(before, entry):
                self._check_collision(address, entry)
            try:
                with self._engines.reserved(address, lent=LENT):
                    with keeping():
                        record_id = sync_store(context, told)
                    self._drop_remains(app, address)
            except PenstockError as error:
                if told.begun or _is_same_place(before, entry):
                    self._remember_failure(context, before, entry, error)
                raise
            finally:
                context.let_go()  # Or a sync of many stores would end with a connection to each.
            done = replace(entry, state=StoreState.READY, problem="", record_id=record_id)
            if told.begun or before != done:
                self._remember(address, done)

    def sync(self, app: AppDeclaration, name: str, options: SyncOptions) -> None:
        """Sync one store where it is, or shall be."""
        address = self._book.get(app, name)
        before = self._registry.find_store(app.package, name)
        entry = replace(address.entry(before), state=StoreState.PENDING)
        self.make(app, address, self.contents(app, name), options, entry)

    def adopt(self, app: AppDeclaration, address: Address, entry: StoreEntry) -> None:
        """Make an existing database a store, as it is; its data stays.

        Args:
            app: The app.
            address: The store, with the name of that database.
            entry: What is to be remembered of it.

        Raises:
            StoreNotCreated: There is no such database.
            NameCollision: The database belongs to another store.
        """
        name = address.store.name
        with journalled(self._registry, "adopt store", subject_of(address), where_of(address)):
            if not look(address).found.exists:
                make = f"stores create {app.package}:{name} --connection {entry.connection}"
                sync = f"syncstores {app.package} -d {name}"
                raise StoreNotCreated(
                    f"There is no database {address.database} on service {address.service}.",
                    hint=f"To make a new one: penstock {make if entry.connection else sync}",
                )
            before = self._registry.find_store(app.package, name)
            adopted = replace(entry, database=address.database, state=StoreState.READY, problem="")
            self._remember(address, adopted)
            try:
                record_id = _stamped(address, self._registry.identity(make=True))
            except PenstockError:
                self._registry.remove_store(adopted)
                if before is not None:
                    self._registry.put_store(before)
                raise
            self._remember(address, replace(adopted, record_id=record_id))
            self._engines.let_go(app.package, name)

    def orphans(self, apps: Iterable[AppDeclaration]) -> Iterator[tuple[StoreEntry, str]]:
        """Remembered stores that their apps do not declare any more, each with the reason."""
        declared = {app.package: app for app in apps}
        for entry in self._undropped():
            why = self._why_orphan(declared[entry.app], entry) if entry.app in declared else ""
            if why:
                yield entry, why

    def of_no_app(self, apps: Iterable[AppDeclaration]) -> Iterator[StoreEntry]:
        """Remembered stores whose apps are not among these."""
        declared = {app.package for app in apps}
        return (entry for entry in self._undropped() if entry.app not in declared)

    def _undropped(self) -> Iterator[StoreEntry]:
        return (entry for entry in self._registry.stores() if entry.state is not StoreState.DROPPED)

    def _why_orphan(self, app: AppDeclaration, entry: StoreEntry) -> str:
        store = StoreName(entry.name)
        declared = isinstance(app.find(store.setting), DatabaseSetting)
        if not declared and (store.kind is not None or not entry.dynamic):
            return f"App {entry.app} does not declare {store.setting!r} any more."
        if self._is_elsewhere(app, entry):
            return f"{entry.app}:{entry.name} is linked elsewhere now; this database was left behind."
        return ""

    def _is_elsewhere(self, app: AppDeclaration, entry: StoreEntry) -> bool:
        """Whether the store lives in another database now than in the remembered one."""
        try:
            now = self._book.get(app, entry.name)
        except PenstockError:
            return entry.state is StoreState.LEFT
        try:
            then = self._book.remembered(app, entry)
        except PenstockError:
            return (now.service, now.database) != (entry.service, entry.database)
        return now.backend.store_url(now.database_address) != then.backend.store_url(then.database_address)

    def _entries(self, app: AppDeclaration) -> list[StoreEntry]:
        return [e for e in self._registry.stores(app.package) if e.state.is_current]

    def work_on(
        self,
        app: AppDeclaration,
        address: Address,
        contents: Contents,
        options: SyncOptions,
        *,
        known_as: str = "",
    ) -> SyncContext:
        """Everything that the steps of one store need.

        Args:
            app: The app.
            address: The store.
            contents: What belongs inside.
            options: How to sync.
            known_as: What its database was called when it was made, if it is not called so any more.
        """
        initializer = find_initializer(contents.initializer)
        name = address.store.name
        roles = self._roles.of(address, known_as)
        problem = None if roles is None else roles.problem_here()
        desired = _desired(address, contents, options, initializer)
        registry = self._registry.identity()

        def let_go() -> None:
            self._engines.let_go(app.package, name)
            if roles is not None:
                roles.close()

        return SyncContext(
            address=address,
            desired=replace(
                desired,
                roles=roles is not None and problem is None,
                registry=registry.id,
                registry_label=registry.label,
                template="" if self.template_of is None else self.template_of(app, address),
            ),
            app_engine=lambda: self._engines.of_store(app, name).engine,
            let_go=let_go,
            initializer=initializer,
            tables=contents.tables,
            roles=roles,
            registry=registry,
            refused=problem if roles is not None and roles.required else None,
            lock_timeout=options.lock_timeout,
        )

    def _remember(self, address: Address, entry: StoreEntry) -> None:
        """Remember a store, unless the environment says where it is: then there is nothing to add."""
        if entry.dynamic or not address.external:
            self._registry.put_store(entry)

    def _check_collision(self, address: Address, entry: StoreEntry) -> None:
        """Raise NameCollision for a database that is remembered as another store's, before a look at it."""
        there = (entry.service, entry.database)
        for other in self._registry.stores() if entry.dynamic or not address.external else ():
            if (other.service, other.database) == there and (other.app, other.name) != (
                entry.app,
                entry.name,
            ):
                raise collision(other, entry)

    def _remember_failure(
        self, context: SyncContext, before: StoreEntry | None, entry: StoreEntry, error: PenstockError
    ) -> None:
        """Remember a half-made store with the reason; forget a new one if nothing was made."""
        if not _is_same_place(before, entry) and (isinstance(error, StoreNotOurs) or _is_absent(context)):
            self._registry.remove_store(entry)
            if before is not None:
                self._registry.put_store(before)
            return
        problem = f"{error.what} {error.why}".strip()
        self._remember(context.address, replace(entry, state=StoreState.FAILED, problem=problem))

    def remembers(self, address: Address) -> bool:
        """Whether the registry remembers this very database as this store's."""
        return self.entry_of(address) is not None

    def record_id(self, address: Address) -> str:
        """What it remembers of the record inside; empty if nothing."""
        entry = self.entry_of(address)
        return "" if entry is None else entry.record_id

    def entry_of(self, address: Address) -> StoreEntry | None:
        """What the registry remembers of this very database, or None."""
        known = self._registry.stores(address.app, address.store.name)
        there = (address.service, address.database)
        return next((e for e in known if (e.service, e.database) == there), None)

    def kept_of(self, address: Address) -> list[StoreEntry]:
        """What it remembers of databases that were this very one until they were dropped, and are kept."""
        known = self._registry.stores(address.app, address.store.name)
        there = (address.service, address.database)
        return [e for e in known if e.state is StoreState.DROPPED and (e.service, e.was) == there]

    def _drop_remains(self, app: AppDeclaration, address: Address) -> None:
        """Drop what a drop that was killed had made ready for the store's tables."""
        for entry in self.kept_of(address):
            quarantined = self._book.remembered(app, entry)
            quarantined.backend.drop_remains(quarantined.database_address)


def _is_same_place(before: StoreEntry | None, entry: StoreEntry) -> bool:
    """Whether a store is remembered where it is now; else what fails at once leaves nothing to remember."""
    return before is not None and (before.service, before.database) == (entry.service, entry.database)


def _is_absent(context: SyncContext) -> bool:
    """Whether the server says that the database is not there; False where it can't be asked."""
    try:
        return not look(context.address).found.exists
    except PenstockError:
        return False


def is_optional(contents: Contents, error: PenstockError | None) -> bool:
    """Whether a store is skipped rather than failed: optional, and nothing linked."""
    return isinstance(error, NotLinked) and not contents.required


def _desired(
    address: Address, contents: Contents, options: SyncOptions, initializer: FoundInitializer | None
) -> DesiredState:
    return DesiredState(
        app=address.app,
        store=address.store.name,
        database=address.database,
        spatial=contents.spatial,
        tables=contents.tables is not None,
        initializer="" if initializer is None else initializer.name,
        form=InitializerForm.ENGINE if initializer is None else initializer.form,
        transactional_ddl=address.backend.capabilities.transactional_ddl,
        default_privileges=address.backend.capabilities.default_privileges,
        refresh=options.refresh,
        force_first_time=options.force_first_time,
        external=address.external,
    )


def _stamped(address: Address, registry: RegistryIdentity) -> str:
    """Write into an existing database whose it is; the id of its record."""
    backend = address.backend
    try:
        with own_connection(address) as connection, connection.begin():
            StoreRecord(backend, address.app, address.store.name, registry).stamp(connection)
            record = read_record(connection, backend)
    except DBAPIError as error:
        what = f"The database {address.display_name} can't be marked as {subject_of(address)}."
        raise backend.translate(error, what) from error
    return record.store_id if record is not None else ""


def subject_of(address: Address) -> str:
    """What the journal calls a store."""
    return f"{address.app}:{address.store.name}"


def where_of(address: Address) -> dict[str, str]:
    """What the journal notes of where it is."""
    return {"service": address.service, "database": address.database, "source": str(address.source)}
