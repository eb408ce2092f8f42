"""From an app and a name to an engine, a session, an address."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from sqlalchemy.orm import Session, sessionmaker

from penstock.backends import StoreRole
from penstock.declare import AppDeclaration, SessionOptions
from penstock.errors import UnknownApp, WrongObject
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Engine

    from penstock.connect.address import Address, AddressBook
    from penstock.connect.engines import EngineCache
    from penstock.engines import StoreEngine


class Declares(Protocol):
    """Anything that declares an app, such as an `App` class; it has its `package`, too."""

    def declaration(self) -> AppDeclaration:
        """What the app declares, as plain data."""


AppLike: TypeAlias = "str | AppDeclaration | Declares"

SessionFactory: TypeAlias = sessionmaker[Session]

RoleLike: TypeAlias = StoreRole | Literal["app", "reader"]
"""Who logs in to a store."""


class Sessions:
    """The data path of `Stores`: it asks the registry where a store is, and connects to no store.

    Args:
        book: Where stores are.
        engines: Their engines.
        apps: The apps it shall know by name.

    Attributes:
        book: The same.
    """

    def __init__(self, book: AddressBook, engines: EngineCache, apps: Iterable[AppLike] = ()) -> None:
        self.book = book
        self._engines = engines
        self._apps: dict[str, AppLike] = {}
        for app in apps:
            self.register(app)

    # --- apps ---

    @property
    def apps(self) -> list[AppDeclaration]:
        """The apps this `Stores` object knows, by package."""
        return [self.declaration(self._apps[package]) for package in sorted(self._apps)]

    def register(self, app: AppLike) -> AppDeclaration:
        """Make an app known by its package name."""
        declaration = self.declaration(app)
        self._apps[declaration.package] = app
        return declaration

    def declaration(self, app: AppLike) -> AppDeclaration:
        """What an app declares now; raises UnknownApp for a name nobody registered."""
        if isinstance(app, AppDeclaration):
            return app
        if not isinstance(app, str):
            return app.declaration()
        if app not in self._apps:
            known = ", ".join(sorted(self._apps)) or "none"
            hint = did_you_mean(app, self._apps) or "penstock apps list"
            raise UnknownApp(f"There is no app {app!r}.", why=f"Known: {known}.", hint=hint)
        return self.declaration(self._apps[app])

    def package(self, app: AppLike) -> str:
        """The package of an app, which need not be known if it is given by that."""
        return app if isinstance(app, str) else self.declaration(app).package

    # --- use ---

    def standing_in(self) -> AbstractContextManager[None]:
        """A block in which these stores are used, for `use`; test copies shut the real ones meanwhile."""
        return nullcontext()

    def engine(self, app: AppLike, name: str, *, role: RoleLike = StoreRole.APP) -> Engine:
        """The engine of a store: one object per process and role; nothing is connected yet.

        Args:
            app: The app.
            name: The store.
            role: Who logs in: `"app"`, by default, or `"reader"`. A reader's transactions are READ ONLY; it
                has a login that may do no more where the store has one, else the app's.

        Raises:
            UnknownStore, UnknownSetting: There is no such store.
            NotLinked: No service is linked to its setting.
            NotSupported: Nothing could keep a reader behind this pooler from writing.
        """
        return self.store_engine(app, name, role).engine

    def sessionmaker(
        self,
        app: AppLike,
        name: str,
        *,
        role: RoleLike = StoreRole.APP,
        options: SessionOptions | None = None,
    ) -> SessionFactory:
        """The session factory of a store: one object per process, role and options.

        Args:
            app: The app.
            name: The store.
            role: Who logs in; see `engine`.
            options: How its sessions are made; by default as the store's declaration says.
        """
        found = self.store_engine(app, name, role)
        return found.sessionmaker if options is None else found.sessions_by(options)

    def session(
        self,
        app: AppLike,
        name: str,
        *,
        role: RoleLike = StoreRole.APP,
        options: SessionOptions | None = None,
    ) -> Session:
        """A new session; leaving its `with` block only closes it. See `sessionmaker`."""
        return self.sessionmaker(app, name, role=role, options=options)()

    @contextmanager
    def begin(
        self,
        app: AppLike,
        name: str,
        *,
        role: RoleLike = StoreRole.APP,
        options: SessionOptions | None = None,
    ) -> Iterator[Session]:
        """A new session in a transaction that is committed at the end of the `with` block."""
        with self.sessionmaker(app, name, role=role, options=options).begin() as session:
            yield session

    def url(self, app: AppLike, name: str, *, role: RoleLike = StoreRole.APP) -> URL:
        """The store's URL with its password, for `create_engine`; shows `***` when printed.

        Args:
            app: The app.
            name: The store.
            role: Who logs in with it; by default the app.

        Raises:
            NotSupported: The store has no login for readers.
        """
        address = self.book.get(self.declaration(app), name, _role(role))
        login = address.database_address.login
        return login.with_password_in(address.backend.store_url(address.database_address))

    def address(self, app: AppLike, name: str) -> Address:
        """Where a store is, and who says so."""
        return self.book.get(self.declaration(app), name)

    def store_engine(self, app: AppLike, name: str, role: RoleLike = StoreRole.APP) -> StoreEngine:
        """The engine of a store and what goes with it, for other ways to use it, as `penstock.aio`."""
        known = self.find_store_engine(app, name, role)
        return known or self._engines.of_store(self.declaration(app), name, _role(role))

    def find_store_engine(
        self, app: AppLike, name: str, role: RoleLike = StoreRole.APP
    ) -> StoreEngine | None:
        """The same, if it was used before; looks nothing up."""
        package = app if isinstance(app, str) else _package(app)
        return self._engines.known(package, name, _role(role))


def _package(app: AppDeclaration | Declares) -> str:
    """Its `package`, which is in no protocol: Pyright takes no `package = "lab"` of a class for one."""
    return cast("AppDeclaration", app).package


def _role(role: RoleLike) -> StoreRole:
    try:
        return StoreRole(role)
    except ValueError:
        raise WrongObject(f"There is no role {role!r}.", hint='Write "app" or "reader".') from None
