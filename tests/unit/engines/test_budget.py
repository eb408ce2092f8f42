"""A budget shares connections: in order, nobody starves, nothing gets lost."""

from __future__ import annotations

import gc

import pytest

from penstock.engines import Budget
from penstock.engines.budgets import _Work
from penstock.errors import BudgetExhausted
from unit.engines.stands import Attempt, Link, NeverWoken, Stand, waiting


@pytest.fixture
def budget():
    """Three connections."""
    return Budget("db:5432", 3)


@pytest.fixture
def stands(budget):
    """Three stores."""
    return [Stand(f"lab:{name}", budget) for name in "abc"]


def figures(budget):
    """Open, idle, waiting."""
    state = budget.state()
    return state.open, state.idle, state.waiting


# --- taking, giving back, closing ----------------------------------------------------------------


def test_a_holder_gets_its_own_idle_connection_again_the_last_one_first(budget, stands):
    a, b, _ = stands
    one, two, other = a.take(), a.take(), b.take()
    for stand, entry in ((a, one), (a, two), (b, other)):
        stand.give_back(entry)
    assert figures(budget) == (3, 3, 0)
    assert a.take() is two
    assert a.take() is one
    assert figures(budget) == (3, 1, 0)
    assert budget.state().holders == {"lab:a": 2}


def test_at_the_limit_the_connection_that_was_idle_for_longest_is_closed_whosever_it_is(budget, stands):
    a, b, c = stands
    entries = [(a, a.take()), (b, b.take()), (a, a.take())]
    for stand, entry in entries:
        stand.give_back(entry)
    assert a.take() is entries[2][1]
    c.take()
    assert [entry.open for _, entry in entries] == [False, True, True]
    c.take()
    assert [entry.open for _, entry in entries] == [False, False, True]
    assert figures(budget) == (3, 0, 0)


def test_a_connection_that_came_back_dead_frees_its_slot(budget, stands):
    a, b, c = stands
    for _ in range(10):
        a.give_back(a.take(), dead=True)
    assert figures(budget) == (0, 0, 0)
    assert [stand.take().open for stand in (a, b, c)] == [True] * 3


def test_an_idle_connection_is_claimed_once_and_one_in_use_never(budget, stands):
    a = stands[0]
    entry = a.take()
    assert not budget.claim(entry)
    a.give_back(entry)
    assert budget.idle_of(a) == [entry]
    assert budget.claim(entry)
    assert not budget.claim(entry)
    budget.free_slot()
    assert figures(budget) == (0, 0, 0)


# --- the queue -----------------------------------------------------------------------------------


def test_who_came_first_is_served_first(budget, stands):
    a, b, c = stands
    held = [a.take() for _ in range(3)]
    line = [waiting(stand) for stand in (b, c, b)]
    for entry, first in zip(held, line, strict=True):
        assert [each.waits for each in line].index(True) == line.index(first)
        a.give_back(entry)
        first.settle()
    assert figures(budget) == (3, 0, 0)
    assert budget.state().holders == {"lab:b": 2, "lab:c": 1}


def test_nobody_overtakes_not_even_for_an_idle_connection_of_his_own(budget, stands):
    a, b, _ = stands
    held = [a.take() for _ in range(3)]
    several = Attempt(lambda waiter: enter(budget, 3, waiter))
    for entry in held[:2]:
        a.give_back(entry)
    assert figures(budget) == (3, 2, 1)
    late = [waiting(a), waiting(b)]
    assert all(attempt.waits for attempt in late)
    a.give_back(held[2])
    several.settle()
    assert figures(budget) == (3, 0, 2)
    several.context.run(several.result.__exit__, None, None, None)
    for attempt in late:
        attempt.settle()
    assert figures(budget) == (2, 0, 0)


def enter(budget, slots, waiter, lent=0):
    """Begin a reservation; its context manager."""
    block = budget.reserve(_Work("work on a store"), waiter, 1.0, own=slots - lent, lent=lent)
    block.__enter__()
    return block


def test_a_freed_slot_goes_to_who_waits_and_a_raised_limit_too(budget, stands):
    a, b, c = stands
    held = [a.take() for _ in range(3)]
    line = [waiting(b), waiting(c), waiting(c)]
    a.give_back(held[0], dead=True)
    line[0].settle()
    owner = Owner()
    budget.ask_for(5, owner)
    for attempt in line[1:]:
        attempt.settle()
    assert figures(budget) == (5, 0, 0)


