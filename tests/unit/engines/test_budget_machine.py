"""Whatever is done to a budget in whatever order, what it counts is what there is."""

from __future__ import annotations

from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from penstock.engines import Budget
from penstock.engines.budgets import _Work
from penstock.errors import BudgetExhausted
from unit.engines.stands import Attempt, Link, Stand

LIMIT = 4
INDEX = st.integers(0, 50)


@dataclass(eq=False)
class Wish:
    """Somebody who may be waiting, for one connection or for several."""

    attempt: Attempt
    slots: int
    stand: Stand | None = None
    lent: int = 0


@dataclass(eq=False)
class Work:
    """A reservation that has begun, and what was borrowed from it and not yet given back."""

    attempt: Attempt
    slots: int
    lent: int
    borrowed: list[tuple[Stand, Link]]


class Owner:
    """Who asks for a figure."""


class BudgetMachine(RuleBasedStateMachine):
    """Four stores, and work on stores."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget("db:5432", LIMIT)
        self.owner = Owner()
        self.stands = [Stand(f"lab:{name}", self.budget) for name in "abcd"]
        self.out: list[tuple[Stand, Link]] = []
        self.wishes: list[Wish] = []
        self.works: list[Work] = []

    # --- what can happen ---

    @rule(which=INDEX)
    def take(self, which: int) -> None:
        stand = self.stands[which % 4]
        self.wishes.append(Wish(Attempt(stand.take), 1, stand))
        self.settle()

    @precondition(lambda self: self.out)
    @rule(which=INDEX, dead=st.booleans())
    def give_back(self, which: int, dead: bool) -> None:
        stand, entry = self.out.pop(which % len(self.out))
        stand.give_back(entry, dead=dead)
        self.settle()

    @rule(which=INDEX)
    def dispose(self, which: int) -> None:
        self.stands[which % 4].dispose()
        self.settle()

    @precondition(lambda self: self.waiting())
    @rule(which=INDEX, interrupted=st.booleans())
    def stop_waiting(self, which: int, interrupted: bool) -> None:
        wish = self.waiting()[which % len(self.waiting())]
        self.wishes.remove(wish)
        if interrupted:
            wish.attempt.interrupt(KeyboardInterrupt())
        else:
            wish.attempt.time_out()
        assert isinstance(wish.attempt.error, KeyboardInterrupt if interrupted else BudgetExhausted)
        self.settle()

    @rule(limit=st.one_of(st.none(), st.integers(1, 6)))
    def ask_for(self, limit: int | None) -> None:
        self.budget.ask_for(limit, self.owner)
        self.settle()

    @rule(own=st.integers(0, 2), lent=st.integers(1, 2))
    def reserve(self, own: int, lent: int) -> None:
        def begin(waiter: Any) -> Any:
            manager = self.budget.reserve(_Work("work"), waiter, 1.0, own=own, lent=lent)
            manager.__enter__()
            return manager

        self.wishes.append(Wish(Attempt(begin, copy_context()), own + lent, None, lent))
        self.settle()

    @precondition(lambda self: any(len(work.borrowed) < work.lent for work in self.works))
    @rule(which=INDEX, where=INDEX)
    def borrow(self, which: int, where: int) -> None:
        free = [work for work in self.works if len(work.borrowed) < work.lent]
        work = free[where % len(free)]
        stand = self.stands[which % 3]
        work.borrowed.append((stand, work.attempt.context.run(stand.take)))

    @precondition(lambda self: any(work.borrowed for work in self.works))
    @rule(which=INDEX, dead=st.booleans())
    def return_borrowed(self, which: int, dead: bool) -> None:
        having = [work for work in self.works if work.borrowed]
        stand, entry = having[which % len(having)].borrowed.pop()
        stand.give_back(entry, dead=dead)
        self.settle()

    @precondition(lambda self: self.works)
    @rule(which=INDEX)
    def end_work(self, which: int) -> None:
        work = self.works.pop(which % len(self.works))
        self.out += work.borrowed
        work.attempt.context.run(work.attempt.result.__exit__, None, None, None)
        self.settle()

    def teardown(self) -> None:
        while self.wishes:
            self.wishes.pop().attempt.interrupt(KeyboardInterrupt())
            self.settle()
        for work in self.works:
            work.attempt.context.run(work.attempt.result.__exit__, None, None, None)

    # --- what must hold ---

    @invariant()
    def what_is_counted_is_what_there_is(self) -> None:
        state = self.budget.state()
        reserved = sum(work.slots for work in self.works)
        assert state.open == len(self.out) + state.idle + reserved
        assert sum(state.holders.values()) == len(self.out) + reserved
        links = [link for stand in self.stands for link in stand.made if link.open]
        borrowable = sum(work.slots - work.lent for work in self.works)
        assert len(links) <= state.open - borrowable
        assert state.waiting == len(self.waiting())

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        waiting = self.waiting()
        if not waiting:
            return
        first, state = waiting[0], self.budget.state()
        closable = sum(len(self.budget.idle_of(stand)) for stand in self.stands)
        own = len(self.budget.idle_of(first.stand)) if first.stand else 0
        assert not own
        assert max(0, state.limit - state.open) + closable < first.slots

    @invariant()
    def the_limit_holds_for_what_is_new(self) -> None:
        state = self.budget.state()
        self.highest = max(LIMIT, state.limit, getattr(self, "highest", 0))
        assert state.open <= self.highest

    # --- helpers ---

    def waiting(self) -> list[Wish]:
        return [wish for wish in self.wishes if wish.attempt.waits]

    def settle(self) -> None:
        """Let those go on who were woken, and note what everybody got."""
        for wish in [wish for wish in self.wishes if not self.asleep(wish)]:
            wish.attempt.settle()
            self.wishes.remove(wish)
            if wish.attempt.error is not None:
                assert isinstance(wish.attempt.error, BudgetExhausted)
                assert wish.slots > self.budget.limit
            elif wish.stand is None:
                self.works.append(Work(wish.attempt, wish.slots, wish.lent, []))
            else:
                self.out.append((wish.stand, wish.attempt.result))

    def asleep(self, wish: Wish) -> bool:
        return wish.attempt.waits and wish.attempt.sleeper is not None and not wish.attempt.sleeper.woken


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBudgetMachine = BudgetMachine.TestCase
