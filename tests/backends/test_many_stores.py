"""Many stores at a time, and many in the life of a process."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from fix_apps import Base, Gage, count
from penstock import App, Database, EngineOptions, MemoryRegistry, Stores, SyncOptions, use
from penstock.engines import StoreEngine
from penstock.errors import BudgetExhausted, InitializerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer


def test_stores_made_several_at_a_time_are_complete_and_their_results_in_order(
    stores: Stores, lab: type[App]
) -> None:
    names = [f"b{number}" for number in range(6)]
    results = lab.basins.create_many(names, jobs=3)
    assert [(result.store, result.error) for result in results] == [(f"basins.{n}", None) for n in names]
    assert sorted(lab.basins.names()) == names
    assert {count(lab.basins[name]) for name in names} == {0}


def test_several_at_a_time_run_on_several_threads_and_never_hold_more_than_the_budget(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    threads: set[int] = set()
    together = threading.Barrier(2, timeout=30)

    def seed(session: object, first_time: bool) -> None:
        threads.add(threading.get_ident())
        together.wait()

    class Lab(App):
        package = "lab"
        basins = Database(metadata=Base.metadata, initializer=seed, many=True)

    stores = Stores(MemoryRegistry(), apps=[Lab], engine_options=EngineOptions(max_connections=9))
    stores.registry.put_service(ground.service)
    stores.links.add("main", Lab, "basins")
    most = 0

    def look(_: object) -> None:
        nonlocal most
        most = max(most, *(state.open for state in stores.services.budgets()))

    with use(stores), stores:
        assert all(result.ok for result in Lab.basins.create_many("abcd", jobs=2, on_event=look))
    assert len(threads) == 2
    assert threading.get_ident() not in threads
    assert 4 <= most <= 9


def test_one_that_fails_does_not_stop_the_others_at_work(ground: TestServer) -> None:
    def seed(session: object, first_time: bool) -> None:
        if "bad" in str(session.get_bind().engine.url):  # type: ignore[attr-defined]
            raise RuntimeError("not this one")

    class Lab(App):
        package = "lab"
        basins = Database(metadata=Base.metadata, initializer=seed, many=True)

    registry = MemoryRegistry()
    registry.put_service(ground.service)
    with Stores(registry, apps=[Lab]) as stores, use(stores):
        stores.links.add("main", Lab, "basins")
        results = Lab.basins.create_many(["a", "bad", "c"], jobs=3)
        assert isinstance(results[1].error, InitializerError)
        assert [results[0].error, results[2].error] == [None, None]
        again = stores.sync(Lab, ["basins"], SyncOptions(jobs=3))
        assert [result.ok for result in again] == [True, False, True], again


def test_a_budget_too_small_for_a_sync_says_so_and_makes_nothing(ground: TestServer, lab: type[App]) -> None:
    registry = MemoryRegistry()
    registry.put_service(ground.service)
    with Stores(registry, apps=[lab], engine_options=EngineOptions(max_connections=3)) as stores:
        stores.links.add("main", lab, "gages")
        error = stores.sync(lab, ["gages"])[0].error
        assert isinstance(error, BudgetExhausted)
        assert error.what.startswith("4 connections")
        assert ground.databases() == set()


def test_t11_stores_that_come_and_go_leave_no_engine_and_no_connection(
    stores: Stores, lab: type[App]
) -> None:
    def engines() -> int:
        gc.collect()
        return sum(isinstance(each, StoreEngine) for each in gc.get_objects())

    before = engines()
    for number in range(8):
        store = lab.basins.create(f"b{number}")
        assert count(store) == 0
        assert lab.basins.drop(f"b{number}")
    assert engines() == before
    assert sum(state.open for state in stores.services.budgets()) == 0


def test_t11_an_unlinked_optional_store_stops_nothing(
    ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    class Wide(lab):  # type: ignore[valid-type, misc]
        extra = Database("Not linked.", metadata=Base.metadata, required=False)

    stores = stores_on(ground, Wide)
    results = stores.sync(Wide, options=SyncOptions(jobs=2))
    assert {result.store: (result.ok, result.skipped) for result in results} == {
        "gages": (True, False),
        "extra": (True, True),
    }


def test_the_engine_of_a_store_that_was_dropped_and_made_again_is_the_same_for_who_kept_it(
    stores: Stores, lab: type[App]
) -> None:
    engine = lab.basins.create("logan").engine
    assert lab.basins.drop("logan")
    assert lab.basins.create("logan").engine is engine
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Gage)) == 0


def test_t18_threads_that_sync_the_same_stores_several_at_a_time_all_succeed(
    stores: Stores, lab: type[App]
) -> None:
    lab.basins.create_many("abc", jobs=3)

    def sync(_: int) -> list[bool]:
        return [result.ok for result in stores.sync(lab, options=SyncOptions(jobs=3))]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(sync, range(4))) == [[True] * 4] * 4
    assert count(lab.gages) == 2


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_was_asked_for_first_is_done_first_and_an_interrupt_leaves_the_rest(
    jobs: int, stores: Stores, lab: type[App]
) -> None:
    made: list[str] = []

    def stop(event: object) -> None:
        made.append(str(event))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lab.basins.create_many([f"b{number}" for number in range(20)], jobs=jobs, on_event=stop)
    assert 1 <= len(made) < 20
    assert all(result.ok for result in lab.basins.create_many([f"b{number}" for number in range(3)]))
