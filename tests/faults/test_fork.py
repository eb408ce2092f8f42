"""Forked and spawned children connect anew; their parent's connections live."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from faults.children import backend_pid, in_forked_child, in_spawned_child, work
from faults.load import Load
from faults.scenes import until
from fix_apps import Gage
from penstock import EngineOptions
from penstock.engines import reserved

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer
    from penstock import App, Stores


def told_by_child(method: str, target: Any, *args: Any) -> dict[str, Any]:
    """What a child process said; it must end well."""
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    child = context.Process(target=target, args=(there, *args))
    child.start()
    there.close()
    assert here.poll(60), "the child hangs"
    told: dict[str, Any] = here.recv()
    child.join(30)
    assert child.exitcode == 0
    here.close()
    child.close()
    return told


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_connects_anew_and_its_parents_connection_lives(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    mine = backend_pid(lab)
    with lab.gages.session() as session:
        session.add(Gage(number="open in the parent", altitude=1))
        if ground.kind != "sqlite":
            session.flush()
        told = told_by_child("fork", in_forked_child, lab)
        assert told["gages"] == 3
        assert told["backend"] != mine
        session.commit()
    assert work(lab, "by the parent")["gages"] == 5
    assert backend_pid(lab) == mine
    if ground.kind != "sqlite":
        assert ground.sessions("lab_gages") == {mine}


def test_a_spawned_child_works_beside_its_parent(stores: Stores, lab: type[App], ground: TestServer) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    mine = backend_pid(lab)
    told = told_by_child("spawn", in_spawned_child, ground.service)
    assert told["gages"] == 3
    assert told["backend"] != mine
    assert work(lab, "by the parent")["gages"] == 4
    assert backend_pid(lab) == mine


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_many_children_forked_one_after_the_other_leave_no_connection_behind(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    mine = backend_pid(lab)
    for number in range(5):
        context = multiprocessing.get_context("fork")
        child = context.Process(target=work, args=(lab, f"child {number}"))
        child.start()
        child.join(60)
        assert child.exitcode == 0
    assert work(lab, "by the parent")["gages"] == 8
    assert backend_pid(lab) == mine


# --- E7: what another thread was doing when the process was forked ----------------------------------


def fork_and(do: Callable[[], Any], patience: float = 30.0) -> int:
    """Fork a child that does something and ends at once; its exit status, 9 if it hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            do()
            status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + patience
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, 9)
        time.sleep(0.005)
    return abs(os.waitstatus_to_exitcode(ended[1]))


@pytest.fixture
def small(stores_on: Callable[..., Stores], lab: type[App], ground: TestServer) -> Stores:
    """`Stores` with four connections, and the store `gages`."""
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=4))
    assert stores.sync(lab, ["gages"])[0].ok
    return stores


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("busy", ["holds the lock", "is connecting", "waits in the queue"])
def test_e7_a_child_works_whatever_another_thread_was_doing_at_the_fork(
    small: Stores, lab: type[App], ground: TestServer, busy: str
) -> None:
    engine = small.engine(lab, "gages")
    with engine.connect() as mine:
        before = ground.sessions("lab_gages")
        with MOMENTS[busy](small, lab):
            status = fork_and(lambda: read(small, lab))
        assert status == 0
        assert ground.sessions("lab_gages") >= before
        assert mine.execute(select(func.count()).select_from(Gage)).scalar() == 2
    with small.begin(lab, "gages") as session:
        session.add(Gage(number="by the parent", altitude=1))
    until(lambda: engine.pool.budget.state().waiting == 0, "nobody waits")
    state = engine.pool.budget.state()
    assert state.open == state.idle


def read(stores: Stores, lab: type[App]) -> None:
    """Read through the store, and look at the count of connections."""
    engine = stores.engine(lab, "gages")
    with engine.connect().execution_options(penstock_readonly=True) as connection:
        assert connection.scalar(select(Gage.altitude).where(Gage.number == "03185400")) == 1030.7
        assert engine.pool.budget.state().open == 1


def holding_the_lock(stores: Stores, lab: type[App]) -> ExitStack:
    """Another thread holds the budget's lock."""
    guard = stores.engine(lab, "gages").pool.budget._lock
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with guard:
            held.set()
            assert go.wait(60)

    return started(hold, held.is_set, go)


