"""A lock that the garbage collector may find held by the thread it interrupts."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class DeferringLock:
    """A lock, and what is left to do once it is free.

    The collector may run at any moment, under this lock too, and it returns the connection of a
    session that nobody closed. That must neither wait for the lock, which its own thread holds, nor
    change what the thread is just changing; so it is done afterwards.

    >>> lock, done = DeferringLock(), []
    >>> with lock:
    ...     lock.when_free(lambda: done.append(1))
    ...     done
    []
    >>> done
    [1]
    """

    def __init__(self) -> None:
        # It can be taken twice: the collector may also run between taking it and noting who has it.
        self._lock = threading.RLock()
        self._thread: int | None = None
        self._later: deque[Callable[[], None]] = deque()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._thread = threading.get_ident()

    def __exit__(self, *raised: object) -> None:
        self._thread = None
        self._lock.release()
        while self._later:
            self._do_one()

    def when_free(self, work: Callable[[], None]) -> None:
        """Do something that takes the lock: now, or when this thread has released it."""
        if self._thread == threading.get_ident():
            self._later.append(work)
        else:
            work()

    def _do_one(self) -> None:
        try:
            work = self._later.popleft()
        except IndexError:  # Another thread was faster.
            return
        work()
