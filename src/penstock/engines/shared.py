"""One dialect and one cache of compiled statements for all stores of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from sqlalchemy import URL, Engine, NullPool, create_engine
from sqlalchemy.util import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.pool import Pool

    from penstock.backends import Backend

_STATEMENTS = 500
"""Compiled statements kept for each server, as SQLAlchemy keeps for each engine."""


class SharedDialect:
    """What the engines of one server have in common.

    An engine of `create_engine` has a dialect and a cache of its own, some 50 kB; with these shared
    it takes a tenth of that, and a statement is compiled once for all stores.

    Args:
        url: An address on the server, for its driver.
        options: What the backend tells the dialect.
        backend: Attaches what every transaction needs, here to all engines at once.
    """

    def __init__(self, url: URL, options: dict[str, Any], backend: Backend) -> None:
        # Listeners of one engine alone take as much memory as the engine itself.
        self._engine_class: type[Engine] = type("Engine", (Engine,), {})
        backend.listen(self._engine_class)
        self.dialect: Dialect = create_engine(url, poolclass=NullPool, **options).dialect
        self._of_one: Any = _dialect_of_one(type(self.dialect))
        self._each_its_own = backend.capabilities.database_is_schema
        self._statements: LRUCache[Any, Any] = LRUCache(_STATEMENTS)
        self._on_connect = self.dialect.on_connect_url(url)
        self._initialised = False

    def engine(self, pool: Pool, url: URL, *, echo: bool, hide_parameters: bool) -> Engine:
        """An engine of one store; `create_engine` without its private dialect and cache."""
        dialect = self._of_one(self.dialect, url.database) if self._each_its_own else self.dialect
        engine = self._engine_class(
            pool, dialect, url, query_cache_size=0, echo=echo, hide_parameters=hide_parameters
        )
        engine.update_execution_options(compiled_cache=self._statements)
        return engine

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


def _dialect_of_one(kind: Any) -> Any:
    """The class of what one store sees of a dialect that it shares: its default schema is its own.

    All else is shared, also what the dialect learns later. It is equal to all others of its kind, since
    statements are kept by the dialect that they were compiled for.
    """

    class DialectOfOne(kind):  # type: ignore[misc]  # the base is known at run time only
        __slots__ = ("default_schema_name",)
        supports_statement_cache = kind.supports_statement_cache

        def __init__(self, shared: Dialect, schema: str) -> None:
            object.__setattr__(self, "__dict__", shared.__dict__)
            self.default_schema_name = schema

        def __eq__(self, other: object) -> bool:
            return type(other) is type(self)

        def __hash__(self) -> int:
            return hash(type(self))

    return DialectOfOne


_shared: WeakValueDictionary[tuple[object, ...], SharedDialect] = WeakValueDictionary()


def shared_dialect(key: tuple[object, ...], make: Callable[[], SharedDialect]) -> SharedDialect:
    """The one of this key; kept for as long as an engine uses it."""
    found = _shared.get(key)
    if found is None:
        found = _shared.setdefault(key, make())
    return found