# --- not waiting any more ------------------------------------------------------------------------


def test_an_error_names_who_has_the_connections(budget, stands):
    a, b, _ = stands
    a.take(), a.take(), b.take()
    with pytest.raises(BudgetExhausted) as caught:
        b.take()
    assert caught.value.what == "No connection to db:5432 became free within 1.5 s."
    assert "may have 3" in caught.value.why
    assert "lab:a 2, lab:b 1" in caught.value.why
    assert "max_connections" in caught.value.hint
    assert figures(budget) == (3, 0, 0)


def test_an_error_names_the_eight_busiest_of_many():
    budget = Budget("db:5432", 12)
    stands = [Stand(f"lab:{number:02}", budget) for number in range(11)]
    for stand in (*stands, stands[7]):
        stand.take()
    with pytest.raises(BudgetExhausted, match=r"lab:07 2, lab:00 1, .* and 3 more"):
        stands[0].take()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_who_is_interrupted_in_his_sleep_leaves_the_queue(budget, stands, error):
    a, b, c = stands
    held = [a.take() for _ in range(3)]
    interrupted, next_one = waiting(b), waiting(c)
    interrupted.interrupt(error())
    assert isinstance(interrupted.error, error)
    a.give_back(held[0])
    next_one.settle()
    assert figures(budget) == (3, 0, 0)


@pytest.mark.parametrize("how", ["fresh", "victim", "own"])
def test_what_was_granted_to_one_who_is_interrupted_goes_to_the_next(budget, stands, how):
    a, b, c = stands
    held = [(stand, stand.take()) for stand in (a, b, c)]
    holder = {"fresh": a, "victim": a, "own": b}[how]
    torn, after = waiting(b), waiting(c)
    torn.sleeper.set = lambda: torn.sleeper.interrupt(KeyboardInterrupt())
    for stand, entry in held:
        if stand is holder:
            stand.give_back(entry, dead=how == "fresh")
    torn.settle()
    after.settle()
    assert isinstance(torn.error, KeyboardInterrupt)
    assert after.error is None
    assert figures(budget) == (3, 0, 0)
    assert sum(budget.state().holders.values()) == 3


# --- limits --------------------------------------------------------------------------------------


class Owner:
    """Somebody who asks for a figure."""


def test_the_lowest_figure_that_anybody_asked_for_holds_while_he_lives(budget):
    one, other = Owner(), Owner()
    budget.ask_for(10, one)
    assert budget.limit == 10
    budget.ask_for(2, other)
    assert budget.limit == 2
    budget.ask_for(None, one)
    assert budget.limit == 2
    del other
    gc.collect()
    assert budget.limit == 3


def test_over_a_lowered_limit_connections_are_closed_as_they_come_back(budget, stands):
    a, b, _ = stands
    owner = Owner()
    held = [a.take() for _ in range(3)]
    budget.ask_for(1, owner)
    attempt = waiting(b)
    a.give_back(held[0])
    a.give_back(held[1])
    assert figures(budget) == (1, 0, 1)
    assert [entry.open for entry in held] == [False, False, True]
    a.give_back(held[2])
    attempt.settle()
    assert figures(budget) == (1, 0, 0)


# --- reservations --------------------------------------------------------------------------------


def test_work_has_all_its_connections_or_none(budget, stands):
    a, b, _ = stands
    with pytest.raises(BudgetExhausted, match="4 connections to db:5432 are needed at a time, for work"):
        enter(budget, 4, NeverWoken)
    held = a.take()
    with pytest.raises(BudgetExhausted, match="became free"):
        enter(budget, 3, NeverWoken)
    assert figures(budget) == (1, 0, 0)
    a.give_back(held)
    with budget.reserve(_Work("work on a store"), NeverWoken, 1.0, own=2, lent=1):
        assert not held.open
        assert figures(budget) == (3, 0, 0)
        assert budget.state().holders == {"work on a store": 3}
        borrowed = b.take()
        assert figures(budget) == (3, 0, 0)
        b.give_back(borrowed)
        assert b.take() is borrowed
        b.give_back(borrowed)
        other = a.take()
        assert not borrowed.open
        a.give_back(other)
    assert figures(budget) == (1, 1, 0)
    assert budget.state().holders == {}
    assert a.take() is other


