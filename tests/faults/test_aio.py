"""Event loops that come and go, tasks that are cancelled, servers that go away."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from fix_apps import Gage, all_ok
from fix_roles import password_changed
from penstock import App, EngineOptions, Stores, use
from penstock.errors import BudgetExhausted
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer
    from penstock.aio import AsyncStore

GAGES = select(func.count()).select_from(Gage)
SERVERS = pytest.mark.parametrize("async_ground", ["psycopg", "asyncpg", "asyncmy"], indirect=True)


async def count(store: AsyncStore) -> int:
    """How many gages a store has."""
    async with store.session() as session:
        return await session.scalar(GAGES) or 0


def state(lab: type[App]) -> Any:
    """What the budget of the lab's server is like."""
    return lab.gages.engine.pool.budget.state()


@pytest.fixture
def small_stores(async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]) -> Any:
    """`Stores` in use that may have four connections at a time, and a store `gages`."""
    registry = stores_on(async_ground, lab).registry
    options = EngineOptions(max_connections=4, pool_timeout=20)
    with use(Stores(registry, apps=[lab], engine_options=options)) as stores:
        all_ok(stores, lab)
        lab.gages.engine.dispose()
        yield stores
        stores.close()


# --- loops ----------------------------------------------------------------------------------------


def test_loops_one_after_the_other_use_the_same_engine_and_leave_nothing_behind(
    small_stores: Stores, lab: type[App]
) -> None:
    for _ in range(3):
        assert asyncio.run(count(lab.gages.aio)) == 2
        assert state(lab).open == 0


@pytest.mark.parametrize("after", ["thread", "task", "same store"])
def test_what_a_closed_loop_left_behind_is_ended_when_its_slot_is_needed(
    after: str, small_stores: Stores, lab: type[App], caplog: pytest.LogCaptureFixture
) -> None:
    async def leave_four() -> None:
        await asyncio.gather(*(hold() for _ in range(4)))

    gate = asyncio.Event()

    async def hold() -> None:
        async with lab.gages.aio.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            if state(lab).open == 4:
                gate.set()
            await gate.wait()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_four())
    loop.close()
    assert state(lab).open == state(lab).idle == 4
    lab.basins.create("logan")
    if after == "thread":
        with lab.basins["logan"].session() as session:
            assert session.scalar(GAGES) == 0
    else:
        store = lab.gages.aio if after == "same store" else lab.basins["logan"].aio
        assert asyncio.run(count(store)) in (0, 2)
        assert state(lab).idle == state(lab).open
    gc.collect()
    assert [record.message for record in caplog.records if record.levelname in ("ERROR", "WARNING")] == []


def test_loops_in_several_threads_share_the_budget(small_stores: Stores, lab: type[App]) -> None:
    async def use_it() -> list[int]:
        found = await asyncio.gather(*(count(lab.gages.aio) for _ in range(20)))
        assert state(lab).open <= 4
        return found

    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(copy_context().run, asyncio.run, use_it()) for _ in range(3)]
        assert [run.result() for run in runs] == [[2] * 20] * 3
    assert state(lab).open == 0


def test_a_thread_gets_the_slots_of_a_loop_that_stands_still(
    small_stores: Stores, lab: type[App], async_ground: TestServer
) -> None:
    async def use_it() -> int:
        await asyncio.gather(*(count(lab.gages.aio) for _ in range(8)))
        assert state(lab).idle > 0
        with ExitStack() as held:  # In the loop's own thread, so the loop does nothing.
            engine = lab.gages.engine.execution_options(penstock_readonly=True)
            opened = [held.enter_context(engine.connect()) for _ in range(4)]
            assert [each.scalar(GAGES) for each in opened] == [2] * 4
        return await count(lab.gages.aio)

    assert asyncio.run(use_it()) == 2


# --- one budget -----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_e7_a_forked_child_has_async_connections_of_its_own(small_stores: Stores, lab: type[App]) -> None:
    async def use_it() -> int:
        assert await count(lab.gages.aio) == 2
        child = os.fork()
        if child == 0:
            os._exit(asyncio.run(in_child()))
        assert os.waitstatus_to_exitcode(await asyncio.to_thread(lambda: os.waitpid(child, 0)[1])) == 3
        return await count(lab.gages.aio)

    async def in_child() -> int:
        assert state(lab).open == 0
        async with lab.gages.aio.begin() as session:
            session.add(Gage(number="by the child", altitude=1))
        return await count(lab.gages.aio)

    assert asyncio.run(use_it()) == 3
    assert state(lab).open == 0


