"""Frees the connections of sessions that were never closed and became garbage."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

from penstock.engines import fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

_PATIENCE = 0.1
"""Seconds in which most of those who wait for a connection get one."""

_SHARE = 50
"""Collections that were of no use may take one part in so many of a process's time."""


class _Turn:
    """When the next collection of those who wait may begin; taken by one of them."""

    def __init__(self) -> None:
        self.after_fork()
        fork.remember(self)

    def after_fork(self) -> None:
        """In a child of fork: nobody has it."""
        self._lock = Lock()
        self.after = 0.0
        self.thread = self.returned = 0

    def take(self) -> bool:
        """Whether it is the caller's, who has to end it."""
        if not self._lock.acquire(blocking=False):
            return False
        if time.monotonic() >= self.after:
            self.thread, self.returned = get_ident(), 0
            return True
        self._lock.release()
        return False

    def end(self, took: float) -> None:
        """Let the next one begin: at once if this one was of use, else after a while."""
        self.thread = 0
        self.after = time.monotonic() + (0 if self.returned else _SHARE * took)
        self._lock.release()


_turn = _Turn()


def until_worth_it() -> float:
    """Seconds after which somebody who still waits for a connection may look for forgotten ones."""
    return max(_PATIENCE, _turn.after - time.monotonic())


def note_return() -> None:
    """A connection came back in this thread; if that collects, it was forgotten."""
    if _turn.thread == get_ident():
        _turn.returned += 1


def collect_in_turn() -> None:
    """Let the connections of sessions go that were neither closed nor kept, unless somebody just did.

    A session refers to itself, so without this it would have its connection until Python happens to
    collect garbage.
    """
    if _turn.take():
        began = time.monotonic()
        try:
            gc.collect()
        finally:
            _turn.end(time.monotonic() - began)


@contextmanager
def forgetting_none(*engines: Engine) -> Iterator[None]:
    """After the block, no session that was forgotten in it has a connection of these engines any more."""
    out: set[int] = set()

    def take(connection: Any, record: Any, fairy: Any) -> None:
        out.add(id(record))

    def give_back(connection: Any, record: Any) -> None:
        out.discard(id(record))

    pools = {engine.pool for engine in engines}
    for pool in pools:
        event.listen(pool, "checkout", take)
        event.listen(pool, "checkin", give_back)
    try:
        yield
    finally:
        if out:
            gc.collect()
        for pool in pools:
            event.remove(pool, "checkout", take)
            event.remove(pool, "checkin", give_back)
