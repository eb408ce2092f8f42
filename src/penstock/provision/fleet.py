"""Many stores at a time: each on a thread of its own, and none stops the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Result = TypeVar("_Result")


def in_parallel(pieces: Sequence[Callable[[], _Result]], jobs: int) -> list[_Result]:
    """Do pieces of work on at most `jobs` threads; what they return, in the order given.

    Each runs in a copy of the caller's context, so that `use(stores)` holds there too. If one
    raises, or the caller is interrupted, those that have not begun are left undone.

    Args:
        pieces: What is to be done.
        jobs: How many at a time; 1 does them on the caller's thread.

    >>> in_parallel([lambda: 1, lambda: 2], jobs=2)
    [1, 2]
    """
    if jobs <= 1 or len(pieces) <= 1:
        return [piece() for piece in pieces]
    threads = ThreadPoolExecutor(min(jobs, len(pieces)), thread_name_prefix="penstock")
    try:
        futures = [threads.submit(copy_context().run, piece) for piece in pieces]
        return [future.result() for future in futures]
    finally:
        threads.shutdown(cancel_futures=True)
