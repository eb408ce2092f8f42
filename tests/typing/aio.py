"""What type checkers must know of `.aio` and the awaited stores."""

from __future__ import annotations

from typing import assert_type

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from penstock import App, Connection, Database, StoreStatus, SyncResult
from penstock.aio import AsyncConnection, AsyncKind, AsyncStore, AsyncStores, current_stores


class Lab(App):
    """An app."""

    samples = Database("Every sample.")
    sites = Database("One store per site.", many=True)
    servers = Connection("Where new stores are made.")


async def use(stores: AsyncStores) -> None:
    """Use all of it."""
    assert_type(Lab.samples.aio, AsyncStore)
    assert_type(Lab.sites.aio, AsyncKind)
    assert_type(Lab.servers.aio, AsyncConnection)
    assert_type(Lab.samples.aio.engine, AsyncEngine)
    assert_type(Lab.samples.aio.sessionmaker, async_sessionmaker[AsyncSession])
    assert_type(await Lab.sites.aio.create("north"), AsyncStore)
    assert_type(await Lab.sites.aio.names(), list[str])
    assert_type(await Lab.samples.aio.status(), StoreStatus)
    assert_type(current_stores(), AsyncStores)
    assert_type(await stores.exists(Lab, "samples"), bool)
    assert_type(await stores.sync(Lab, ["samples"]), list[SyncResult])
    async with Lab.samples.aio.begin() as session:
        assert_type(session, AsyncSession)
