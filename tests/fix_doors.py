"""Every way from a test to tables: each kind of server, by each driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from sqlalchemy import Dialect, make_url
from sqlalchemy.orm import Session

from fix_aio import KINDS, async_ground_of
from fix_apps import all_ok
from fix_servers import GROUNDS, TestServer
from penstock import App, Database
from penstock.aio import AsyncStores
from penstock.backends import backend_for

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

    from penstock import Stores

Initializer = Callable[["Connection", bool], None]
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Door:
    """A store, and the way to it that a test takes.

    Args:
        ground: The kind of server.
        database: The store's.
        dialect: Of the driver.
        sessions: Calls work with a session, and commits.
    """

    ground: TestServer
    database: str
    dialect: Dialect
    sessions: Callable[[Callable[[Session], Any]], Any]

    def do(self, work: Callable[[Session], _Result]) -> _Result:
        """What work does with a session, committed."""
        result: _Result = self.sessions(work)
        return result


Doors = Callable[..., Door]


@pytest.fixture(params=[*GROUNDS, *(f"{driver}-async" for driver in KINDS)])
def door_to(request: pytest.FixtureRequest, stores_on: Callable[..., Stores]) -> Iterator[Doors]:
    """Makes a store with the tables given, and opens it by one driver after the other."""
    kind, _, waiting = request.param.partition("-")
    ground: TestServer = (
        async_ground_of(request, kind) if waiting else request.getfixturevalue(f"{kind}_ground")
    )
    with asyncio.Runner() as runner:
        opened: list[Callable[[], None]] = []

        def open_door(
            tables: MetaData, initializer: Initializer | str = "", *, schemas: bool = False
        ) -> Door:
            if schemas and backend_for(make_url(ground.url)).default_schema is None:
                pytest.skip("its databases have no schemas")

            class Lab(App):
                package = "lab"
                rows = Database("Rows.", metadata=tables, initializer=initializer)

            stores = stores_on(ground, Lab, links=("rows",))
            all_ok(stores, Lab)
            make = _awaited_door if waiting else _plain_door
            return make(ground, stores, Lab, runner, opened)

        yield open_door
        for close in opened:
            close()


def _plain_door(ground: TestServer, stores: Stores, app: type[App], *_: Any) -> Door:
    def sessions(work: Callable[[Session], Any]) -> Any:
        with stores.session(app, "rows") as session:
            result = work(session)
            session.commit()
            return result

    return Door(ground, "lab_rows", stores.engine(app, "rows").dialect, sessions)


def _awaited_door(
    ground: TestServer,
    stores: Stores,
    app: type[App],
    runner: asyncio.Runner,
    opened: list[Callable[[], None]],
) -> Door:
    async_stores = AsyncStores(stores)

    async def run(work: Callable[[Session], Any]) -> Any:
        async with async_stores.session(app, "rows") as session:
            result = await session.run_sync(work)
            await session.commit()
            return result

    engine = async_stores.engine(app, "rows")
    opened.append(lambda: runner.run(engine.dispose()))
    return Door(ground, "lab_rows", engine.dialect, lambda work: runner.run(run(work)))
