"""A resolved address becomes an engine, on a budget of connections."""

from penstock.engines.budget import Budget
from penstock.engines.budgets import LENT, OWN, budget_of, budget_states, reserved, withdraw
from penstock.engines.engine import Fixed, Lookup, StoreEngine, own_engine
from penstock.engines.options import EngineOptions
from penstock.engines.queueing import BudgetState

__all__ = [
    "LENT",
    "OWN",
    "Budget",
    "BudgetState",
    "EngineOptions",
    "Fixed",
    "Lookup",
    "StoreEngine",
    "budget_of",
    "budget_states",
    "own_engine",
    "reserved",
    "withdraw",
]
