"""Sessions that nobody closed, and nobody has any more, let connections go."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

_PATIENCE = 0.05
"""Seconds in which most of those who wait for a connection get one."""

_SHARE = 20
"""A collection may take one part in so many of a process's time."""

_next = [0.0]


def until_worth_it() -> float:
    """Seconds after which somebody who still waits for a connection may look for forgotten ones."""
    return max(_PATIENCE, _next[0] - time.monotonic())


def collect_forgotten() -> None:
    """Let the connections of sessions go that were neither closed nor kept.

    A session refers to itself, so without this it would have its connection until Python happens to
    collect garbage.
    """
    began = time.monotonic()
    gc.collect()
    now = time.monotonic()
    _next[0] = now + _SHARE * (now - began)


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
            collect_forgotten()
        for pool in pools:
            event.remove(pool, "checkout", take)
            event.remove(pool, "checkin", give_back)
