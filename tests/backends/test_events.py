"""Whoever calls hears the steps of that call, and its results say all of it again."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fix_apps import Base, all_ok
from penstock import App, Database, Stores, SyncOptions, SyncResult, use
from penstock.aio import AsyncStores
from penstock.errors import InitializerError
from penstock.provision.steps import StepDone, StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fix_servers import TestServer


def heard(events: Iterable[StepEvent]) -> set[str]:
    return {event.store for event in events}


def ended(events: Iterable[StepEvent]) -> list[StepEvent]:
    return [event for event in events if isinstance(event, StepDone)]


def test_a_result_has_address_steps_and_seconds(stores: Stores, lab: type[App]) -> None:
    events: list[StepEvent] = []
    [result] = stores.sync(lab, ["gages"], on_event=events.append)
    address = stores.address(lab, "gages")
    assert result.address is not None
    assert (result.address.database, result.address.service) == (address.database, address.service)
    assert list(result.steps) == ended(events) != []
    assert len(events) == 2 * len(result.steps)
    assert result.seconds >= sum(step.seconds for step in result.steps) > 0
    assert result.or_raise() is result


def test_a_result_of_a_failure_has_the_steps_that_went_well(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    def seed(session: object, first_time: bool) -> None:
        raise RuntimeError("not today")

    class Lab(App):
        package = "lab"
        gages = Database(metadata=Base.metadata, initializer=seed)

    stores = stores_on(ground, Lab)
    [result] = stores.sync(Lab)
    assert isinstance(result.error, InitializerError)
    assert result.steps
    assert "run initializer" not in str(result.steps[-1].step)
    assert result.address is not None
    with pytest.raises(InitializerError):
        result.or_raise()


def test_what_is_dropped_and_brought_back_is_told_and_said(
    ground: TestServer, role_stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    keeping = role_stores_on(ground, lab)
    all_ok(keeping, lab)
    events: list[StepEvent] = []
    dropped = keeping.drop(lab, "gages", on_event=events.append)
    assert dropped.existed
    assert dropped.kept is not None
    back = keeping.kept.undrop(lab, "gages", on_event=events.append)
    assert back.address is not None
    assert back.address.database == dropped.kept.was
    assert [*dropped.steps, *back.steps] == ended(events)
    gone = keeping.drop(lab, "gages", now=True)
    assert (gone.existed, gone.kept) == (True, None)
    assert keeping.drop(lab, "gages").existed is False


def test_calls_in_threads_hear_their_own_steps_and_no_others(stores: Stores, lab: type[App]) -> None:
    together = threading.Barrier(2, timeout=60)
    events: dict[str, list[StepEvent]] = {"a": [], "b": []}

    def make(name: str) -> SyncResult:
        def hear(event: StepEvent) -> None:
            if not events[name]:
                together.wait()
            events[name].append(event)

        return stores.create(lab, f"basins.{name}", on_event=hear)

    with ThreadPoolExecutor(2) as threads:
        results = dict(zip("ab", threads.map(make, "ab"), strict=True))
    for name, result in results.items():
        assert heard(events[name]) == {f"basins.{name}"}
        assert ended(events[name]) == list(result.steps)


def test_calls_in_tasks_hear_their_own_steps_in_the_thread_of_the_loop(
    stores: Stores, lab: type[App]
) -> None:
    events: dict[str, list[StepEvent]] = {"a": [], "b": []}
    threads: set[int] = set()

    async def make(name: str) -> SyncResult:
        def hear(event: StepEvent) -> None:
            threads.add(threading.get_ident())
            events[name].append(event)

        result = await AsyncStores(stores).create(lab, f"basins.{name}", on_event=hear)
        assert ended(events[name]) == list(result.steps)
        return result

    async def both() -> None:
        await asyncio.gather(make("a"), make("b"))

    asyncio.run(both())
    assert {name: heard(events[name]) for name in "ab"} == {"a": {"basins.a"}, "b": {"basins.b"}}
    assert threads == {threading.get_ident()}


def test_a_queue_of_a_task_takes_the_steps_while_they_are_done(stores: Stores, lab: type[App]) -> None:
    async def follow() -> list[StepEvent]:
        queue: asyncio.Queue[StepEvent] = asyncio.Queue()
        sync = asyncio.create_task(AsyncStores(stores).sync(lab, ["gages"], on_event=queue.put_nowait))
        first = await queue.get()
        [result] = await sync
        assert not isinstance(first, StepDone)
        return [*result.steps][queue.qsize() :]

    assert asyncio.run(follow()) == []


def test_who_stops_waiting_is_told_no_more_and_the_work_goes_on(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def seed(session: object, first_time: bool) -> None:
        begun.set()
        assert go_on.wait(60)

    class Lab(App):
        package = "lab"
        gages = Database(metadata=Base.metadata, initializer=seed)

    stores, events = stores_on(ground, Lab), list[StepEvent]()

    async def leave() -> None:
        sync = asyncio.create_task(AsyncStores(stores).sync(Lab, on_event=events.append))
        await asyncio.to_thread(begun.wait, 60)
        sync.cancel()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    told = len(events)
    go_on.set()
    [result] = stores.sync(Lab)  # Waits for the other one.
    assert result.ok, result.error
    assert len(events) == told > 0


def test_an_initializer_that_makes_another_store_has_steps_of_its_own(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    inner: list[StepEvent] = []

    def seed(engine: object, first_time: bool) -> None:
        Lab.basins.create_many(["inner"], on_event=inner.append)

    class Lab(App):
        package = "lab"
        gages = Database(metadata=Base.metadata, initializer=seed)
        basins = Database(metadata=Base.metadata, many=True)

    outer: list[StepEvent] = []
    stores = stores_on(ground, Lab)
    [result] = stores.sync(Lab, ["gages"], on_event=outer.append)
    assert result.ok, result.error
    assert (heard(outer), heard(inner)) == ({"gages"}, {"basins.inner"})
    assert heard(result.steps) == {"gages"}


@pytest.mark.parametrize("jobs", [1, 3])
def test_many_stores_tell_one_listener_and_each_result_its_own_steps(
    jobs: int, stores: Stores, lab: type[App]
) -> None:
    events: list[StepEvent] = []
    with use(stores):
        names = ["a", "b", "c"]
        results = lab.basins.create_many(names, jobs=jobs, on_event=events.append)
    assert heard(events) == {f"basins.{name}" for name in names}
    for result in results:
        assert heard(result.steps) == {result.store}
        assert [step for step in ended(events) if step.store == result.store] == list(result.steps)
    again = stores.sync(lab, ["basins"], SyncOptions(jobs=jobs), on_event=events.append)
    assert [heard(result.steps) for result in again] == [{result.store} for result in results]