@SERVERS
def test_e1_tasks_over_many_stores_never_have_more_connections_than_the_budget(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    registry = stores_on(async_ground, lab).registry
    names = [f"b{number}" for number in range(20)]
    options = EngineOptions(max_connections=10)
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        with async_ground.counting() as connections:
            while not done.wait(0.005):
                seen.append(connections())

    async def use_them() -> None:
        async def work(number: int) -> None:
            for turn in range(3):
                async with lab.basins.aio[names[(number + turn * 7) % 20]].begin() as session:
                    session.add(Gage(number=f"{number}-{turn}", altitude=turn))

        await asyncio.gather(*(work(number) for number in range(200)))

    with (
        use(Stores(registry, apps=[lab], engine_options=options)) as stores,
        ThreadPoolExecutor(1) as watcher,
    ):
        lab.basins.create(names[0])
        lab.basins[names[0]].engine.dispose()
        for name in names[1:]:
            async_ground.copy_database("lab_basins_b0", f"lab_basins_{name}")
        watching = watcher.submit(watch)
        try:
            asyncio.run(use_them())
        finally:
            done.set()
        watching.result()
        rows = 0
        for name in names:
            with lab.basins[name].session() as session:
                rows += session.scalar(GAGES) or 0
        stores.close()
    assert rows == 600
    assert 5 <= max(seen) <= 10


def test_threads_and_tasks_share_one_budget(small_stores: Stores, lab: type[App]) -> None:
    def by_thread() -> int:
        with lab.gages.session() as session:
            found = session.scalar(GAGES) or 0
            assert state(lab).open <= 4
            return found

    async def by_tasks() -> int:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as threads:
            others = [loop.run_in_executor(threads, copy_context().run, by_thread) for _ in range(60)]
            mine = await asyncio.gather(*(count(lab.gages.aio) for _ in range(60)))
            return sum(mine) + sum(await asyncio.gather(*others))

    assert asyncio.run(by_tasks()) == 240
    lab.gages.engine.dispose()
    assert state(lab).open == 0


def test_the_loop_turns_while_tasks_wait_for_a_full_budget(small_stores: Stores, lab: type[App]) -> None:
    async def use_it() -> list[int]:
        engine = lab.gages.aio.engine
        async with engine.connect(), engine.connect(), engine.connect(), engine.connect():
            waiting = [asyncio.create_task(count(lab.gages.aio)) for _ in range(50)]
            for _ in range(1000):  # A loop that is held up would not come back here.
                await asyncio.sleep(0)
            assert (state(lab).waiting, state(lab).open) == (50, 4)
            assert not any(task.done() for task in waiting)
        return await asyncio.gather(*waiting)

    assert asyncio.run(use_it()) == [2] * 50


def test_nobody_waits_for_ever_and_the_error_names_who_has_the_connections(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    registry = stores_on(async_ground, lab).registry
    options = EngineOptions(max_connections=4, pool_timeout=0.1)

    async def use_it() -> None:
        engine = lab.gages.aio.engine
        async with engine.connect(), engine.connect(), engine.connect(), engine.connect():
            with pytest.raises(BudgetExhausted, match="lab:gages 4"):
                await count(lab.gages.aio)
        assert await count(lab.gages.aio) == 2

    with use(Stores(registry, apps=[lab], engine_options=options)) as stores:
        all_ok(stores, lab)
        asyncio.run(use_it())
        stores.close()


# --- cancellation ---------------------------------------------------------------------------------


def test_two_hundred_cancelled_tasks_leave_no_connection_and_no_place_in_the_queue(
    small_stores: Stores, lab: type[App], async_ground: TestServer
) -> None:
    chance = random.Random(7)
    lab.basins.create("logan")

    async def work() -> None:
        for _ in range(3):
            store = lab.gages.aio if chance.random() < 0.5 else lab.basins["logan"].aio
            async with store.begin() as session:
                await session.scalar(GAGES)

    async def storm() -> int:
        cancelled = 0
        for _ in range(20):
            tasks = [asyncio.create_task(work()) for _ in range(10)]
            for task in chance.sample(tasks, 10):
                await asyncio.sleep(chance.random() * 0.004)
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
                cancelled += task.cancelled()
        ending = asyncio.all_tasks() - {asyncio.current_task()}  # Where SQLAlchemy ends cancelled sessions.
        await asyncio.gather(*ending, return_exceptions=True)
        now = state(lab)
        assert (now.waiting, now.holders) == (0, {})
        assert now.open == now.idle
        assert await count(lab.gages.aio) == 2
        await asyncio.gather(*(store.aio.engine.dispose() for store in (lab.gages, lab.basins["logan"])))
        return cancelled

    assert asyncio.run(storm()) > 50
    lab.gages.engine.dispose()
    lab.basins["logan"].engine.dispose()
    assert state(lab).open == 0
    gc.collect()


# --- what goes away -------------------------------------------------------------------------------


def test_a_session_that_the_server_ended_is_noticed_before_it_is_handed_out(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'penstock'"

    async def use_it() -> None:
        async def pid() -> Any:
            async with lab.gages.aio.session() as session:
                return await session.scalar(text("SELECT pg_backend_pid()"))

        before = await pid()
        assert await pid() == before
        assert await asyncio.to_thread(async_server.run_sql, "postgres", end)
        assert await pid() != before

    with use(stores_on(async_server, lab)) as stores:
        all_ok(stores, lab)
        asyncio.run(use_it())


def test_a_session_that_ends_while_it_is_used_fails_once_and_is_replaced(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    async def use_it() -> int:
        async with lab.gages.aio.session() as session:
            with pytest.raises(DBAPIError):
                await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return await count(lab.gages.aio)

    with use(stores_on(async_server, lab)) as stores:
        all_ok(stores, lab)
        assert asyncio.run(use_it()) == 2
        assert state(lab).open == 0


def test_a_store_that_is_linked_elsewhere_is_found_there_by_the_same_engine(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    async def use_it(stores: Stores) -> None:
        engine = lab.gages.aio.engine
        assert await count(lab.gages.aio) == 2
        stores.registry.put_service(async_ground.new_service("other"))
        await asyncio.to_thread(stores.links.add, "other", lab, "gages")
        await asyncio.to_thread(all_ok, stores, lab)
        async with lab.gages.aio.begin() as session:
            session.add(Gage(number="over there", altitude=1))
        with lab.gages.session() as session:
            assert session.scalar(GAGES) == 3
        assert lab.gages.aio.engine is engine
        await asyncio.to_thread(stores.links.add, "main", lab, "gages")
        assert await count(lab.gages.aio) == 2

    with use(stores_on(async_ground, lab)) as stores:
        all_ok(stores, lab)
        asyncio.run(use_it(stores))


def test_a_change_by_another_process_is_seen_within_the_interval(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    registry = stores_on(async_ground, lab).registry
    options = EngineOptions(refresh_interval=0.02)

    async def use_it(elsewhere: Stores) -> None:
        assert await count(lab.gages.aio) == 2
        elsewhere.links.add("other", lab, "gages")  # Tells this `Stores` object nothing.
        await asyncio.sleep(0.05)
        assert await count(lab.gages.aio) == 3

    with use(Stores(registry, apps=[lab], engine_options=options)) as stores:
        all_ok(stores, lab)
        elsewhere = Stores(registry, apps=[lab])
        registry.put_service(async_ground.new_service("other"))
        elsewhere.links.add("other", lab, "gages")
        all_ok(elsewhere, lab)
        with elsewhere.begin(lab, "gages") as session:
            session.add(Gage(number="over there", altitude=1))
        elsewhere.links.add("main", lab, "gages")
        asyncio.run(use_it(elsewhere))
        elsewhere.close()
        stores.close()


@SERVERS
def test_e9_a_refused_login_looks_the_address_up_though_the_interval_is_not_over(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores], tmp_path: Path
) -> None:
    registry = stores_on(async_ground, lab).registry
    new = tmp_path / "new"
    new.write_text("changed")
    with use(Stores(registry, apps=[lab], engine_options=EngineOptions(refresh_interval=3600))) as stores:
        all_ok(stores, lab)
        assert asyncio.run(count(lab.gages.aio)) == 2
        [service] = registry.services()
        registry.put_service(replace(service, password=SecretRef("file", str(new))), replace=True)
        with password_changed(async_ground, "changed"):
            assert asyncio.run(count(lab.gages.aio)) == 2
            stores.close()


@SERVERS
def test_e9_a_password_that_changed_is_read_again_by_the_same_engine(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores], tmp_path: Path
) -> None:
    kept = tmp_path / "password"
    password = async_ground.service.password
    assert password is not None
    kept.write_text("wrong")
    service = replace(async_ground.service, password=replace(password, locator=str(kept)))
    with use(stores_on(replace(async_ground, service=service), lab)) as stores:
        engine = lab.gages.aio.engine
        with pytest.raises(DBAPIError):
            asyncio.run(count(lab.gages.aio))
        kept.write_text(Path(password.locator).read_text())
        all_ok(stores, lab)
        assert asyncio.run(count(lab.gages.aio)) == 2
        assert lab.gages.aio.engine is engine
