"""Looks up the address of a store, and which source gave it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.backends import (
    Backend,
    DatabaseAddress,
    Login,
    Server,
    StoreRole,
    backend_for,
    parse_url,
    without_password,
)
from penstock.connect.credentials import find_current, login_of
from penstock.connect.servers import server_of
from penstock.connect.standins import check_not_under_test
from penstock.declare import AppDeclaration, Copies, DatabaseSetting, StoreName, physical_name
from penstock.errors import (
    ConfigError,
    NotLinked,
    NotSupported,
    PenstockError,
    UnknownService,
    UnknownStore,
    WrongSetting,
)
from penstock.registry import (
    Binding,
    Bindings,
    Link,
    Registry,
    RoleMode,
    Service,
    Source,
    StoreEntry,
    StoreState,
)
from penstock.registry.layers import absent_config
from penstock.registry.registered import RegisteredServices
from penstock.secrets import URI, Keyring
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a store is.

    Args:
        app: The app's package.
        store: The store's name.
        database_address: The server and the database on it.
        backend: How to speak to it.
        source: Who says so: an environment variable, a binding, a file and line, the registry.
        external: Whether the address is a full URL from the environment rather than a service.
    """

    app: str
    store: StoreName
    database_address: DatabaseAddress
    backend: Backend
    source: Source
    external: bool = False

    @property
    def service(self) -> str:
        """The name of the service it is on."""
        return self.database_address.server.service

    @property
    def database(self) -> str:
        """The physical name of the database."""
        return self.database_address.database

    @property
    def display_name(self) -> str:
        """What a message calls the database: its name, or its file."""
        return self.backend.display_name(self.database_address)

    def entry(self, before: StoreEntry | None = None) -> StoreEntry:
        """What the registry shall remember of this store, keeping what it knew of it."""
        if before is None:
            kind = self.store.kind or ""
            before = StoreEntry(app=self.app, name=self.store.name, service="", database="", kind=kind)
        database_address = self.database_address
        return replace(before, service=self.service, database=self.database, spatial=database_address.spatial)


