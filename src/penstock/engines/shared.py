"""One dialect and one cache of compiled statements for all stores of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import sqlalchemy
from sqlalchemy import URL, CreateEnginePlugin, Engine, NullPool, create_engine
from sqlalchemy.dialects import plugins
from sqlalchemy.util import LRUCache

from penstock.sqlalchemy_compat import listeners_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool

    from penstock.backends import Backend

    MakePool = Callable[[Dialect], Pool]

_STATEMENTS = 500
"""Compiled statements kept for each server, as SQLAlchemy keeps for each engine."""


class SharedDialect:
    """What the engines of one server have in common.

    An engine of `create_engine` has a dialect and a cache of its own, some 25 kB; with these shared
    it takes a fifth of that, and a statement is compiled once for all stores.

    Args:
        url: An address on the server, for its driver.
        options: What the backend tells the dialect.
        backend: Attaches what every transaction needs, here to all engines at once.
    """

    def __init__(self, url: URL, options: dict[str, Any], backend: Backend) -> None:
        # Listeners of one engine alone take as much memory as the engine itself.
        self.engine_class: type[Engine] = type("Engine", (Engine,), {})
        backend.listen(self.engine_class)
        self.dialect: Dialect = create_engine(url, poolclass=NullPool, **options).dialect
        self._of_store: Any = _dialect_of_store(type(self.dialect))
        self._database_is_schema = backend.capabilities.database_is_schema
        self.statements: LRUCache[Any, Any] = LRUCache(_STATEMENTS)
        self._on_connect = self.dialect.on_connect_url(url)
        self._initialised = False

    def dialect_of(self, url: URL) -> Dialect:
        """What a store with this address sees of the dialect: listeners and default schema are its own."""
        made: Dialect = self._of_store(self.dialect, url.database if self._database_is_schema else None)
        return made

    def engine(self, pool: MakePool, url: URL, *, echo: bool, hide_parameters: bool) -> Engine:
        """An engine of one store, made by `create_engine` as the process has it, wrapped or not."""
        options = self._options(pool)
        return sqlalchemy.create_engine(url, **options, echo=echo, hide_parameters=hide_parameters)

    def own_engine(self, pool: Pool, url: URL) -> Engine:
        """An engine for Penstock's own statements, which are no business of an app's listeners."""
        made = self.engine_class(pool, self.dialect_of(url), url, query_cache_size=0)
        made.update_execution_options(compiled_cache=self.statements)
        return made

    def async_engine(self, pool: MakePool, url: URL, *, echo: bool, hide_parameters: bool) -> AsyncEngine:
        """The same, awaited."""
        from sqlalchemy.ext import asyncio

        options = self._options(pool)
        return asyncio.create_async_engine(url, **options, echo=echo, hide_parameters=hide_parameters)

    def _options(self, pool: MakePool) -> dict[str, Any]:
        made = {"poolclass": NullPool, "query_cache_size": 0, "module": self.dialect.dbapi}
        return {**made, "plugins": [_PLUGIN], _SHARED: self, _POOL: pool}

    def set_up(self, raw: Any, url: URL) -> None:
        """Do for a new connection what the listeners of `create_engine` do.

        Two threads may both initialise the dialect; they write the same. So there is no lock that
        a fork could leave held, or that could stop an event loop.
        """
        if self._on_connect is not None:
            self._on_connect(raw)
        if not self._initialised:
            self._initialise(raw, url)
            self._initialised = True

    def _initialise(self, raw: Any, url: URL) -> None:
        """Let the dialect ask the server what it needs to know, on a connection that stays open."""
        once = Engine(NullPool(lambda: raw, dialect=self.dialect), self.dialect, url)
        connection = once.connect()
        try:
            self.dialect.initialize(connection)
            connection.rollback()
        finally:
            if connection.invalidated:  # A task was cancelled: SQLAlchemy has ended it.
                connection.close()
            else:
                connection.detach()  # Dropping it, unlike closing it, leaves `raw` open.


class SharingPlugin(CreateEnginePlugin):
    """Exchanges what `create_engine` made for one engine by what all engines of the server share.

    That is the documented way to take part in it, so whoever wraps `create_engine`, as OpenTelemetry does,
    gets an engine that is whole.
    """

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        self._shared: SharedDialect = kwargs.pop(_SHARED)
        self._pool: MakePool = kwargs.pop(_POOL)

    def update_url(self, url: URL) -> URL:
        """The same: nothing of ours is in an address."""
        return url

    def engine_created(self, engine: Engine) -> None:
        """Give a new engine what is shared; what listens to it comes later."""
        engine.dialect = self._shared.dialect_of(engine.url)
        engine.pool = self._pool(engine.dialect)
        engine.__class__ = self._shared.engine_class
        engine.update_execution_options(compiled_cache=self._shared.statements)


_PLUGIN, _SHARED, _POOL = "penstock", "penstock_shared", "penstock_pool"

plugins.register(_PLUGIN, __name__, SharingPlugin.__name__)


def _dialect_of_store(kind: Any) -> Any:
    """The class of what one store sees of a dialect that it shares.

    Its listeners are its own, and its default schema where that is the database. All else is shared, also
    what the dialect learns later. It is equal to all others of its kind, since statements are kept by the
    dialect that they were compiled for.
    """

    class DialectOfStore(kind):  # type: ignore[misc]  # the base is known at run time only
        __slots__ = ("_dispatch", "_has_events", "_schema")
        supports_statement_cache = kind.supports_statement_cache

        def __init__(self, shared: Dialect, schema: str | None) -> None:
            object.__setattr__(self, "__dict__", shared.__dict__)
            self._has_events = False
            self._dispatch: Any = None
            self._schema = schema

        @property
        def dispatch(self) -> Any:
            """Its listeners, made when the first one comes; SQLAlchemy would keep them in what is shared."""
            if self._dispatch is None:
                self._dispatch = listeners_for(kind, self)
            return self._dispatch

        @property
        def default_schema_name(self) -> str | None:
            """Where names are looked up."""
            return self._schema or self.__dict__.get("default_schema_name")

        @default_schema_name.setter
        def default_schema_name(self, schema: str | None) -> None:
            self._schema = schema

        def __eq__(self, other: object) -> bool:
            return type(other) is type(self)

        def __hash__(self) -> int:
            return hash(type(self))

    return DialectOfStore


_shared: WeakValueDictionary[tuple[object, ...], SharedDialect] = WeakValueDictionary()


def shared_dialect(key: tuple[object, ...], make: Callable[[], SharedDialect]) -> SharedDialect:
    """The one of this key; kept for as long as an engine uses it."""
    found = _shared.get(key)
    if found is None:
        found = _shared.setdefault(key, make())
    return found
