"""Lets engines share one transaction, which is rolled back at the end."""

from __future__ import annotations

import threading
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import NullPool
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import DBAPIError

from penstock.backends import PINNED, backend_for
from penstock.engines.nesting import Nesting, Ways
from penstock.engines.proxy import AsyncConnectionProxy, ConnectionProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import Dialect

    from penstock.engines.nesting import Unit

TURN = 30.0
"""Seconds to wait for a session of another thread or task that writes."""

_AROUND = "penstock_around"
_ABORTED = "current transaction is aborted, commands ignored until end of transaction block"


class SharedTransaction:
    """Lets the engines of a store work inside one transaction, from `begin` to `end`.

    Whoever connects meanwhile, by sessions or by an engine, has the same connection underneath. What a
    transaction of theirs writes begins with a savepoint: it is committed by being left alone, and rolled
    back to. So what one commits, all see, and in the end nothing of it is there. A commit checks no
    deferred constraint. Threads and tasks that write take turns (see `Nesting`).

    Tasks of event loops share the connection too. So an async engine works with the driver of the sync
    one meanwhile, and each of its statements stops the loop until it is answered.

    Args:
        engine: The store's engine; the connection is one of its own.
        timeout: Seconds to wait for a turn; default 30.
    """

    def __init__(self, engine: Engine, timeout: float = TURN) -> None:
        self._plain = copy(engine)
        self._engines: dict[int, tuple[Engine, Engine]] = {}
        self._outer: Connection | None = None
        self._connecting = threading.Lock()
        self._ended = False
        backend, dbapi = backend_for(engine.url), self._plain.dialect.loaded_dbapi
        aborted = partial(dbapi.InternalError, _ABORTED) if backend.capabilities.errors_abort else None
        ways = Ways(
            label=getattr(engine.pool, "label", "") or str(engine.url.database),
            run=self._execute,
            errors=dbapi.Error,
            aborted=aborted,
            transactional_ddl=backend.capabilities.transactional_ddl,
        )
        self._nesting = Nesting(ways, timeout)
        self._add(engine, partial(ConnectionProxy, self), _Savepoints)

    def add_async(self, engine: Engine) -> None:
        """Take an async engine of the same store too.

        Args:
            engine: What is inside the async engine.
        """
        if id(engine) not in self._engines:
            self._add(engine, partial(AsyncConnectionProxy, self), _SavepointsOfTasks)

    def end(self) -> bool:
        """Undo all that was done, and let the engines be what they were.

        Returns:
            Whether it was undone; else the server has committed something of it.
        """
        for engine, plain in self._engines.values():
            engine.pool, engine.dialect = plain.pool, plain.dialect
            engine.update_execution_options(**{PINNED: False})
        self._ended = True  # Whoever is late, has nothing to roll back.
        if self._outer is None:
            return True
        undone = self._nesting.end(_AROUND)
        leaves = not self._nesting.ways.transactional_ddl  # Such as temporary tables.
        try:
            self._outer.rollback()
        except DBAPIError:
            leaves = True
        if leaves:  # The next one has another connection.
            self._outer.invalidate()
        self._outer.close()
        return undone

    @property
    def driver(self) -> Any:
        """The driver's connection underneath; there is one as soon as somebody connects."""
        with self._connecting:
            if self._outer is None:
                self._outer = self._plain.connect()
                self._outer.exec_driver_sql(f"SAVEPOINT {_AROUND}")
        return self._outer.connection.dbapi_connection

    # --- what those do who have the connection ---

    def executing(self, unit: Unit, statement: str) -> AbstractContextManager[str]:
        """A block in which a unit executes a statement (see `Nesting.executing`)."""
        return self._nesting.executing(unit, statement)

    def commit(self, unit: Unit) -> None:
        """Keep what a unit has done, until the end."""
        if not self._ended:
            self._nesting.commit(unit)

    def roll_back(self, unit: Unit) -> None:
        """Undo what a unit has done."""
        if not self._ended:
            self._nesting.roll_back(unit)

    def give_up(self, unit: Unit) -> None:
        """Undo it when somebody works the next time; the garbage collector may call this."""
        if not self._ended:
            self._nesting.give_up(unit)

    def _execute(self, statement: str) -> None:
        cursor = self.driver.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()

    def _add(self, engine: Engine, lend: Callable[[], Any], manners: type[_Savepoints]) -> None:
        dialect = _dialect_of(self._plain.dialect, manners)
        self._engines[id(engine)] = engine, copy(engine)
        engine.update_execution_options(**{PINNED: True})
        engine.pool, engine.dialect = _SharedPool(lend, dialect), dialect


