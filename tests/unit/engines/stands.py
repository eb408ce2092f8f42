"""Small holders of connections, and a sleep that a test ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.engines import Budget

PATIENCE = 20.0


class Link:
    """A connection: open, until a holder closes it."""

    def __init__(self) -> None:
        self.open = True
        self.reservation: Any = None


class Stand:
    """A holder of connections, as a store's pool is.

    Args:
        label: What a message calls it.
        budget: What it takes from.
    """

    def __init__(self, label: str, budget: Budget) -> None:
        self.label = label
        self.budget = budget
        self.made: list[Link] = []

    def discard(self, entry: Link) -> None:
        assert entry.open
        entry.open = False

    def take(self, waiter: Callable[[], Any] | None = None, timeout: float = 1.5) -> Link:
        """A connection of its own, idle or new."""
        grant = self.budget.take(self, waiter or NeverWoken, timeout)
        grant.clear_the_way()
        entry: Any = grant.entry
        if entry is None:
            entry = Link()
            self.made.append(entry)
        assert entry.open
        assert entry in self.made
        entry.reservation = grant.reservation
        return entry

    def give_back(self, entry: Link, *, dead: bool = False) -> None:
        """As a pool does it: a connection over the limit is closed."""
        if dead:
            self.discard(entry)
        kept = self.budget.give_back(self, entry if entry.open else None, entry.reservation)
        if not kept:
            self.discard(entry)
            assert self.budget.give_back(self, None, entry.reservation)

    def dispose(self) -> None:
        """Close what is idle."""
        for entry in self.budget.idle_of(self):
            self.close(entry)

    def close(self, entry: Link) -> None:
        """Close one connection if it is idle."""
        if self.budget.claim(entry):
            self.discard(entry)
            self.budget.free_slot()


class NeverWoken:
    """For those who must not wait, or wait in vain: it sleeps for no time at all."""

    def set(self) -> None:
        """Nobody is there."""

    def wait(self, timeout: float) -> None:
        """Return at once."""


class Sleeper:
    """A sleep that ends when the budget, or the test, says so."""

    def __init__(self) -> None:
        self.asleep = threading.Event()
        self.woken = False
        self._end = threading.Event()
        self._error: BaseException | None = None

    def set(self) -> None:
        """What the budget calls."""
        self.woken = True
        self._end.set()

    def wait(self, timeout: float) -> None:
        """Sleep until the budget, or the test, says so."""
        self.asleep.set()
        assert self._end.wait(PATIENCE)
        if self._error is not None:
            raise self._error

    def time_out(self) -> None:
        """Let the time be over."""
        self._end.set()

    def interrupt(self, error: BaseException) -> None:
        """Let an exception end the sleep, whether or not it was granted something."""
        self._error = error
        self._end.set()


@dataclass
class Attempt:
    """Somebody who asks on a thread of his own, and may sleep there."""

    ask: Callable[[Callable[[], Sleeper]], Any]
    context: Context = field(default_factory=copy_context)
    sleeper: Sleeper | None = None
    result: Any = None
    error: BaseException | None = None

    def __post_init__(self) -> None:
        self._stirred = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._stirred.wait(PATIENCE)

    @property
    def waits(self) -> bool:
        """Whether it sleeps, and nobody has woken it."""
        return self._thread.is_alive()

    def settle(self) -> None:
        """Wait until it is done, if it was woken or told to stop."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def interrupt(self, error: BaseException) -> None:
        """Let an exception end its sleep."""
        assert self.sleeper is not None
        self.sleeper.interrupt(error)
        self.settle()

    def time_out(self) -> None:
        """Let it have waited for long enough."""
        assert self.sleeper is not None
        self.sleeper.time_out()
        self.settle()

    def _run(self) -> None:
        try:
            self.result = self.context.run(self.ask, self._new_sleeper)
        except BaseException as error:
            self.error = error
        finally:
            self._stirred.set()

    def _new_sleeper(self) -> Sleeper:
        self.sleeper = _Stirring(self._stirred)
        return self.sleeper


class _Stirring(Sleeper):
    """Also tells that it fell asleep."""

    def __init__(self, stirred: threading.Event) -> None:
        super().__init__()
        self._stirred = stirred

    def wait(self, timeout: float) -> None:
        self._stirred.set()
        super().wait(timeout)


def waiting(stand: Stand) -> Attempt:
    """Somebody who wants a connection of this stand, and waits for it if he must."""
    return Attempt(stand.take)
