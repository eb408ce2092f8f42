"""What a budget hands out: a connection, free slots, or several at once for work."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.pool import ConnectionPoolEntry

from penstock.engines.queueing import Holder

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Grant:
    """What a holder was given.

    Args:
        entry: An idle connection of its own; None for slots to make new connections in.
        victims: Idle connections of others, whose slots these were; to be closed first.
        fresh: How many slots were free, rather than a victim's.
        reservation: The reservation it was taken from, if any.
    """

    entry: ConnectionPoolEntry | None = None
    victims: list[tuple[Holder, ConnectionPoolEntry]] = field(default_factory=list)
    fresh: int = 0
    reservation: Reservation | None = None

    def clear_the_way(self) -> None:
        """Close the victims; never under a lock, since closing talks to the server."""
        with ExitStack() as closing:  # Closes all of them, even if one raises.
            for holder, entry in self.victims:
                closing.callback(holder.discard, entry)
        self.victims.clear()


class Reservation:
    """What is left of the slots that one piece of work lends to the pools it uses.

    Every method is called under the lock of the budget it belongs to.

    Args:
        budget: The budget's identity, which changes in a child of fork.
        lent: How many slots the pools may use.
    """

    def __init__(self, budget: object, lent: int) -> None:
        self.budget = budget
        self.open = True
        self._free = lent
        self._borrowed: Counter[Holder] = Counter()
        self._parked: list[tuple[Holder, ConnectionPoolEntry]] = []

    def take(self, holder: Holder) -> Grant | None:
        """A parked connection of the holder's own, a free slot, or that of another's parked one."""
        grant = self._own(holder) or self._slot()
        if grant is not None:
            self._borrowed[holder] += 1
        return grant

    def give_back(self, holder: Holder, entry: ConnectionPoolEntry | None) -> None:
        """Park a connection for its next use, or free its slot."""
        self._borrowed[holder] -= 1
        if entry is None:
            self._free += 1
        else:
            self._parked.append((holder, entry))

    def close(self) -> tuple[int, list[tuple[Holder, ConnectionPoolEntry]], Counter[Holder]]:
        """End it: the free slots, the parked connections, and those who still use one."""
        self.open = False
        return self._free, self._parked, +self._borrowed

    def _own(self, holder: Holder) -> Grant | None:
        for index, (owner, entry) in enumerate(self._parked):
            if owner is holder:
                del self._parked[index]
                return Grant(entry, reservation=self)
        return None

    def _slot(self) -> Grant | None:
        if self._free:
            self._free -= 1
            return Grant(reservation=self)
        if self._parked:
            return Grant(victims=[self._parked.pop(0)], reservation=self)
        return None


_Open: TypeAlias = tuple[Reservation, ...]

_current: ContextVar[_Open] = ContextVar("penstock_reservations", default=())


def current_reservation(budget: object) -> Reservation | None:
    """The reservation of this budget in whose block the caller runs."""
    return next((r for r in _current.get() if r.budget is budget and r.open), None)


@contextmanager
def borrowing_from(reservation: Reservation) -> Iterator[None]:
    """Let the pools used in the block borrow from it."""
    token = _current.set((*_current.get(), reservation))
    try:
        yield
    finally:
        _current.reset(token)
