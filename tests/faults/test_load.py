"""Any number of stores, threads and kills: never more than the budget."""

from __future__ import annotations

import gc
import os
import random
import threading
import time
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from fix_apps import Gage
from fix_servers import TestServer
from penstock import App, EngineOptions, Stores, SyncOptions
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.engines import BudgetState


_THREADS = 32

# --- counting -------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """Counts, again and again, how many connections there really are.

    Args:
        ground: Where.
    """

    def __init__(self, ground: TestServer) -> None:
        self._ground = ground
        self._stop = threading.Event()
        self.most = 0
        self.samples = 0
        # A process's list of files is read one by one, while each of the threads may exchange one.
        self.blur = _THREADS if ground.kind == "sqlite" else 0
        self.last = 0

    def __enter__(self) -> Self:
        self._counting = self._ground.counting()
        self.count = self._counting.__enter__()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join(30)
        self._counting.__exit__(None, None, None)

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            self.most = max(self.most, self.count())
            self.samples += 1


# --- many stores ----------------------------------------------------------------------------------


def make_basins(stores: Stores, lab: type[App], ground: TestServer, count: int) -> list[str]:
    """So many stores; files are copies of one, since only their use is looked at."""
    names = [f"basins.b{number:05}" for number in range(count)]
    if ground.kind != "sqlite":
        made = stores.create_many(lab, names, options=SyncOptions(jobs=4))
        assert [result.error for result in made if not result.ok] == []
        return names
    stores.create(lab, names[0])
    first = stores.registry.find_store("lab", names[0])
    assert first is not None
    stores.close()
    for name in names[1:]:
        database = f"lab_{name.replace('.', '_')}"
        ground.copy_database(first.database, database)
        stores.registry.put_store(replace(first, name=name, database=database))
    return names


def use_in_turn(stores: Stores, lab: type[App], names: list[str], threads: int = _THREADS) -> None:
    """Read from each store once, from so many threads."""

    def use(name: str) -> int:
        with stores.engine(lab, name).connect().execution_options(penstock_readonly=True) as connection:
            return connection.scalar(select(func.count()).select_from(Gage)) or 0

    with ThreadPoolExecutor(threads) as pool:
        assert sum(pool.map(use, names)) == 0


def bytes_each(do: Callable[[], None], count: int) -> tuple[float, float]:
    """What Python allocated and kept, and what the process grew by, for each of so many stores."""
    gc.collect()
    tracemalloc.start()
    allocated, grown = tracemalloc.get_traced_memory()[0], resident()
    do()
    gc.collect()
    result = (tracemalloc.get_traced_memory()[0] - allocated) / count, (resident() - grown) / count
    tracemalloc.stop()
    return result


def in_turn(stores: Stores, lab: type[App], ground: TestServer, count: int, limit: int) -> None:
    """Use so many stores in turn; print what each took."""
    names = make_basins(stores, lab, ground, count)
    with Sampler(ground) as sampler:
        engines = bytes_each(lambda: use_in_turn(stores, lab, names), count)
        sessions = bytes_each(lambda: [stores.sessionmaker(lab, name) for name in names] and None, count)
        use_in_turn(stores, lab, names)
    state = stores.engine(lab, names[0]).pool.budget.state()
    print(  # noqa: T201  (figures for whoever runs it alone)
        f"\n{count} stores on {ground.kind}: most {sampler.most} of {limit} connections in {sampler.samples} "
        f"samples; bytes per used store {engines[0]:.0f} (process {engines[1]:.0f}), "
        f"with a session factory {sum(each[0] for each in (engines, sessions)):.0f}"
    )
    assert state.open == state.idle <= limit
    assert 0 < sampler.most <= limit + sampler.blur


@pytest.mark.parametrize("limit", [6])
def test_stores_used_in_turn_by_many_threads_never_have_more_connections_than_the_budget(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer, limit: int
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=limit))
    in_turn(stores, lab, ground, 200 if ground.kind == "sqlite" else 12, limit)


@pytest.mark.soak
def test_ten_thousand_files_used_in_turn(
    stores_on: Callable[..., Stores], lab: type[App], sqlite_ground: TestServer
) -> None:
    in_turn(stores_on(sqlite_ground, lab), lab, sqlite_ground, 10_000, 200)


@pytest.mark.soak
def test_three_hundred_databases_used_in_turn(
    stores_on: Callable[..., Stores], lab: type[App], postgresql_ground: TestServer
) -> None:
    in_turn(stores_on(postgresql_ground, lab), lab, postgresql_ground, 300, 20)


# --- killed sessions ------------------------------------------------------------------------------


@dataclass
class Storm:
    """Threads that use stores at random while sessions are killed at random.

    Args:
        stores: The `Stores` object.
        app: The app.
        names: The stores.
        ground: Where.
    """

    stores: Stores
    app: type[App]
    names: list[str]
    ground: TestServer
    done: Counter[str] = field(default_factory=Counter)
    twice: list[BaseException] = field(default_factory=list)

    def run(self, threads: int, seconds: float) -> None:
        """Let it go on for so long."""
        self._end, self._peace = time.monotonic() + seconds, threading.Lock()
        killer = threading.Thread(target=self._kill)
        running = [threading.Thread(target=self._use, args=(number,)) for number in range(threads)]
        for thread in (killer, *running):
            thread.start()
        for thread in (killer, *running):
            thread.join(seconds + 90)
            assert not thread.is_alive(), "a request hangs"

    def _use(self, number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < self._end:
            name = chance.choice(self.names)
            try:
                self._request(name)
            except (DBAPIError, PenstockError):
                self.done["failed once"] += 1
                self._again(name)

    def _again(self, name: str) -> None:
        """A second try, during which nothing more is killed."""
        try:
            with self._peace:
                self._request(name)
        except (DBAPIError, PenstockError) as error:
            self.twice.append(error)

    def _request(self, name: str) -> None:
        with self.stores.begin(self.app, name) as session:
            session.add(Gage(number=f"{threading.get_ident()}-{time.monotonic_ns()}", altitude=1))
            session.flush()
            session.scalar(select(func.count()).select_from(Gage))
        self.done["succeeded"] += 1

    def _kill(self) -> None:
        chance = random.Random(0)
        with self.ground.server.connect() as connection:
            while time.monotonic() < self._end:
                rows = connection.execute(
                    "SELECT pid FROM pg_stat_activity WHERE usename = 'penstock' AND datname LIKE 'lab_%'"
                ).fetchall()
                if rows:
                    with self._peace:
                        connection.execute("SELECT pg_terminate_backend(%s, 5000)", chance.choice(rows))
                    self.done["killed"] += 1
                time.sleep(0.05)


def storm(
    stores: Stores, lab: type[App], ground: TestServer, threads: int, count: int, seconds: float
) -> None:
    """Use stores at random while sessions are killed; nothing leaks, nothing fails for long."""
    names = make_basins(stores, lab, ground, count)
    with Sampler(ground) as sampler:
        raging = Storm(stores, lab, names, ground)
        raging.run(threads, seconds)
        state = settled(stores, lab, names)
        sampler.last = sampler.count()
    print(  # noqa: T201  (figures for whoever runs it alone)
        f"\n{threads} threads, {count} stores, {seconds:g} s: {dict(raging.done)}, "
        f"most {sampler.most} of {state.limit} connections"
    )
    assert raging.twice == []
    assert raging.done["killed"] > seconds
    assert raging.done["succeeded"] > threads
    assert sampler.most <= state.limit + 1  # the one that was killed is counted until it has ended
    assert state.open == state.idle == sampler.last
    assert state.holders == {}


def settled(stores: Stores, lab: type[App], names: list[str]) -> BudgetState:
    """What the budget says once every dead connection was looked at."""
    for name in names:
        with stores.engine(lab, name).connect():
            """Only looked at."""
    return stores.engine(lab, names[0]).pool.budget.state()


def test_no_request_fails_twice_and_no_connection_leaks_while_sessions_are_killed(
    stores_on: Callable[..., Stores], lab: type[App], postgresql_ground: TestServer
) -> None:
    stores = stores_on(postgresql_ground, lab, options=EngineOptions(max_connections=8))
    storm(stores, lab, postgresql_ground, threads=40, count=10, seconds=4)


@pytest.mark.soak
def test_two_minutes_of_killed_sessions(
    stores_on: Callable[..., Stores], lab: type[App], postgresql_ground: TestServer
) -> None:
    storm(stores_on(postgresql_ground, lab), lab, postgresql_ground, threads=200, count=60, seconds=120)
