"""How many connections this process has to one server, over all its stores."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from penstock.engines.deferring import DeferringLock
from penstock.engines.forgotten import collect_in_turn, until_worth_it
from penstock.engines.fork import keep_for_ever
from penstock.engines.queueing import BudgetState, Holder, Waiter
from penstock.engines.reservation import Grant, Reservation, borrowing_from, current_reservation
from penstock.errors import BudgetExhausted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.pool import ConnectionPoolEntry


@dataclass(slots=True, eq=False)
class QueueEntry:
    """One who waits in a budget's queue.

    Args:
        holder: Who stands there.
        waiter: How it sleeps.
        slots: How many slots it wants, all at once.
        anew: Whether they are for connections that it makes, so that none that is idle will do.
        grant: What it was given; None while it waits.
    """

    holder: Holder
    waiter: Waiter
    slots: int
    anew: bool = False
    grant: Grant | None = None


class Budget:
    """Shares a limited number of connections among any number of pools.

    Connections are given up, never engines: when the limit is reached, the connection that was idle
    for longest is closed, whichever store it belongs to. Waiters are served in the order in which
    they came; nobody overtakes, so one who wants several slots at once gets them. No lock is held
    while anybody talks to a server.

    Args:
        name: What the server is called in messages.
        limit: The most connections at a time, where nobody asks for another figure.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self._default = limit
        self._asked: WeakKeyDictionary[object, dict[str, int]] = WeakKeyDictionary()
        self._begin()

    def after_fork(self) -> None:
        """In a child of fork: start with nothing open and a lock of its own."""
        keep_for_ever(self._idle, self._stacks, self._queue)
        self._begin()

    def _begin(self) -> None:
        self._lock = DeferringLock()
        self._identity = object()
        self._used = 0
        self._out: Counter[str] = Counter()
        self._idle: OrderedDict[ConnectionPoolEntry, Holder] = OrderedDict()
        self._stacks: dict[Holder, list[ConnectionPoolEntry]] = {}
        self._queue: deque[QueueEntry] = deque()

    # --- the limit ---

    @property
    def limit(self) -> int:
        """The most connections at a time: the lowest figure that anybody asked for."""
        figures = (figure for asked in self._asked.values() for figure in asked.values())
        return min(figures, default=self._default)

    def ask_for(self, limit: int | None, owner: object, service: str = "") -> None:
        """Set one owner's figure, for as long as that lives; None withdraws it.

        Args:
            limit: The figure.
            owner: Whose it is.
            service: For which of the services that lead to the server; by default for all of them.
        """
        with self._lock:
            asked = self._asked.setdefault(owner, {})
            if limit is not None:
                asked[service] = limit
            elif service:
                asked.pop(service, None)
            else:
                asked.clear()
            self._serve()

    # --- taking and giving back ---

    def take(self, holder: Holder, waiter: Callable[[], Waiter], timeout: float) -> Grant:
        """A connection, or the right to make one once the grant's victims are closed.

        Args:
            holder: Who asks.
            waiter: Makes what it sleeps with, if it must wait.
            timeout: Seconds to wait.

        Raises:
            BudgetExhausted: Nothing became free in time; the error names who has the connections.
        """
        with self._lock:
            reservation = current_reservation(self._identity)
            grant = None if reservation is None else reservation.take(holder)
            if grant is not None:
                return grant
            grant = self._try(holder, 1)
            if grant is not None:
                self._out[holder.label] += 1
                return grant
            queued = self._queue_up(holder, waiter(), 1)
        return self._wait(queued, timeout)

    def give_back(
        self,
        holder: Holder,
        entry: ConnectionPoolEntry | None,
        reservation: Reservation | None = None,
    ) -> bool:
        """Return a connection for others to use, or the slot of one that is closed.

        Args:
            holder: Who had it.
            entry: The connection; None if it is closed, or was never made.
            reservation: What it was taken from, if that was a reservation.

        Returns:
            Whether it was taken; a connection over the limit is not: close it, then give back None.
        """
        with self._lock:
            if reservation is not None and reservation.open:
                reservation.give_back(holder, entry)
                return True
            if entry is not None and self._used > self.limit:
                return False
            self._leave(holder.label)
            if entry is None:
                self._used -= 1
            else:
                self._rest(holder, entry)
            self._serve()
        return True

    def claim(self, entry: ConnectionPoolEntry) -> bool:
        """Take an idle connection out, to close it and free its slot; False if it is not idle now."""
        with self._lock:
            if entry not in self._idle:
                return False
            self._pick(entry)
            return True

    def free_slot(self) -> None:
        """Free the slot of a claimed connection that is now closed."""
        with self._lock:
            self._used -= 1
            self._serve()

    def when_free(self, work: Callable[[], None]) -> None:
        """Do something that takes or gives back slots (see `DeferringLock.when_free`)."""
        self._lock.when_free(work)

    def idle_of(self, holder: Holder) -> list[ConnectionPoolEntry]:
        """The idle connections of one holder."""
        with self._lock:
            return list(self._stacks.get(holder, ()))

    @contextmanager
    def reserve(
        self, holder: Holder, waiter: Callable[[], Waiter], timeout: float, *, own: int, lent: int
    ) -> Iterator[None]:
        """Have several slots for the time of the block, taken all at once: nobody waits half-served.

        Inside another reservation of this budget it takes nothing more.

        Args:
            holder: Whose work it is.
            waiter: Makes what it sleeps with, if it must wait.
            timeout: Seconds to wait.
            own: Slots for connections that the caller makes by itself.
            lent: Slots for the pools of the stores that it uses in the block.

        Raises:
            BudgetExhausted: They did not become free in time, or there will never be so many.
        """
        if current_reservation(self._identity) is not None:
            yield
            return
        grant = self._take_many(holder, waiter, timeout, own + lent)
        reservation = Reservation(self._identity, lent)
        try:
            grant.clear_the_way()
            with borrowing_from(reservation):
                yield
        finally:
            self._end(reservation, holder.label, own, lent)

    @property
    def is_reserved(self) -> bool:
        """Whether the caller runs in the block of a reservation."""
        return current_reservation(self._identity) is not None

    def _take_many(self, holder: Holder, waiter: Callable[[], Waiter], timeout: float, slots: int) -> Grant:
        with self._lock:
            if slots > self.limit:
                raise self._too_low(holder, slots)
            grant = self._try(holder, slots, anew=True)
            if grant is not None:
                self._out[holder.label] += slots
                return grant
            queued = self._queue_up(holder, waiter(), slots, anew=True)
        return self._wait(queued, timeout)

    def _end(self, reservation: Reservation, label: str, own: int, lent: int) -> None:
        with self._lock:
            free, parked, borrowed = reservation.close()
            if reservation.budget is not self._identity:
                return  # This is a child of fork; the slots were its parent's.
            self._leave(label, own + lent)
            self._used -= own + free
            for holder, entry in parked:
                self._rest(holder, entry)
            for holder, count in borrowed.items():
                self._out[holder.label] += count
            self._serve()

    # --- waiting ---

    def _wait(self, queued: QueueEntry, timeout: float) -> Grant:
        try:
            pause = min(timeout, until_worth_it())
            queued.waiter.wait(pause)
            if queued.grant is None:
                collect_in_turn()
                queued.waiter.wait(timeout - pause)
        except BaseException:
            self._refuse(queued)
            raise
        with self._lock:
            if queued.grant is not None:
                return queued.grant
            self._queue.remove(queued)
            self._serve()
        raise self._exhausted(timeout)

    def _refuse(self, queued: QueueEntry) -> None:
        """Leave the queue, or return what was granted meanwhile; nothing of it was used yet."""
        with self._lock:
            grant = queued.grant
            if grant is None:
                self._queue.remove(queued)
            else:
                self._leave(queued.holder.label, queued.slots)
                self._used -= grant.fresh
                returned = [(queued.holder, grant.entry)] if grant.entry is not None else grant.victims
                for holder, entry in returned:
                    self._rest(holder, entry)
            self._serve()

    def _exhausted(self, timeout: float) -> BudgetExhausted:
        state = self.state()
        return BudgetExhausted(
            f"No connection to {self.name} became free within {timeout:g} s.",
            why=f"This process may have {state.limit}, and they are in use: {state}.",
            hint="Close sessions sooner, or raise max_connections in [engine] of penstock.toml.",
        )

    def _too_low(self, holder: Holder, slots: int) -> BudgetExhausted:
        return BudgetExhausted(
            f"{slots} connections to {self.name} are needed at a time, for {holder.label}.",
            why=f"This process may have {self.limit}.",
            hint=f"Raise max_connections of the service, or of [engine] in penstock.toml, to {slots}.",
        )

    # --- looking ---

    def state(self) -> BudgetState:
        """Who has how many connections right now."""
        with self._lock:
            return BudgetState(
                server=self.name,
                limit=self.limit,
                open=self._used,
                idle=len(self._idle),
                waiting=len(self._queue),
                holders=dict(self._out),
            )

    # --- under the lock ---

    def _leave(self, label: str, count: int = 1) -> None:
        self._out[label] -= count
        if self._out[label] <= 0:
            del self._out[label]

    def _rest(self, holder: Holder, entry: ConnectionPoolEntry) -> None:
        self._idle[entry] = holder
        self._stacks.setdefault(holder, []).append(entry)

    def _pick(self, entry: ConnectionPoolEntry) -> Holder:
        holder = self._idle.pop(entry)
        stack = self._stacks[holder]
        stack.remove(entry)
        if not stack:
            del self._stacks[holder]
        return holder

    def _queue_up(self, holder: Holder, waiter: Waiter, slots: int, *, anew: bool = False) -> QueueEntry:
        queued = QueueEntry(holder, waiter, slots, anew)
        self._queue.append(queued)
        return queued

    def _serve(self) -> None:
        """Give what became free to those who came first."""
        while self._queue:
            queued = self._queue[0]
            queued.grant = self._find(queued.holder, queued.slots, anew=queued.anew)
            if queued.grant is None:
                return
            self._queue.popleft()
            self._out[queued.holder.label] += queued.slots
            queued.waiter.set()

    def _try(self, holder: Holder, slots: int, *, anew: bool = False) -> Grant | None:
        """What nobody waits for; not even its own idle connection goes to one who came later."""
        return None if self._queue else self._find(holder, slots, anew=anew)

    def _find(self, holder: Holder, slots: int, *, anew: bool) -> Grant | None:
        return (None if anew else self._own_idle(holder)) or self._slots(slots)

    def _own_idle(self, holder: Holder) -> Grant | None:
        stack = self._stacks.get(holder)
        if not stack:
            return None
        entry = stack[-1]
        self._pick(entry)
        return Grant(entry)

    def _slots(self, slots: int) -> Grant | None:
        """Free slots, and those of the connections that were idle for longest."""
        free = max(0, min(slots, self.limit - self._used))
        missing = slots - free
        if len(self._idle) < missing:
            return None
        victims = [(self._pick(entry), entry) for entry in list(islice(self._idle, missing))]
        self._used += free
        return Grant(victims=victims, fresh=free)
