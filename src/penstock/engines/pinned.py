"""Engines all of whose transactions take place in one, which is rolled back."""

from __future__ import annotations

import asyncio
from copy import copy
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import NullPool
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import await_only

from penstock.backends import PINNED
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine.interfaces import Dialect


class Pin:
    """Lets the engines of a store work inside one transaction, from `begin` to `end`.

    Whoever connects meanwhile, by sessions or by an engine, has the same connection underneath. A
    transaction of theirs is a savepoint: it is committed by being left alone, and rolled back to.
    So what one commits, all see, and in the end nothing of it is there. A commit checks no
    deferred constraint, and what is rolled back takes with it what others have written since it began.

    Tasks of event loops share the connection too. So an async engine works with the driver of the sync
    one meanwhile, and each of its statements stops the loop until it is answered.

    Args:
        engine: The store's engine; the connection is one of its own.
    """

    def __init__(self, engine: Engine) -> None:
        self._plain = copy(engine)
        self._pinned: dict[int, tuple[Engine, Engine]] = {}
        self._outer: Connection | None = None
        self._names = count()
        self._savepoints: list[str] = []
        self._pin(engine, partial(_Lent, self), _Savepoints)

    def pin_async(self, engine: Engine) -> None:
        """Take an async engine of the same store too.

        Args:
            engine: What is inside the async engine.
        """
        if id(engine) not in self._pinned:
            self._pin(engine, partial(_LentToTasks, self), _SavepointsOfTasks)

    def end(self) -> None:
        """Undo all that was done, and let the engines be what they were."""
        for engine, plain in self._pinned.values():
            engine.pool, engine.dialect = plain.pool, plain.dialect
            engine.update_execution_options(**{PINNED: False})
        self._savepoints.clear()  # Whoever is late, has nothing to roll back.
        if self._outer is not None:
            self._outer.rollback()
            self._outer.close()

    @property
    def driver(self) -> Any:
        """The driver's connection underneath; there is one as soon as somebody connects."""
        if self._outer is None:
            self._outer = self._plain.connect()
            self._outer.begin()
        return self._outer.connection.dbapi_connection

    def savepoint(self) -> str:
        """Begin what can be rolled back alone; its name."""
        name = f"penstock_{next(self._names)}"
        self._execute(f"SAVEPOINT {name}")
        self._savepoints.append(name)
        return name

    def keep(self, name: str) -> None:
        """Let stand what was done since a savepoint; after an error, as servers do, nothing of it."""
        last = self._savepoints[-1:] == [name]
        try:
            self._execute(f"RELEASE SAVEPOINT {name}" if last else "SELECT 1")
        except self._plain.dialect.loaded_dbapi.Error:
            self.roll_back_to(name)
        else:
            del self._savepoints[len(self._savepoints) - last :]

    def roll_back_to(self, name: str) -> None:
        """Undo what was done since a savepoint, unless it went with another one that began before it."""
        if name in self._savepoints:
            del self._savepoints[self._savepoints.index(name) :]
            try:
                self._execute(f"ROLLBACK TO SAVEPOINT {name}")
                self._execute(f"RELEASE SAVEPOINT {name}")
            except self._plain.dialect.loaded_dbapi.Error as error:
                raise _committed() from error

    def _execute(self, statement: str) -> None:
        cursor = self.driver.cursor()
        try:
            cursor.execute(statement)
        finally:
            cursor.close()

    def _pin(self, engine: Engine, lend: Callable[[], Any], manners: type[_Savepoints]) -> None:
        dialect = _dialect_of(self._plain.dialect, manners)
        self._pinned[id(engine)] = engine, copy(engine)
        engine.update_execution_options(**{PINNED: True})
        engine.pool, engine.dialect = _PinnedPool(lend, dialect), dialect


class _Lent:
    """The connection underneath, as one of those who work on it sees it."""

    def __init__(self, pin: Pin) -> None:
        self.__dict__.update(pin=pin, savepoint="", level="")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["pin"].driver, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value  # For others it stays what it is.


class _LentToTasks(_Lent):
    """The same for an async engine, which is answered at once, but insists on having waited."""

    def cursor(self, *args: Any, **options: Any) -> Any:
        await_only(asyncio.sleep(0))
        return self.__dict__["pin"].driver.cursor(*args, **options)


class _PinnedPool(NullPool):
    """Hands out the connection underneath, again and again; nothing is closed, nothing reset."""

    def __init__(self, lend: Callable[[], Any], dialect: Dialect) -> None:
        super().__init__(lend, dialect=dialect, reset_on_return=None)

    def recreate(self) -> _PinnedPool:
        """This pool itself: there is one connection underneath."""
        return self


# --- dialects -------------------------------------------------------------------------------------


def _committed() -> NotSupported:
    return NotSupported(
        "What was done in this block can't be rolled back any more.",
        why="The server has committed it, as some do at each CREATE, ALTER or DROP.",
        hint="Make tables in copies of a test's own: CopiedStores.fresh",
    )


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
    return cast("Dialect", kept)


class _Savepoints(DefaultDialect):
    """Transactions are savepoints, and nobody changes or ends the connection."""

    @staticmethod
    def more(dialect: Dialect) -> dict[str, Any]:
        """Attributes of a class that does it as the dialect needs it."""
        return {}

    def do_begin(self, dbapi_connection: Any) -> None:
        lent = _lent(dbapi_connection)
        lent["savepoint"] = lent["pin"].savepoint()

    def do_commit(self, dbapi_connection: Any) -> None:
        lent = _lent(dbapi_connection)
        lent["pin"].keep(lent["savepoint"])

    def do_rollback(self, dbapi_connection: Any) -> None:
        lent = _lent(dbapi_connection)
        if lent["level"] == "AUTOCOMMIT":  # What was executed, was committed.
            lent["pin"].keep(lent["savepoint"])
        else:
            lent["pin"].roll_back_to(lent["savepoint"])

    def do_close(self, dbapi_connection: Any) -> None:
        """Nothing: others work on it."""

    def do_terminate(self, dbapi_connection: Any) -> None:
        """Nothing: others work on it."""

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        _lent(dbapi_connection)["level"] = level  # The transaction around has one already.

    def reset_isolation_level(self, dbapi_conn: Any) -> None:
        _lent(dbapi_conn)["level"] = ""

    def get_driver_connection(self, connection: Any) -> Any:
        return connection.__dict__["pin"].driver


class _SavepointsOfTasks(_Savepoints):
    """The same for async engines."""

    @staticmethod
    def more(dialect: Dialect) -> dict[str, Any]:
        """Rows can be streamed, if only from memory."""
        if dialect.supports_server_side_cursors:
            return {}
        kind = dialect.execution_ctx_cls
        streaming = type(kind.__name__, (_Streaming, kind), {})
        return {"supports_server_side_cursors": True, "execution_ctx_cls": streaming}


class _Streaming:
    """Where the server keeps no rows for later, one gets them all."""

    def create_server_side_cursor(self: Any) -> Any:
        return self._dbapi_connection.cursor()


def _lent(connection: Any) -> dict[str, Any]:
    """What is known of one who works on it; SQLAlchemy hands over its own dress of a connection."""
    found: dict[str, Any] = getattr(connection, "dbapi_connection", connection).__dict__
    return found