def test_a_slot_for_a_connection_of_ones_own_leaves_the_idle_ones_alone(budget, stands):
    a, *_ = stands
    idle = a.take()
    a.give_back(idle)
    assert not budget.is_reserved
    with budget.reserve(a, NeverWoken, 1.0, own=1, lent=0):
        assert budget.is_reserved
        assert figures(budget) == (2, 1, 0)
    assert figures(budget) == (1, 1, 0)
    assert a.take() is idle


def test_work_within_work_takes_nothing_more(budget, stands):
    with budget.reserve(_Work("one"), NeverWoken, 1.0, own=1, lent=1):
        with budget.reserve(_Work("two"), NeverWoken, 1.0, own=2, lent=2):
            assert budget.state().holders == {"one": 2}
        assert figures(budget) == (2, 0, 0)
    assert figures(budget) == (0, 0, 0)


def test_work_on_another_server_is_other_work(budget):
    other = Budget("elsewhere:5432", 2)
    with (
        budget.reserve(_Work("one"), NeverWoken, 1.0, own=1, lent=0),
        other.reserve(_Work("two"), NeverWoken, 1.0, own=2, lent=0),
    ):
        assert (figures(budget), figures(other)) == ((1, 0, 0), (2, 0, 0))
    assert (figures(budget), figures(other)) == ((0, 0, 0), (0, 0, 0))


def test_a_connection_that_outlives_the_work_it_was_borrowed_from_stays_counted(budget, stands):
    a, b, _ = stands
    with budget.reserve(_Work("work"), NeverWoken, 1.0, own=1, lent=2):
        leaked, dead = a.take(), b.take()
    assert figures(budget) == (2, 0, 0)
    assert budget.state().holders == {"lab:a": 1, "lab:b": 1}
    a.give_back(leaked)
    b.give_back(dead, dead=True)
    assert figures(budget) == (1, 1, 0)
    assert a.take() is leaked


def test_what_is_borrowed_beyond_the_work_is_taken_from_all(budget, stands):
    a = stands[0]
    with budget.reserve(_Work("work"), NeverWoken, 1.0, own=1, lent=1):
        first, beyond = a.take(), a.take()
        assert budget.state().holders == {"work": 2, "lab:a": 1}
        a.give_back(beyond)
        a.give_back(first)
        assert figures(budget) == (3, 1, 0)
    assert figures(budget) == (2, 2, 0)


def test_work_that_could_not_close_a_victim_leaves_no_slot_taken(budget, stands):
    a = stands[0]
    entries = [a.take() for _ in range(3)]
    for entry in entries:
        a.give_back(entry)
    shut = []

    def discard(entry):
        entry.open = False
        shut.append(entry)
        raise KeyboardInterrupt

    a.discard = discard
    with pytest.raises(KeyboardInterrupt), budget.reserve(_Work("work"), NeverWoken, 1.0, own=2, lent=1):
        """Never reached."""
    assert len(shut) == 3
    assert figures(budget) == (0, 0, 0)
    assert budget.state().holders == {}


# --- fork, and the garbage collector -------------------------------------------------------------


def test_a_child_of_fork_begins_with_nothing_though_the_lock_was_held(budget, stands):
    a, b, _ = stands
    owner = Owner()
    budget.ask_for(2, owner)
    a.give_back(a.take())
    held = b.take()
    with budget.reserve(_Work("nothing"), NeverWoken, 1.0, own=1, lent=0):
        budget._lock.__enter__()
        budget.after_fork()
        assert figures(budget) == (0, 0, 0)
        assert budget.limit == 2
        assert a.take().open
        assert held.open
        assert figures(budget) == (1, 0, 0)
    assert figures(budget) == (1, 0, 0)


def test_what_the_collector_returns_while_the_lock_is_held_is_returned_afterwards(budget, stands):
    a, b, c = stands
    _, leaked = a.take(), a.take()
    looked_up = []

    class Watched(Link):
        """The collector runs when the budget looks it up as a victim: once it is idle, and the lock held."""

        def __hash__(self):
            looked_up.append(self)
            if len(looked_up) == 2:
                budget.when_free(lambda: a.give_back(leaked, dead=True))
            return id(self)

    victim = b.take()
    victim.__class__ = Watched
    attempt = waiting(c)
    b.give_back(victim)
    attempt.settle()
    assert attempt.error is None
    assert not victim.open
    assert figures(budget) == (2, 0, 0)
