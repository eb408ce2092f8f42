"""Many stores at a time: each on a thread of its own, and none stops the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """How the sync of one store ended.

    Args:
        app: The app's package.
        store: The store's name.
        error: Why it failed or was skipped; None if all is well.
        skipped: Whether that is no failure: an optional setting with nothing plugged in.
    """

    app: str
    store: str
    error: PenstockError | None = None
    skipped: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.error is None or self.skipped


def in_parallel(work: Sequence[Callable[[], _Result]], jobs: int) -> list[_Result]:
    """Do pieces of work on at most `jobs` threads; what they return, in the order given.

    Each runs in a copy of the caller's context, so that `use(stores)` holds there too. If one
    raises, or the caller is interrupted, those that have not begun are left undone.

    Args:
        work: The pieces.
        jobs: How many at a time; 1 does them on the caller's thread.

    >>> in_parallel([lambda: 1, lambda: 2], jobs=2)
    [1, 2]
    """
    if jobs <= 1 or len(work) <= 1:
        return [piece() for piece in work]
    threads = ThreadPoolExecutor(min(jobs, len(work)), thread_name_prefix="penstock")
    try:
        futures = [threads.submit(copy_context().run, piece) for piece in work]
        return [future.result() for future in futures]
    finally:
        threads.shutdown(cancel_futures=True)
