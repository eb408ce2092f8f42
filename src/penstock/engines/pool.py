"""A store's pool: it owns no connections, it takes them from its server's budget."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy.pool import Pool

from penstock.engines.budget import Budget
from penstock.engines.forgotten import note_return
from penstock.engines.fork import keep_for_ever
from penstock.engines.queueing import Holder
from penstock.engines.reservation import Reservation

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

    from penstock.engines.queueing import Waiter
    from penstock.engines.reservation import Grant

_HOLD = "penstock"


class Supply(Protocol):
    """Where a pool's connections come from, and which of them may be used again."""

    @property
    def label(self) -> str:
        """Whose connections these are: `app:store`."""

    @property
    def budget(self) -> Budget:
        """What they count against."""

    @property
    def timeout(self) -> float:
        """Seconds to wait for one."""

    @property
    def recycle(self) -> int:
        """Seconds after which an idle one is replaced."""

    def refresh(self) -> None:
        """Notice that the store moved, before a connection to it is handed out."""

    def connect(self, rec: ConnectionPoolEntry) -> Any:
        """A new driver connection."""

    def is_good(self, entry: ConnectionPoolEntry, idle_since: float) -> bool:
        """Whether a connection that was idle can be handed out."""

    def closing(self, raw: Any) -> AbstractContextManager[None]:
        """A block in which a connection is closed; it ends when the server no longer counts it."""


@dataclass(slots=True)
class _Hold:
    """What a pool knows of one of its connections."""

    budget: Budget
    holder: Holder
    epoch: object
    reservation: Reservation | None
    idle_since: float = 0.0


class StorePool(Pool):
    """A pool without connections of its own (see `Budget`).

    `dispose` closes the idle connections at once and the others when they come back, and the pool
    goes on: nothing is ever open without being counted.

    Args:
        supply: Makes and checks connections.
        dialect: How to reset and close them; an engine made by `create_engine` sets its own.
    """

    def __init__(self, supply: Supply, dialect: Dialect | None = None, **options: Any) -> None:
        self._supply = supply
        self._epoch = object()
        self._abandoned = False
        super().__init__(supply.connect, recycle=supply.recycle, dialect=dialect, **options)

    @property
    def label(self) -> str:
        """Whose connections these are."""
        return self._supply.label

    @property
    def budget(self) -> Budget:
        """What its connections count against."""
        return self._supply.budget

    def one_more(self) -> AbstractContextManager[None]:
        """A block in which the caller may have one connection of its own making, which is counted."""
        return self.budget.reserve(self._holder(), self._waiter, self._supply.timeout, own=1, lent=0)

    # --- what SQLAlchemy asks of a pool ---

    def recreate(self) -> StorePool:
        """This pool itself: a second one would not know of the connections still in use."""
        return self

    def dispose(self) -> None:
        """Close the idle connections now, and those in use when they come back."""
        self._epoch = object()
        for holder in self._holders():
            self._close_idle(holder)

    def _close_idle(self, holder: Holder) -> None:
        budget = self._supply.budget
        for entry in budget.idle_of(holder):
            if budget.claim(entry):
                self._give_up(holder, entry)

    def _give_up(self, holder: Holder, entry: ConnectionPoolEntry) -> None:
        """Close a connection that was claimed from the budget, then free its slot."""
        try:
            holder.discard(entry)
        finally:
            _hold_of(entry).budget.free_slot()

    def status(self) -> str:
        """Who has the connections to this store's server."""
        state = self._supply.budget.state()
        return f"{state.server}: {state.open} of {state.limit} open, {state.idle} idle; {state}"

    def _do_get(self) -> ConnectionPoolEntry:
        self._supply.refresh()
        budget, holder = self._supply.budget, self._holder()
        grant = budget.take(holder, self._waiter, self._supply.timeout)
        hold = _Hold(budget, holder, self._epoch, grant.reservation)
        try:
            self._make_room(grant)
            return self._entry(grant, hold)
        except BaseException:
            if grant.entry is not None:
                holder.discard(grant.entry)
            budget.give_back(holder, None, grant.reservation)
            raise

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        note_return()
        if self._abandoned:
            keep_for_ever(record)
        else:
            hold = _hold_of(record)
            hold.budget.when_free(partial(self._give_back, record, hold))

    def _give_back(self, record: ConnectionPoolEntry, hold: _Hold) -> None:
        moved = hold.epoch != self._epoch or hold.budget is not self._supply.budget
        if moved:
            hold.holder.discard(record)
        hold.idle_since = time.monotonic()
        entry = record if record.dbapi_connection is not None else None
        if not hold.budget.give_back(hold.holder, entry, hold.reservation):
            hold.holder.discard(record)
            hold.budget.give_back(hold.holder, None, hold.reservation)

    def _close_connection(self, connection: Any, *, terminate: bool = False) -> None:
        with self._supply.closing(connection):  # Its slot is freed next.
            super()._close_connection(connection, terminate=terminate)

    # --- what a budget asks of a holder ---

    def discard(self, entry: ConnectionPoolEntry) -> None:
        """Close a connection that nobody uses."""
        entry.close()

    # --- fork ---

    def for_child(self) -> StorePool:
        """The same pool for a child of fork; what is open is the parent's and is left alone."""
        self._abandoned = True
        child = type(self)(self._supply, _dispatch=self.dispatch)
        child._dialect = self._dialect
        return child

    # --- differs where tasks of an event loop take connections ---

    def _holder(self) -> Holder:
        return self

    def _holders(self) -> list[Holder]:
        return [self]

    def _waiter(self) -> Waiter:
        return Event()

    def _make_room(self, grant: Grant) -> None:
        grant.clear_the_way()

    def _entry(self, grant: Grant, hold: _Hold) -> ConnectionPoolEntry:
        entry = grant.entry
        if entry is None:
            entry = self._create_connection()
        elif not self._is_good(entry):
            hold.holder.discard(entry)  # SQLAlchemy then connects anew.
        info_of(entry)[_HOLD] = hold
        return entry

    def _is_good(self, entry: ConnectionPoolEntry) -> bool:
        hold = _hold_of(entry)
        return hold.epoch == self._epoch and self._supply.is_good(entry, hold.idle_since)


def info_of(entry: ConnectionPoolEntry) -> dict[Any, Any]:
    """What is kept with a connection for as long as its place in the pool exists."""
    return cast("dict[Any, Any]", entry.record_info)


def _hold_of(entry: ConnectionPoolEntry) -> _Hold:
    hold: _Hold = info_of(entry)[_HOLD]
    return hold
