"""AsyncStores: `Stores` for the tasks of an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from sqlalchemy.ext.asyncio import async_sessionmaker

from penstock import current
from penstock.aio.awaited import Opening, awaited, opened
from penstock.aio.groups import (
    AsyncKeptStores,
    AsyncLinks,
    AsyncLogins,
    AsyncServices,
    AsyncUnusedStores,
)
from penstock.backends import StoreRole
from penstock.engines.companion import async_companion
from penstock.stores import Connections, Stores

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from penstock.connect import AppLike, RoleLike
    from penstock.declare import SessionOptions
    from penstock.engines import StoreEngine


class AsyncConnections(Opening[Connections]):
    """The connection settings of apps, awaited: see `Connections`."""

    def engine(self, app: AppLike, setting: str) -> AsyncEngine:
        """The async engine of a connection setting; see `AsyncStores.engine`."""
        return async_companion(self._sync.store_engine(app, setting)).engine

    def sessionmaker(self, app: AppLike, setting: str) -> async_sessionmaker[AsyncSession]:
        """The session factory of a connection setting; see `AsyncStores.engine`."""
        return _factory(self._sync.store_engine(app, setting))

    session = opened(Connections.session, async_sessionmaker.__call__)
    begin = opened(Connections.begin, async_sessionmaker.begin)
    url = awaited(Connections.url)

    async def _sessions(self, app: AppLike, setting: str) -> async_sessionmaker[AsyncSession]:
        return _factory(await asyncio.to_thread(self._sync.store_engine, app, setting))


class AsyncStores(Opening[Stores]):
    """`Stores`, awaited.

    Engines and sessions are SQLAlchemy's own, on the same budget of connections as those of threads.
    Every other verb is that of `Stores`, with the same arguments, done in a thread: it touches files,
    registry and servers. Cancelling a task that waits for one does not stop it.

    Args:
        stores: The `Stores` object behind it.

    >>> from penstock import MemoryRegistry
    >>> import asyncio
    >>> asyncio.run(AsyncStores(Stores(MemoryRegistry())).status())
    []
    """

    def __init__(self, stores: Stores) -> None:
        super().__init__(stores)
        self.services = AsyncServices(stores.services)
        self.connections = AsyncConnections(stores.connections)
        self.links = AsyncLinks(stores.links)
        self.logins = AsyncLogins(stores.logins)
        self.kept = AsyncKeptStores(stores.kept)
        self.unused = AsyncUnusedStores(stores.unused)

    @property
    def stores(self) -> Stores:
        """The `Stores` object behind it, for threads."""
        return self._sync

    # --- use ---

    def engine(self, app: AppLike, name: str, *, role: RoleLike = StoreRole.APP) -> AsyncEngine:
        """The async engine of a store: one object per process and role; nothing is connected yet.

        It serves in any number of event loops. The first time, this asks the registry, so take it at
        start-up rather than in a busy loop; `session` and `begin` never hold the loop up.

        Args:
            app: The app.
            name: The store.
            role: Who logs in; see `Stores.engine`.

        Raises:
            UnknownStore, UnknownSetting: There is no such store.
            NotLinked: No service is linked to its setting.
            MissingExtra: The driver is not installed.
        """
        return async_companion(self._sync.store_engine(app, name, role)).engine

    def sessionmaker(
        self,
        app: AppLike,
        name: str,
        *,
        role: RoleLike = StoreRole.APP,
        options: SessionOptions | None = None,
    ) -> async_sessionmaker[AsyncSession]:
        """The session factory of a store: one object per process, role and options; see `engine`."""
        return _factory(self._sync.store_engine(app, name, role), options)

    session = opened(Stores.session, async_sessionmaker.__call__)
    begin = opened(Stores.begin, async_sessionmaker.begin)

    async def _sessions(
        self,
        app: AppLike,
        name: str,
        *,
        role: RoleLike = StoreRole.APP,
        options: SessionOptions | None = None,
    ) -> async_sessionmaker[AsyncSession]:
        return _factory(await self._store_engine(app, name, role), options)

    async def _store_engine(self, app: AppLike, name: str, role: RoleLike) -> StoreEngine:
        known = self._sync.find_store_engine(app, name, role)
        if known is not None:
            return known
        return await asyncio.to_thread(self._sync.store_engine, app, name, role)

    # --- verbs of `Stores`, in a thread ---

    url = awaited(Stores.url)
    address = awaited(Stores.address)
    names = awaited(Stores.names)
    exists = awaited(Stores.exists)
    status = awaited(Stores.status)
    store_status = awaited(Stores.store_status)
    plan = awaited(Stores.plan)
    sync = awaited(Stores.sync)
    create = awaited(Stores.create)
    create_many = awaited(Stores.create_many)
    drop = awaited(Stores.drop)
    adopt = awaited(Stores.adopt)
    close = awaited(Stores.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()


def _factory(found: StoreEngine, options: SessionOptions | None = None) -> async_sessionmaker[AsyncSession]:
    companion = async_companion(found)
    return companion.sessionmaker if options is None else companion.sessions_by(options)


def current_stores() -> AsyncStores:
    """The current `Stores`, awaited: those of `use`, else made from the configuration on first use."""
    return AsyncStores(current.current_stores())