class _SharedPool(NullPool):
    """Hands out the connection underneath, again and again; nothing is closed, nothing reset."""

    def __init__(self, lend: Callable[[], Any], dialect: Dialect) -> None:
        super().__init__(lend, dialect=dialect, reset_on_return=None)

    def recreate(self) -> _SharedPool:
        """This pool itself: there is one connection underneath."""
        return self


# --- dialects -------------------------------------------------------------------------------------


def _dialect_of(dialect: Dialect, manners: type[_Savepoints]) -> Dialect:
    """The dialect with other manners; all that it knows is the same, and stays so.

    It is kept with the dialect: SQLAlchemy compiles each statement once per dialect.
    """
    kept: Any = dialect.__dict__.get(manners.__name__)
    if kept is None:
        kind = type(dialect)
        ours = {"supports_statement_cache": kind.supports_statement_cache}  # It is never inherited.
        kept = object.__new__(type(kind.__name__, (manners, kind), ours | manners.more(dialect)))
        kept.__dict__ = dialect.__dict__
        dialect.__dict__[manners.__name__] = kept
    own = getattr(type(dialect), "__slots__", ())  # What a store does not share, its listeners for one.
    if own:
        kept = object.__new__(type(kept))
        kept.__dict__ = dialect.__dict__
        for name in own:
            setattr(kept, name, getattr(dialect, name))
    return cast("Dialect", kept)


class _Savepoints(DefaultDialect):
    """Transactions are savepoints, and nobody changes or ends the connection."""

    supports_server_side_cursors = False  # Rows that are left at the server would be in the others' way.

    @staticmethod
    def more(dialect: Dialect) -> dict[str, Any]:
        """Attributes of a class that does it as the dialect needs it."""
        return {}

    def do_begin(self, dbapi_connection: Any) -> None:
        """Nothing: it begins with the first statement that writes."""

    def do_commit(self, dbapi_connection: Any) -> None:
        dbapi_connection.commit()

    def do_rollback(self, dbapi_connection: Any) -> None:
        dbapi_connection.rollback()

    def do_close(self, dbapi_connection: Any) -> None:
        _proxy(dbapi_connection).close()

    def do_terminate(self, dbapi_connection: Any) -> None:
        _proxy(dbapi_connection).close()

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        # The transaction around has a level already.
        _proxy(dbapi_connection).__dict__["unit"].autocommit = level == "AUTOCOMMIT"

    def reset_isolation_level(self, dbapi_conn: Any) -> None:
        _proxy(dbapi_conn).__dict__["unit"].autocommit = False

    def get_driver_connection(self, connection: Any) -> Any:
        return connection


class _SavepointsOfTasks(_Savepoints):
    """The same for async engines."""

    @staticmethod
    def more(dialect: Dialect) -> dict[str, Any]:
        """Rows can be streamed, if only from memory."""
        kind = dialect.execution_ctx_cls
        streaming = type(kind.__name__, (_Streaming, kind), {})
        return {"supports_server_side_cursors": True, "execution_ctx_cls": streaming}


class _Streaming:
    """The server keeps no rows for later, one gets them all."""

    def create_server_side_cursor(self: Any) -> Any:
        return self._dbapi_connection.cursor()


def _proxy(connection: Any) -> Any:
    """The proxy of a unit; SQLAlchemy hands over its own wrapper of a connection."""
    return getattr(connection, "dbapi_connection", connection)
