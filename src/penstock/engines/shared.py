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

_STATEMENTS = 500
"""Compiled statements kept for each server, as SQLAlchemy keeps for each engine."""


class SharedDialect:
    """What the engines of one server have in common.

    An engine of `create_engine` has a dialect and a cache of its own, some 50 kB; with these shared
    it takes a tenth of that, and a statement is compiled once for all stores.

    Args:
        url: An address on the server, for its driver.
        options: What the backend tells the dialect.
        listen: Attaches what every transaction needs, here to all engines at once.
    """

    def __init__(self, url: URL, options: dict[str, Any], listen: Callable[[type[Engine]], None]) -> None:
        # Listeners of one engine alone take as much memory as the engine itself.
        self._engine_class: type[Engine] = type("Engine", (Engine,), {})
        listen(self._engine_class)
        self.dialect: Dialect = create_engine(url, poolclass=NullPool, **options).dialect
        self._statements: LRUCache[Any, Any] = LRUCache(_STATEMENTS)
        self._on_connect = self.dialect.on_connect_url(url)
        self._initialised = False

    def engine(self, pool: Pool, url: URL, *, echo: bool) -> Engine:
        """An engine of one store; `create_engine` without its private dialect and cache."""
        engine = self._engine_class(pool, self.dialect, url, query_cache_size=0, echo=echo)
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


_shared: WeakValueDictionary[tuple[object, ...], SharedDialect] = WeakValueDictionary()


def shared_dialect(key: tuple[object, ...], make: Callable[[], SharedDialect]) -> SharedDialect:
    """The one of this key; kept for as long as an engine uses it."""
    found = _shared.get(key)
    if found is None:
        found = _shared.setdefault(key, make())
    return found
