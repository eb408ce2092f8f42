"""Keeps one engine for each store, role and connection that this process uses."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from penstock.backends import StoreRole
from penstock.connect.standins import check_not_under_test
from penstock.declare import DatabaseSetting, SessionOptions, StoreName
from penstock.engines import Fixed, StoreEngine, budget_of, reserved, withdraw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.backends import DatabaseAddress
    from penstock.connect.address import Address, AddressBook
    from penstock.declare import AppDeclaration
    from penstock.engines import EngineOptions
    from penstock.registry import Registry


class EngineKey(NamedTuple):
    """What an engine is for.

    Args:
        app: The app's package.
        name: The store's name, or the connection setting's.
        role: Who logs in.
        endpoint: Which of the store's servers; the one of its service by default.
        is_connection: Whether it is a connection setting's, and no store's.
    """

    app: str
    name: str
    role: StoreRole = StoreRole.APP
    endpoint: str = ""
    is_connection: bool = False


class EngineCache:
    """Hands out the same engine for the same store, for as long as the process lives.

    Args:
        registry: Says when an address may have changed.
        book: Where stores are.
        options: How engines make and share their connections.
    """

    def __init__(self, registry: Registry, book: AddressBook, options: EngineOptions) -> None:
        self.registry = registry
        self.book = book
        self.options = options
        book.connect_timeout = options.connect_timeout
        self._engines: dict[EngineKey, StoreEngine] = {}
        self._dropped: WeakValueDictionary[EngineKey, StoreEngine] = WeakValueDictionary()
        self._apps: dict[str, AppDeclaration] = {}

    def known(self, app: str, name: str, role: StoreRole = StoreRole.APP) -> StoreEngine | None:
        """The engine of a store that was used before; asks nobody."""
        return self._engines.get(EngineKey(app, name, role))

    def of_store(self, app: AppDeclaration, name: str, role: StoreRole = StoreRole.APP) -> StoreEngine:
        """The engine of a store, created or not; asks the registry once, the store never."""
        self._apps[app.package] = app
        key = EngineKey(app.package, name, role)

        def make() -> StoreEngine:
            return StoreEngine(
                _StoreLookup(self, key),
                self.options,
                owner=self,
                sessions=_sessions_of(app, name),
                read_only=role is StoreRole.READER,
            )

        return self._cached(key, make)

    def of_connection(self, app: AppDeclaration, setting: str) -> StoreEngine:
        """The engine of a connection setting."""
        app.get_connection(setting)
        self._apps[app.package] = app

        def make() -> StoreEngine:
            return StoreEngine(_ConnectionLookup(self, app.package, setting), self.options, owner=self)

        return self._cached(EngineKey(app.package, setting, is_connection=True), make)

    def at(self, database_address: DatabaseAddress) -> StoreEngine:
        """An engine of an address that nobody looks up, for one piece of work; whoever asked ends it."""
        return StoreEngine(Fixed(database_address), self.options, owner=self)

    def app(self, package: str) -> AppDeclaration:
        """What an app whose engines were asked for declared at that time."""
        return self._apps[package]

    def let_go(self, app: str, name: str) -> None:
        """Close this process's idle connections to a store; its engine stays usable."""
        for role in StoreRole:
            engine = self.known(app, name, role)
            if engine is not None:
                engine.dispose()

    def forget(self, app: str, name: str) -> None:
        """Keep the engines of a store that was dropped only for as long as somebody else does."""
        for key in (EngineKey(app, name, role) for role in StoreRole):
            engine = self._engines.pop(key, None)
            if engine is not None:
                self._dropped[key] = engine
                engine.dispose()

    def dispose(self) -> None:
        """Close every idle connection."""
        for engine in list(self._engines.values()):
            engine.dispose()

    @contextmanager
    def reserved(self, address: Address, *, lent: int = 0) -> Iterator[None]:
        """Have the connections that work on a store needs, all of them or none (see `engines.reserved`)."""
        budget = budget_of(address.database_address.server, address.backend, self.options, owner=self)
        with reserved(address.database_address, address.backend, lent=lent, budget=budget):
            yield

    def close(self) -> None:
        """Close every idle connection, and ask for no share of any budget; everything stays usable."""
        self.dispose()
        withdraw(owner=self)

    def _cached(self, key: EngineKey, make: Callable[[], StoreEngine]) -> StoreEngine:
        """The engine of this key. Two threads may both make one; the same one is kept by both."""
        engine = self._engines.get(key)
        if engine is None:
            engine = self._engines.setdefault(key, self._find_dropped(key) or make())
        return engine

    def _find_dropped(self, key: EngineKey) -> StoreEngine | None:
        """The engine of a store that was dropped and made again, if it is still in use."""
        engine = self._dropped.get(key)
        if engine is not None:
            engine.lookup.address()  # Raises for a name that stands for nothing any more.
        return engine


@dataclass(frozen=True, slots=True)
class _StoreLookup:
    """Where one store is now."""

    cache: EngineCache
    key: EngineKey

    def address(self) -> DatabaseAddress:
        """Its address; raises what the address book raises."""
        app, book = self.cache.app(self.key.app), self.cache.book
        if self.key.role is StoreRole.READER:
            return book.get_for_reading(app, self.key.name).database_address
        return book.get(app, self.key.name).database_address

    def generation(self, max_age: float) -> int:
        """Changes when the address may have; raises RealStoreUnderTest."""
        if self.cache.book.copies is None:
            check_not_under_test(self.key.app, self.key.name)
        return self.cache.registry.generation(max_age)


@dataclass(frozen=True, slots=True)
class _ConnectionLookup:
    """Where one connection setting leads now."""

    cache: EngineCache
    app: str
    setting: str

    def address(self) -> DatabaseAddress:
        """The database that a plain connection goes to; raises NotSupported where there is none."""
        return self.cache.book.connection_address(self.cache.app(self.app), self.setting)

    def generation(self, max_age: float) -> int:
        """Changes when the address may have."""
        return self.cache.registry.generation(max_age)


def _sessions_of(app: AppDeclaration, name: str) -> SessionOptions:
    """How the sessions of a store are made, by its declaration."""
    setting = app.find(StoreName(name).setting)
    return setting.sessions if isinstance(setting, DatabaseSetting) else SessionOptions()
