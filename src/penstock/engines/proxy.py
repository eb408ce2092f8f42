"""Proxies of one driver connection, one for each of those who share it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.util import await_only

from penstock.backends.statements import statements_in
from penstock.engines.nesting import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Shared(Protocol):
    """A connection, for all who have it."""

    @property
    def driver(self) -> Any:
        """The driver's connection."""

    def executing(self, unit: Unit, statement: str) -> AbstractContextManager[str]:
        """A block in which a unit executes a statement."""

    def commit(self, unit: Unit) -> None:
        """Keep what a unit has done."""

    def roll_back(self, unit: Unit) -> None:
        """Undo what a unit has done."""

    def give_up(self, unit: Unit) -> None:
        """Undo it later; the garbage collector may call this."""


class ConnectionProxy:
    """The connection underneath; all that is executed on it is one unit's.

    It calls itself what the driver calls it, for those who ask.

    Args:
        shared: Whose connection it is.
    """

    def __init__(self, shared: Shared) -> None:
        self.__dict__.update(shared=shared, unit=Unit(), kind=type(shared.driver))

    @property  # type: ignore[misc]  # a proxy answers isinstance like what it stands for
    def __class__(self) -> Any:
        """The driver's class."""
        return self.__dict__["kind"]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["shared"].driver, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value  # For others it stays what it is.

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor of the driver's that takes turns with others."""
        known = self.__dict__
        return CursorProxy(known["shared"], known["unit"], known["shared"].driver.cursor(*args, **options))

    def execute(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Execute a statement on a cursor of its own, as some drivers' connections do."""
        return self.cursor().execute(statement, *args, **options)

    def alone(self) -> AbstractContextManager[str]:
        """A block in which nobody else uses the connection underneath, for what asks it directly."""
        shared: Shared = self.__dict__["shared"]
        return shared.executing(self.__dict__["unit"], "SELECT 1")

    def create_function(self, *args: Any, **options: Any) -> Any:
        """Make a function; it fails while a statement is executed, also one of another's."""
        with self.alone():
            return self.__dict__["shared"].driver.create_function(*args, **options)

    def commit(self) -> None:
        """Keep what the unit has done."""
        self.__dict__["shared"].commit(self.__dict__["unit"])

    def rollback(self) -> None:
        """Undo what the unit has done."""
        self.__dict__["shared"].roll_back(self.__dict__["unit"])

    def close(self) -> None:
        """Leave the connection to the others."""
        self.__dict__["shared"].give_up(self.__dict__["unit"])


class AsyncConnectionProxy(ConnectionProxy):
    """The same for an async engine, which is answered at once, but insists on having waited."""

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor of the driver's that takes turns with others."""
        await_only(asyncio.sleep(0))
        return super().cursor(*args, **options)


class CursorProxy:
    """A driver's cursor; what it executes, it does when it is its unit's turn.

    It fetches all rows at once: one that is read while others write could see what they have written.
    """

    def __init__(self, shared: Shared, unit: Unit, cursor: Any) -> None:
        self.__dict__.update(_shared=shared, _unit=unit, _cursor=cursor, _rows=None)

    def execute(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Execute a statement."""
        with self._turn(statement) as made:
            self._cursor.execute(made, *args, **options)
            self.__dict__["_rows"] = deque(self._cursor.fetchall()) if self._cursor.description else None
        return self

    def executemany(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Execute a statement once for each set of parameters."""
        with self._turn(statement):
            self._cursor.executemany(statement, *args, **options)
            self.__dict__["_rows"] = None
        return self

    def executescript(self, script: str) -> Any:
        """Execute several statements, each as one of the unit's."""
        for statement in statements_in(script):
            self.execute(statement)
        return self

    @contextmanager
    def copy(self, statement: Any, *args: Any, **options: Any) -> Iterator[Any]:
        """A block in which rows come or go in bulk."""
        with self._turn(statement), self._cursor.copy(statement, *args, **options) as copying:
            yield copying

    @contextmanager
    def _turn(self, statement: Any) -> Iterator[Any]:
        text = statement.decode(errors="replace") if isinstance(statement, bytes) else statement
        known = text if isinstance(text, str) else "?"  # What psycopg composes, is taken for a change.
        with self._shared.executing(self._unit, known) as made:
            yield statement if made is known else made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_cursor"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["_cursor"], name, value)

    def __enter__(self) -> CursorProxy:
        return self

    def __exit__(self, *raised: object) -> None:
        self._cursor.close()

    def fetchone(self) -> Any:
        """The next row, or None."""
        if self._rows is None:
            return self._cursor.fetchone()
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """The next rows."""
        count = self._cursor.arraysize if size is None else size
        return list(islice(iter(self.fetchone, None), count))

    def fetchall(self) -> list[Any]:
        """All rows that are left."""
        return list(iter(self.fetchone, None))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchone, None)

    def __next__(self) -> Any:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row