class AddressBook:
    """Looks addresses up: the environment, then the registry's layers, then `DATABASE_URL`.

    Args:
        registry: Services, links and remembered stores.
        bindings: The addresses that the environment gives.
        keyring: Opens sealed passwords.

    Attributes:
        copies: The set of test copies that stands in for all stores, if one does.
        connect_timeout: Seconds in which servers have to answer Penstock's own connections.
    """

    def __init__(self, registry: Registry, bindings: Bindings, keyring: Keyring | None = None) -> None:
        self._registry = registry
        self._services = RegisteredServices(registry)
        self._keyring = keyring or Keyring()
        self.bindings = bindings
        self.copies: Copies | None = None
        self.connect_timeout = 10.0

    # --- services ---

    def find_link(self, app: str, setting: str) -> Link | None:
        """What is linked to a setting, or None."""
        found = (a for a in self._registry.links() if (a.app, a.setting) == (app, setting))
        return next(found, None)

    def get_service(self, name: str) -> Service:
        """The service of this name; raises UnknownService."""
        return self._services.get(name)

    def get_server(self, app: AppDeclaration, setting: str) -> Server:
        """The server linked to a setting; raises NotLinked."""
        link = self.find_link(app.package, setting)
        if link is None:
            raise self.not_linked(app, setting)
        return server_of(self._service_of(link)[0], self._keyring, self.connect_timeout)

    def connection_address(self, app: AppDeclaration, setting: str) -> DatabaseAddress:
        """The database that a connection setting leads to.

        Raises:
            NotSupported: Its server has no database to connect to, only stores have.
        """
        app.get_connection(setting)
        server = self.get_server(app, setting)
        return backend_for(server.login.url).connection_address(server, f"{app.package}:{setting}")

    def not_linked(self, app: AppDeclaration, setting: str) -> NotLinked:
        """That nothing is linked to a setting, and what can be."""
        absent = absent_config(self._registry)
        try:
            services = [service.name for service in self._registry.services()]
        except ConfigError:  # What a platform binds can't be read; what needs it says so.
            services = []
        return NotLinked(
            f"No service is linked to setting {setting!r} of app {app.package}.",
            why=absent,
            hint=_how_to_link(services, f"{app.package}:{setting}", begin=bool(absent)),
        )

    def _service_of(self, link: Link) -> tuple[Service, Source]:
        """The service, and who gives its address: the platform that hands it out, else who linked it."""
        wanted_by = link.source
        try:
            service = self._services.get(link.service)
        except UnknownService as error:
            raise UnknownService(
                f"{error.what} It is wanted at {wanted_by}.", why=error.why, hint=error.hint
            ) from None
        bound = service.source.kind == "environment"
        return service, service.source if bound else wanted_by

    # --- stores ---

    def get(self, app: AppDeclaration, name: str, role: StoreRole = StoreRole.APP) -> Address:
        """Where the store is, created or not.

        Args:
            app: The app.
            name: The store.
            role: Who is to log in there.

        Raises:
            NotSupported: The store has no login for readers.
            UnknownSetting, UnknownStore: Nobody declared or made a store of this name.
            WrongSetting: It names a connection setting or a whole kind.
            NotLinked: No service is linked to its setting.
            RealStoreUnderTest: A test copy stands in for it.
        """
        if self.copies is None:
            check_not_under_test(app.package, name)
        found = self._find(app, StoreName(name))
        return found if role is StoreRole.APP else self._for_reader(found)

    def get_for_reading(self, app: AppDeclaration, name: str) -> Address:
        """Where a reader of the store logs in: with its login for readers, where it has one.

        Raises:
            NotSupported: It has none, and a pooler keeps its transactions from being READ ONLY.
        """
        found = self.get(app, name)
        if found.database_address.own_login is not None or found.database_address.server.pooled:
            return self._for_reader(found)
        return found

    def _find(self, app: AppDeclaration, store: StoreName) -> Address:
        entry = self._registry.find_store(app.package, store.name)
        setting = app.find(store.setting)
        if setting is None or (store.kind is not None and not _is_kind(setting)):
            return self._dynamic(app, store, entry)
        _check_is_store(app, store, setting)
        binding = self.bindings.find(app.package, store.name)
        if binding is not None:
            return self.bound(app, store, binding)
        return self._linked_address(app, store, entry)

    def _for_reader(self, found: Address) -> Address:
        """The same store with its login for readers."""
        login = None
        if found.database_address.own_login is not None:
            login = self.find_login(self.get_service(found.service), found.database, StoreRole.READER)
        if login is None:
            raise NotSupported(
                f"The store {found.app}:{found.store} has no login for readers.",
                why="It has no roles of its own.",
                hint=f"penstock stores status {found.app}",
            )
        return replace(found, database_address=replace(found.database_address, own_login=login))

    def serves_one_store(self, app: AppDeclaration) -> bool:
        """Whether an app has one store, so that `DATABASE_URL` can only mean that one."""
        return len(app.databases) == 1 and not app.databases[0].many

    def find(self, app: AppDeclaration, name: str) -> Address | None:
        """Where the store is, or None if it is unknown or nothing is linked."""
        try:
            return self.get(app, name)
        except (NotLinked, UnknownStore, WrongSetting):
            return None

    def at(self, app: AppDeclaration, store: StoreName, service: str, source: Source) -> Address:
        """The address of a store that is to be made on this service."""
        found = self._services.get(service)
        return self._address(app, store, found, self.database_of(app, store), source)

    def database_of(self, app: AppDeclaration, store: StoreName) -> str:
        """What the database of a new store is to be called."""
        if self.copies is not None:
            return self.copies.database(app.package, store)
        return physical_name(app.package, store)

    def remembered(self, app: AppDeclaration, entry: StoreEntry) -> Address:
        """The address of a store where the registry remembers it."""
        service = self._services.get(entry.service)
        return self._address(app, StoreName(entry.name), service, entry.database, service.source, entry)

    def bound(self, app: AppDeclaration, store: StoreName, binding: Binding) -> Address:
        """The address that an environment variable gives; its database name wins."""
        try:
            url = parse_url(self.bindings.read(binding))
        except PenstockError as error:
            raise ConfigError(f"The {binding.source}: {error.what}", hint=error.hint) from None
        backend = backend_for(url)
        base, database = backend.split(url)
        if self.copies is not None:  # Tests use the server that is named, never the database.
            database = self.copies.database(app.package, store)

        def password() -> str | None:
            now = parse_url(self.bindings.read(binding)).password
            return None if now is None else str(now)

        kept = "" if url.password is None else f"{URI}:env:{binding.variable}"
        login = Login(url=without_password(base), password=password, reference=kept)
        server = Server(service=binding.variable, login=login, connect_timeout=self.connect_timeout)
        database_address = _database_address(app, store, server, database)
        return Address(
            app=app.package,
            store=store,
            database_address=database_address,
            backend=backend,
            source=binding.source,
            external=True,
        )

    def _linked_address(self, app: AppDeclaration, store: StoreName, entry: StoreEntry | None) -> Address:
        link = self.find_link(app.package, store.setting)
        if link is None:
            last = self.bindings.last_resort()
            if last is not None and self.serves_one_store(app):
                return self.bound(app, store, last)
            raise self.not_linked(app, store.setting)
        service, source = self._service_of(link)
        if entry is not None and entry.service != link.service:
            entry = self._earlier(entry, link.service)
        database = self.database_of(app, store) if entry is None else entry.database
        return self._address(app, store, service, database, source, entry)

    def _address(
        self,
        app: AppDeclaration,
        store: StoreName,
        service: Service,
        database: str,
        source: Source,
        entry: StoreEntry | None = None,
    ) -> Address:
        server = server_of(service, self._keyring, self.connect_timeout)
        backend = backend_for(server.login.url)
        database_address = _database_address(app, store, server, database, entry)
        if backend.roles is not None:
            database_address = replace(
                database_address, own_login=self.find_login(service, database, StoreRole.APP)
            )
        return Address(
            app=app.package, store=store, database_address=database_address, backend=backend, source=source
        )

    def find_login(self, service: Service, database: str, role: StoreRole) -> Login | None:
        """The login of a store's own for a role; None where its apps log in as the service's role."""
        if service.roles is RoleMode.SERVICE:
            return None
        found = find_current(self._registry, service.name, database, role)
        return None if found is None else login_of(service, found, self._keyring)

    def _earlier(self, entry: StoreEntry, service: str) -> StoreEntry | None:
        """The store's database on a service it was linked to before."""
        left = (e for e in self._registry.stores(entry.app) if e.state is StoreState.LEFT)
        return next((e for e in left if (e.name, e.service) == (entry.name, service)), None)

    def _dynamic(self, app: AppDeclaration, store: StoreName, entry: StoreEntry | None) -> Address:
        if entry is None or not entry.dynamic:
            known = ", ".join(s.name for s in app.databases) or "none"
            raise UnknownStore(
                f"App {app.package} has no store {store.name!r}.",
                why=f"It declares {known}, and no store of this name was made at run time. "
                f"{absent_config(self._registry)}".rstrip(),
                hint=self._meant(app, store) or f"penstock stores list {app.package}",
            )
        return self.remembered(app, entry)

    def _meant(self, app: AppDeclaration, store: StoreName) -> str:
        """Which of the app's stores a misspelt name was meant to be."""
        made = [e.name for e in self._registry.stores(app.package) if e.dynamic and e.state.is_current]
        return did_you_mean(store.name, [*(s.name for s in app.databases), *made])


