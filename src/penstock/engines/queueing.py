"""The holders of connections of a budget, and how they wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry


class Holder(Protocol):
    """Whoever takes connections from a budget: a store's pool, or work on a store."""

    @property
    def label(self) -> str:
        """What a message calls it: `app:store`."""

    def discard(self, entry: ConnectionPoolEntry) -> None:
        """Close an idle connection; for any thread."""


class Waiter(Protocol):
    """How somebody in the queue sleeps: a thread by a `threading.Event`, a task by a `TaskWaiter`."""

    def set(self) -> object:
        """End the sleep; called under the budget's lock, so it only sets a flag."""

    def wait(self, timeout: float) -> object:
        """Sleep until woken, for at most `timeout` seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What a budget is like at one moment.

    Args:
        server: What the server is called: its address, without user and password.
        limit: The most connections at a time.
        open: Connections there are, or are being made, those reserved for work included.
        idle: How many of them nobody uses.
        waiting: How many threads and tasks wait for one.
        holders: How many each store, or work on a store, uses.
    """

    server: str
    limit: int
    open: int
    idle: int
    waiting: int
    holders: dict[str, int]

    def __str__(self) -> str:
        busiest = sorted(self.holders.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{label} {count}" for label, count in busiest[:_NAMED])
        more = f" and {len(busiest) - _NAMED} more" if len(busiest) > _NAMED else ""
        return f"{named}{more}" if named else "nobody"


_NAMED = 8
