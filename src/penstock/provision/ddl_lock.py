"""A lock for DDL: one thread creates tables at a time, where a library needs it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import Lock, local
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, event

from penstock.engines import fork

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDS_LOCK = "geoalchemy2"
"""It takes columns away from a table, in memory, for the time in which that is created or dropped."""


class DDLLock:
    """Lets one thread after the other create a table, from the events before to the events after it.

    There is no event when a table could not be created. So the lock is released at the end of its block at
    the latest.
    """

    def __init__(self) -> None:
        self._listening = False
        fork.remember(self)
        self.after_fork()

    def after_fork(self) -> None:
        """In a child of fork: no thread holds the lock."""
        self._lock = Lock()
        self._mine = local()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block in which tables are created under the lock; all else that is done in it goes on at once."""
        if _NEEDS_LOCK not in sys.modules or self._tables is not None:
            yield
            return
        self._listen()
        self._mine.tables = 0
        try:
            yield
        finally:
            if self._mine.tables:
                self._lock.release()
            self._mine.tables = None

    @property
    def _tables(self) -> int | None:
        """How many tables this thread is creating, one inside the other; None outside of a block."""
        return getattr(self._mine, "tables", None)

    def _listen(self) -> None:
        if not self._listening:  # Two threads may both come here; SQLAlchemy takes a listener once.
            for verb in ("create", "drop"):
                event.listen(Table, f"before_{verb}", self._begin, insert=True)
                event.listen(Table, f"after_{verb}", self._end)
            self._listening = True

    def _begin(self, *_: Any, **__: Any) -> None:
        tables = self._tables
        if tables is not None:
            if tables == 0:
                self._lock.acquire()
            self._mine.tables = tables + 1

    def _end(self, *_: Any, **__: Any) -> None:
        tables = self._tables
        if tables:
            self._mine.tables = tables - 1
            if tables == 1:
                self._lock.release()


ddl_lock = DDLLock()
"""The one of this process."""
