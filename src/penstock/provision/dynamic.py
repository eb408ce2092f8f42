"""Stores made at run time: of a kind, or through a connection setting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.declare import AppDeclaration, DatabaseSetting, StoreName, physical_name
from penstock.errors import DeclarationError, UnknownStore, WrongSetting
from penstock.provision.context import look
from penstock.provision.initializers import find_initializer
from penstock.provision.provisioner import Contents, Provisioner, SyncOptions
from penstock.registry import Registry, Source, StoreEntry, StoreState

if TYPE_CHECKING:
    from penstock.backends import Server
    from penstock.connect import Address, AddressBook


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStore:
    """The options of a store that is made at run time.

    Args:
        connection: The connection setting whose server it is made on; None for a kind, or to
            leave an existing store where it is.
        initializer: Its initializer; empty to keep what an existing store has.
        spatial: Whether it is spatial; an existing spatial store stays so.
    """

    connection: str | None = None
    initializer: str | Callable[..., object] = ""
    spatial: bool = False


class DynamicStores:
    """Makes stores at run time.

    Args:
        registry: Remembers them.
        book: Where services are.
        provisioner: Does the work.
    """

    def __init__(self, registry: Registry, book: AddressBook, provisioner: Provisioner) -> None:
        self._registry = registry
        self._book = book
        self._provisioner = provisioner

    def create(self, app: AppDeclaration, store: StoreName, asked: NewStore, options: SyncOptions) -> None:
        """Make the store, or bring an existing one up to date."""
        setting = app.find(store.setting)
        if store.kind is not None:
            self._create_member(app, store, options)
        elif setting is not None:
            self._sync_declared(app, store, setting, asked, options)
        else:
            self._create_plain(app, store, asked, options)

    def adopt(self, app: AppDeclaration, store: StoreName, database: str | None, connection: str) -> Address:
        """Make an existing database a store, one that the app declares or one as it makes at run time.

        Args:
            app: The app.
            store: The store.
            database: The database's physical name; the store's own by default.
            connection: The connection setting whose server it is on, for a store that is not declared.
        """
        address = self.to_adopt(app, store, database, connection)
        self._provisioner.adopt(app, address, self._adopted(app, store, address, connection))
        return address

    def to_adopt(
        self, app: AppDeclaration, store: StoreName, database: str | None, connection: str
    ) -> Address:
        """Where the database is that would be adopted; asks no server.

        Raises:
            UnknownStore: The store is not declared, and nothing says through which connection it is reached.
            DeclarationError: It is declared, and yet a connection is named.
        """
        if app.find(store.setting) is None:
            entry = self._adopted(app, store, None, connection)
            address = self._book.remembered(app, entry)
        elif connection:
            raise DeclarationError(
                f"Store {store.name!r} is declared by app {app.package}, so no connection leads to it.",
                hint=f"Leave the connection out. What is linked: penstock settings list {app.package}",
            )
        else:
            address = self._book.get(app, store.name)
        if database is None:
            return address
        address.backend.check_name(database)
        return replace(address, database_address=replace(address.database_address, database=database))

    def whose(self, address: Address) -> str:
        """The owner of a database by its record, as text; empty if there is no such database."""
        found = look(address).found
        if not found.exists:
            return ""
        if found.record is None:
            return "nobody's so far; it holds tables" if found.relations else "nobody's so far; it is empty"
        store, registry = f"{found.record.app}:{found.record.store}", self._registry.identity()
        other = found.record.registry not in {registry.id, ""}
        return f"{store} of {found.record.registry_label}" if other else store

    def _adopted(
        self, app: AppDeclaration, store: StoreName, address: Address | None, connection: str
    ) -> StoreEntry:
        """What is to be remembered of an adopted store."""
        before = self._registry.find_store(app.package, store.name)
        if app.find(store.setting) is not None and address is not None:
            return replace(address.entry(before), dynamic=store.kind is not None)
        known = connection or ("" if before is None else before.connection) or _only_connection(app, store)
        return self._entry(app, store, known, before, NewStore())

    def _create_member(self, app: AppDeclaration, store: StoreName, options: SyncOptions) -> None:
        setting = app.get_kind(store.setting)
        address = self._book.get(app, store.name)
        before = self._registry.find_store(app.package, store.name)
        entry = replace(address.entry(before), dynamic=True, state=StoreState.PENDING)
        self._provisioner.make(app, address, Contents.of(setting), options, entry)

    def _sync_declared(
        self, app: AppDeclaration, store: StoreName, setting: object, asked: NewStore, options: SyncOptions
    ) -> None:
        if not isinstance(setting, DatabaseSetting):
            raise WrongSetting(
                f"{store.name!r} of app {app.package} is a connection setting.",
                why="No store can have its name.",
                hint="Choose another name.",
            )
        address = self._book.get(app, store.name)
        server = (
            address.database_address.server
            if asked.connection is None
            else self._server(app, asked.connection)
        )
        same = (
            asked.initializer in ("", setting.initializer)
            and asked.spatial in (False, setting.spatial)
            and server.service == address.service
        )
        if not same:
            raise DeclarationError(
                f"Store {store.name!r} is declared by app {app.package}, "
                "so it can't be made otherwise at run time.",
                hint=f"Change the declaration, or choose another name: penstock syncstores {app.package}",
            )
        self._provisioner.sync(app, store.name, options)

    def _create_plain(
        self, app: AppDeclaration, store: StoreName, asked: NewStore, options: SyncOptions
    ) -> None:
        before = self._registry.find_store(app.package, store.name)
        connection = asked.connection or (before.connection if before is not None else "")
        if not connection:
            raise ValueError(
                f"Store {store.name!r} needs the name of a connection setting to be made through."
            )
        entry = self._entry(app, store, connection, before, asked)
        address = self._book.remembered(app, entry)
        contents = Contents(initializer=asked.initializer or entry.initializer, spatial=entry.spatial)
        self._provisioner.make(app, address, contents, options, entry)

    def _entry(
        self,
        app: AppDeclaration,
        store: StoreName,
        connection: str,
        before: StoreEntry | None,
        asked: NewStore,
    ) -> StoreEntry:
        """What is told now, over what was known before."""
        server = self._server(app, connection)
        if before is None or before.service != server.service:
            address = self._book.at(
                app, store, server.service, Source("registry", f"connection {connection}")
            )
            before = address.entry(before)
        found = find_initializer(asked.initializer)
        return replace(
            before,
            dynamic=True,
            connection=connection,
            initializer=before.initializer if found is None else found.name,
            spatial=before.spatial or asked.spatial,
            state=StoreState.PENDING,
        )

    def _server(self, app: AppDeclaration, connection: str) -> Server:
        app.get_connection(connection)
        return self._book.get_server(app, connection)


def _only_connection(app: AppDeclaration, store: StoreName) -> str:
    names = [setting.name for setting in app.connections]
    if len(names) != 1:
        adopt = f"penstock stores adopt {app.package}:{store.name}"
        database = f"--database {physical_name(app.package, store)}"
        each = [f"{adopt} {database} --connection {name}" for name in names]
        raise UnknownStore(
            f"App {app.package} declares no store {store.name!r}.",
            why=f"Its connection settings: {', '.join(names) or 'none'}.",
            hint=" or ".join(each)
            or "Declare it in the app, or a connection setting through which it is reached.",
        )
    return names[0]
