"""Any number of stores and tasks: never more connections than the budget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from faults.test_load import Sampler, bytes_each, make_basins
from fix_aio import for_asyncpg
from fix_apps import Gage
from penstock import App, EngineOptions
from penstock.aio import AsyncStores

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer
    from penstock import Stores

TASKS = 500


async def use_in_turn(stores: AsyncStores, lab: type[App], names: list[str], tasks: int) -> None:
    """Read from each store once, from so many tasks."""
    left = list(reversed(names))

    async def use_next() -> None:
        while left:
            async with stores.session(lab, left.pop()) as session:
                await session.connection(execution_options={"penstock_readonly": True})
                assert await session.scalar(select(func.count()).select_from(Gage)) == 0

    await asyncio.gather(*(use_next() for _ in range(tasks)))


def in_turn(stores: Stores, lab: type[App], ground: TestServer, count: int, tasks: int) -> None:
    """Use so many stores in turn, twice; print what each took."""
    names = make_basins(stores, lab, ground, count)
    asked = AsyncStores(stores)
    with Sampler(ground) as sampler:
        once = bytes_each(lambda: asyncio.run(use_in_turn(asked, lab, names, tasks)), count)
        asyncio.run(use_in_turn(asked, lab, names, tasks))
    state = stores.engine(lab, names[0]).pool.budget.state()
    print(  # noqa: T201  (figures for whoever runs it alone)
        f"\n{count} stores on {ground.kind}, {tasks} tasks: most {sampler.most} of {state.limit} connections "
        f"in {sampler.samples} samples; bytes per used store {once[0]:.0f} (process {once[1]:.0f})"
    )
    assert 0 < sampler.most <= state.limit + sampler.blur
    assert (state.open, state.waiting, state.holders) == (state.idle, 0, {})


def test_stores_used_in_turn_by_many_tasks_never_have_more_connections_than_the_budget(
    stores_on: Callable[..., Stores], lab: type[App], async_ground: TestServer
) -> None:
    stores = stores_on(async_ground, lab, options=EngineOptions(max_connections=6))
    in_turn(stores, lab, async_ground, 12 if async_ground.directory is None else 100, 60)


@pytest.mark.soak
def test_ten_thousand_files_used_in_turn_by_tasks(
    stores_on: Callable[..., Stores], lab: type[App], sqlite_ground: TestServer
) -> None:
    in_turn(stores_on(sqlite_ground, lab), lab, sqlite_ground, 10_000, TASKS)


@pytest.mark.soak
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_three_hundred_databases_used_in_turn_by_tasks(
    stores_on: Callable[..., Stores], lab: type[App], postgresql_ground: TestServer, driver: str
) -> None:
    ground = for_asyncpg(postgresql_ground) if driver == "asyncpg" else postgresql_ground
    in_turn(stores_on(ground, lab), lab, ground, 300, TASKS)
