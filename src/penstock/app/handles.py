"""The handles that an app's class body declares: connections, stores, kinds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack, cast, overload

from penstock.aio import AsyncConnection, AsyncKind, AsyncStore
from penstock.backends import StoreRole
from penstock.current import current_stores
from penstock.declare import (
    ConnectionSetting,
    DatabaseSetting,
    Initializer,
    SessionOptions,
    TableMaker,
    Tables,
)
from penstock.errors import DeclarationError
from penstock.provision.provisioner import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Engine
    from sqlalchemy.orm import Session, sessionmaker

    from penstock.connect import Declares, RoleLike
    from penstock.provision.results import DropResult, OnEvent, SyncResult
    from penstock.provision.status import StoreStatus

_UNNAMED = "unnamed"
_Function = TypeVar("_Function", bound="Callable[..., Any]")


class _OfApp:
    """Something that belongs to an app, by a name."""

    _app: Declares | None = None
    _name: str = ""

    @property
    def app(self) -> Declares:
        """The app it belongs to."""
        if self._app is None:
            raise DeclarationError("This is not part of an App yet.", hint="Put it in a class body.")
        return self._app

    @property
    def name(self) -> str:
        """Its name there."""
        return self._name


class _Handle(_OfApp):
    """What a class body's declarations share: they learn their app and their name from it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._app = cast("Declares", owner) if hasattr(owner, "declaration") else None
        self._name = name

    def _bound_to(self, app: Declares) -> Self:
        clone = object.__new__(type(self))
        clone.__dict__.update(self.__dict__, _app=app)
        return clone


class Connection(_Handle):
    """A connection to a server, without a database of its own.

    Args:
        description: One line for the operator who links a service.
        required: Whether the app can't work without it; default True.

    >>> class Lab(App):
    ...     servers = Connection("Where new stores are made.")
    >>> Lab.servers.name
    'servers'
    """

    def __init__(self, description: str = "", *, required: bool = True) -> None:
        self._setting = ConnectionSetting(_UNNAMED, description, required)

    @property
    def setting(self) -> ConnectionSetting:
        """The setting as plain data."""
        return replace(self._setting, name=self._name or _UNNAMED)

    @property
    def engine(self) -> Engine:
        """The engine; one object per process."""
        return current_stores().connections.engine(self.app, self.name)

    @property
    def sessionmaker(self) -> sessionmaker[Session]:
        """The session factory; one object per process."""
        return current_stores().connections.sessionmaker(self.app, self.name)

    @property
    def url(self) -> URL:
        """The URL with its password; shows `***` when printed."""
        return current_stores().connections.url(self.app, self.name)

    def session(self) -> Session:
        """A new session; leaving its `with` block only closes it."""
        return current_stores().connections.session(self.app, self.name)

    def begin(self) -> AbstractContextManager[Session]:
        """A new session in a transaction that is committed at the end of the `with` block."""
        return current_stores().connections.begin(self.app, self.name)

    @property
    def aio(self) -> AsyncConnection:
        """The same, for the tasks of an event loop."""
        return AsyncConnection(self.app, self.name)


class Store(_OfApp):
    """One store of an app: its engine, its sessions, whether it is there.

    Args:
        app: The app.
        name: The store's name: `gages`, or `basins.logan`.
        role: Who logs in: `"app"`, by default, or `"reader"`.
    """

    _role: RoleLike = StoreRole.APP

    def __init__(self, app: Declares, name: str, role: RoleLike = StoreRole.APP) -> None:
        self._app, self._name, self._role = app, name, role

    @property
    def reader(self) -> Store:
        """The same store for reading only: its transactions are READ ONLY (see `Stores.engine`)."""
        return Store(self.app, self.name, StoreRole.READER)

    @property
    def engine(self) -> Engine:
        """The engine; one object per process. Asking for it connects to nothing."""
        return current_stores().engine(self.app, self.name, role=self._role)

    @property
    def sessionmaker(self) -> sessionmaker[Session]:
        """The session factory; one object per process."""
        return current_stores().sessionmaker(self.app, self.name, role=self._role)

    @property
    def url(self) -> URL:
        """The URL with its password; shows `***` when printed. See `Stores.url`."""
        return current_stores().url(self.app, self.name, role=self._role)

    def session(self, options: SessionOptions | None = None) -> Session:
        """A new session; leaving its `with` block only closes it.

        Args:
            options: How it is made; by default as the store's declaration says.
        """
        return current_stores().session(self.app, self.name, role=self._role, options=options)

    def begin(self, options: SessionOptions | None = None) -> AbstractContextManager[Session]:
        """A new session in a transaction that is committed at the end of the `with` block."""
        return current_stores().begin(self.app, self.name, role=self._role, options=options)

    def exists(self) -> bool:
        """Ask the server whether the store is there and complete."""
        return current_stores().exists(self.app, self.name)

    def status(self) -> StoreStatus:
        """The state of the store right now."""
        return current_stores().store_status(self.app, self.name)

    @property
    def aio(self) -> AsyncStore:
        """The same, for the tasks of an event loop."""
        return AsyncStore(self.app, self.name, self._role)

    def __repr__(self) -> str:
        role = "" if self._role is StoreRole.APP else f" for a {StoreRole(self._role).value}"
        return f"<store {self.app.declaration().package}:{self.name}{role}>"


