"""The budgets of this process: one for each server, shared by all who use it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from penstock.engines import fork
from penstock.engines.budget import Budget

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.pool import ConnectionPoolEntry

    from penstock.backends import Backend, DatabaseAddress, Server
    from penstock.engines.options import EngineOptions
    from penstock.engines.queueing import BudgetState

OWN = 2
"""Connections of Penstock's own that one piece of work has at a time: its lock's, and one more."""

LENT = 2
"""Connections that an initializer, or the creation of tables, may have besides."""

_PATIENCE = 600.0
"""Seconds that work on a store waits for its connections."""

_budgets: WeakValueDictionary[str, Budget] = WeakValueDictionary()


def budget_of(
    server: Server, backend: Backend, options: EngineOptions | None = None, owner: object = None
) -> Budget:
    """What this process may have to a server.

    Args:
        server: The server.
        backend: How to speak to it.
        options: The owner's options.
        owner: Whose figure it is (see `Budget.ask_for`); None to ask for nothing.
    """
    key = backend.server_key(server)
    budget = _budgets.get(key)
    if budget is None:
        budget = _budgets.setdefault(key, Budget(key, backend.max_connections))
        fork.remember(budget)
    limit = server.max_connections or (options.max_connections if options is not None else None)
    if owner is not None:
        budget.ask_for(limit, owner, server.service)
    return budget


def withdraw(owner: object) -> None:
    """Let an owner's figures count no more, in any budget."""
    for budget in list(_budgets.values()):
        budget.ask_for(None, owner)


def budget_states() -> list[BudgetState]:
    """The state of every budget of this process, by server."""
    return [budget.state() for _, budget in sorted(_budgets.items())]


@dataclass(frozen=True, slots=True)
class _Work:
    """Work on a store, as a holder of connections."""

    label: str

    def discard(self, entry: ConnectionPoolEntry) -> None:
        """It has no idle ones."""


@contextmanager
def reserved(
    address: DatabaseAddress, backend: Backend, *, own: int = OWN, lent: int = 0, budget: Budget | None = None
) -> Iterator[None]:
    """Have connections to a store's server for the time of the block, all of them or none.

    Args:
        address: The store.
        backend: How to speak to it.
        own: Connections that the block makes by itself.
        lent: Connections that the engines it uses may take.
        budget: What they count against; by default what this process has to the server.

    Raises:
        BudgetExhausted: They did not become free in ten minutes, or the limit is lower.
    """
    budget = budget or budget_of(address.server, backend)
    work = _Work(f"work on {address.label or address.database}")
    with budget.reserve(work, Event, _PATIENCE, own=own, lent=lent):
        yield