def connecting(stores: Stores, lab: type[App]) -> ExitStack:
    """Another thread is inside a connect."""
    store = stores.store_engine(lab, "gages")
    inside, go = threading.Event(), threading.Event()
    backend = store.backend

    class Slow:
        """The same backend, whose server takes its time."""

        def __getattr__(self, name: str) -> Any:
            return getattr(backend, name)

        def connect(self, *args: Any) -> Any:
            if threading.current_thread() is thread and not go.is_set():
                inside.set()
                assert go.wait(60)
            return backend.connect(*args)

    def connect() -> None:
        store.engine.connect().close()

    thread = threading.Thread(target=connect)
    store.engine.dispose()
    store.backend = Slow()  # type: ignore[assignment]
    stack = started(thread, inside.is_set, go)
    stack.callback(setattr, store, "backend", backend)
    return stack


def waiting(stores: Stores, lab: type[App]) -> ExitStack:
    """Another thread waits in the budget's queue."""
    engine = stores.engine(lab, "gages")
    held = [engine.connect() for _ in range(3)]
    stack = started(
        lambda: engine.connect().close(), lambda: engine.pool.budget.state().waiting == 1, threading.Event()
    )
    for connection in held:
        stack.callback(connection.close)
    return stack


def started(work: Any, ready: Callable[[], bool], go: threading.Event) -> ExitStack:
    """Start a thread and wait until it is ready; leaving the block lets it go on to its end."""
    thread = work if isinstance(work, threading.Thread) else threading.Thread(target=work)
    thread.start()
    until(ready, "the other thread is there")
    stack = ExitStack()
    stack.callback(thread.join, 60)
    stack.callback(go.set)
    return stack


MOMENTS = {"holds the lock": holding_the_lock, "is connecting": connecting, "waits in the queue": waiting}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("ground", ["postgresql", "mariadb"], indirect=True)
def test_e7_fifty_forks_while_threads_use_the_store_all_give_children_that_work(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=4))
    assert stores.sync(lab, ["gages"])[0].ok
    with Load(stores, lab, threads=6) as load:
        until(lambda: len(load.written) > 6, "the store is used")
        statuses = [fork_and(lambda: read(stores, lab)) for _ in range(50)]
        written = len(load.written)
        until(lambda: len(load.written) > written, "the parent goes on")
    assert statuses == [0] * 50
    assert load.failed == []
    state = stores.engine(lab, "gages").pool.budget.state()
    assert state.open == state.idle
    until(
        lambda: len(ground.sessions("lab_gages")) == state.open,
        "only the parent's sessions are left",
    )


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_e7_fifty_forks_while_threads_wait_for_a_file_all_give_children_that_work(
    stores_on: Callable[..., Stores], lab: type[App], sqlite_ground: TestServer
) -> None:
    # Not while they are inside SQLite: a lock of the library itself that a thread holds at the fork stays
    # held in the child, with or without Penstock.
    stores = stores_on(sqlite_ground, lab, options=EngineOptions(max_connections=4))
    assert stores.sync(lab, ["gages"])[0].ok
    with stores.engine(lab, "gages").connect() as mine, waiting(stores, lab):
        assert [fork_and(lambda: read(stores, lab)) for _ in range(50)] == [0] * 50
        assert mine.execute(select(func.count()).select_from(Gage)).scalar() == 2


def test_e7_a_fork_inside_work_leaves_the_parents_reservation_as_it_is(
    small: Stores, lab: type[App], ground: TestServer
) -> None:
    address = small.address(lab, "gages")
    budget = small.engine(lab, "gages").pool.budget

    def in_child() -> None:
        assert budget.state().open == 0
        read(small, lab)
        with reserved(address.database_address, address.backend, own=1, lent=1):
            read_within(small, lab)

    with reserved(address.database_address, address.backend, own=1, lent=1):
        read_within(small, lab)
        before = ground.sessions("lab_gages")
        assert fork_and(in_child) == 0
        assert budget.state().open == 2
        gone = "the child's sessions are gone, the parent's live"
        until(lambda: ground.sessions("lab_gages") == before, gone)
        read_within(small, lab)
    assert budget.state().open == budget.state().idle == 1


def read_within(stores: Stores, lab: type[App]) -> None:
    """Read through the store inside a reservation."""
    with stores.session(lab, "gages") as session:
        assert session.get(Gage, "03185400") is not None