def _is_kind(setting: object) -> bool:
    return isinstance(setting, DatabaseSetting) and setting.many


def _check_is_store(app: AppDeclaration, store: StoreName, setting: object) -> None:
    if not isinstance(setting, DatabaseSetting):
        raise WrongSetting(
            f"{store.name!r} of app {app.package} is a connection setting, not a database setting.",
            hint=f"get_persistent_store_connection({store.name!r})",
        )
    if setting.many and store.kind is None:
        raise WrongSetting(
            f"{store.name!r} of app {app.package} is a kind of store, not one store.",
            hint=f"Name one of its stores, as in '{store.name}.NAME'.",
        )


def _database_address(
    app: AppDeclaration, store: StoreName, server: Server, database: str, entry: StoreEntry | None = None
) -> DatabaseAddress:
    setting = app.find(store.setting)
    declared = isinstance(setting, DatabaseSetting) and setting.spatial
    penstock_makes_tables = isinstance(setting, DatabaseSetting) and not setting.app_makes_tables
    return DatabaseAddress(
        server=server,
        database=database,
        label=f"{app.package}:{store.name}",
        spatial=declared or (entry is not None and entry.spatial),
        app_makes_tables=not penstock_makes_tables,
    )


def _how_to_link(services: Sequence[str], setting: str, *, begin: bool) -> str:
    """The command that links a service, and what has to be done before."""
    before = ["penstock init"] if begin else []
    if not (services or begin):
        before = ["penstock services add main postgresql://user@host:5432"]
    first = next(iter(services), "local" if begin else "main")
    rest = f" (or one of: {', '.join(services[1:])})" if services[1:] else ""
    return ", then ".join([*before, f"penstock link {first} {setting}{rest}"])