class _Declared(_Handle):
    """What a store and a kind share: their setting, and its initializer."""

    _origin: _Declared | None = None

    def __init__(self, description: str = "", *, required: bool = True, **options: Any) -> None:
        self._setting = DatabaseSetting(_UNNAMED, description, required, **options)

    @property
    def setting(self) -> DatabaseSetting:
        """The setting as plain data."""
        inherited = "" if self._origin is None else self._origin.setting.initializer
        own = self._setting.initializer or inherited
        return replace(self._setting, name=self._name or _UNNAMED, initializer=own)

    def initializer(self, function: _Function) -> _Function:
        """Make a function the initializer: `(engine | connection | session, first_time)`."""
        self._setting = replace(self._setting, initializer=function)
        return function

    def _bound_to(self, app: Declares) -> Self:
        clone = super()._bound_to(app)
        clone._origin = self
        return clone


class DatabaseOptions(TypedDict, total=False):
    """What `Database` takes besides a description and `many`; see there."""

    required: bool
    metadata: Tables | None
    tables: TableMaker | None
    initializer: Initializer
    spatial: bool
    sessions: SessionOptions


class Database(_Declared):
    """A database of the app's own, or with `many=True` a kind of store.

    Args:
        description: One line for the operator who links a service.
        required: Whether the app can't work without it; default True.
        metadata: Tables to create when they are missing.
        tables: Who makes tables: `"penstock"`, and the app reads and writes rows; or the `"app"`, which may
            then do all that the store's owner may. By default the app, if there is no `metadata`.
        initializer: A function, or its dotted path; see also the decorator of this name.
        spatial: Whether it needs spatial types and functions; default False.
        many: Whether this declares any number of stores, made at run time; default False.
        sessions: How the store's sessions are made (`SessionOptions`).

    Returns:
        A `OneStore`, or a `Kind` with `many=True`.

    >>> class Lab(App):
    ...     samples = Database("Every sample.")
    ...     sites = Database("One store per site.", many=True)
    >>> Lab.samples
    <store lab:samples>
    >>> Lab.sites["north"]
    <store lab:sites.north>
    """

    @overload
    def __new__(
        cls, description: str = "", *, many: Literal[False] = False, **options: Unpack[DatabaseOptions]
    ) -> OneStore: ...
    @overload
    def __new__(
        cls, description: str = "", *, many: Literal[True], **options: Unpack[DatabaseOptions]
    ) -> Kind: ...
    def __new__(cls, description: str = "", *, many: bool = False, **options: Any) -> Database:
        """Make the handle of one store, or of a kind."""
        return object.__new__(Kind if many else OneStore)


class OneStore(Database, Store):
    """A declared store: the handle that `Database(...)` makes."""


class Kind(Database):
    """A kind of store: the handle that `Database(..., many=True)` makes."""

    def __getitem__(self, name: str) -> Store:
        return Store(self.app, self._full(name))

    def create(self, name: str, *, refresh: bool = False, force_first_time: bool = False) -> Store:
        """Make a store of this kind, with database, tables and initial data. Idempotent.

        Args:
            name: The store's name within the kind.
            refresh: Drop it first, if it is there; default False.
            force_first_time: Tell the initializer that it is the first time; default False.
        """
        options = SyncOptions(refresh=refresh, force_first_time=force_first_time)
        current_stores().create(self.app, self._full(name), None, options)
        return self[name]

    def create_many(
        self, names: Iterable[str], *, jobs: int = 1, on_event: OnEvent | None = None
    ) -> list[SyncResult]:
        """Make several stores of this kind.

        Args:
            names: Their names within the kind.
            jobs: How many to work on at a time; default 1.
            on_event: Told of each step; see `Stores.sync`.

        Returns:
            How each ended, in order; one that fails does not stop the others.
        """
        every, options = [self._full(name) for name in names], SyncOptions(jobs=jobs)
        return current_stores().create_many(self.app, every, None, options, on_event=on_event)

    def drop(self, name: str, *, now: bool = False) -> DropResult:
        """Drop a store of this kind; it is kept for a while, unless `now`. Idempotent."""
        return current_stores().drop(self.app, self._full(name), now=now)

    def names(self) -> list[str]:
        """The stores of this kind, by the names they have within it."""
        names = current_stores().names(self.app, [self.name])
        return [name.removeprefix(self._full("")) for name in names]

    @property
    def aio(self) -> AsyncKind:
        """The same, for the tasks of an event loop."""
        return AsyncKind(self.app, self.name)

    def _full(self, name: str) -> str:
        return f"{self.name}.{name}"

    def __repr__(self) -> str:
        return f"<kind {self.app.declaration().package}:{self.name}>"
