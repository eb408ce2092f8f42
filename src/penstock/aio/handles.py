"""What `.aio` of a handle is: the same store, kind or connection, awaited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.aio.stores import current_stores
from penstock.backends import StoreRole
from penstock.provision.provisioner import SyncOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

    from penstock.connect import Declares, RoleLike
    from penstock.declare import SessionOptions
    from penstock.provision.results import DropResult, OnEvent, SyncResult
    from penstock.provision.status import StoreStatus


class AsyncStore:
    """One store of an app, awaited.

    Args:
        app: The app.
        name: The store's name: `gages`, or `basins.logan`.
        role: Who logs in: `"app"`, by default, or `"reader"`.
    """

    def __init__(self, app: Declares, name: str, role: RoleLike = StoreRole.APP) -> None:
        self.app, self.name = app, name
        self.role: RoleLike = role

    @property
    def reader(self) -> AsyncStore:
        """The same store for reading only: its transactions are READ ONLY (see `Stores.engine`)."""
        return AsyncStore(self.app, self.name, StoreRole.READER)

    @property
    def engine(self) -> AsyncEngine:
        """The async engine; one object per process. The first time, this asks the registry."""
        return current_stores().engine(self.app, self.name, role=self.role)

    @property
    def sessionmaker(self) -> async_sessionmaker[AsyncSession]:
        """The session factory; one object per process. The first time, this asks the registry."""
        return current_stores().sessionmaker(self.app, self.name, role=self.role)

    async def url(self) -> URL:
        """The URL with its password; shows `***` when printed. See `Stores.url`."""
        return await current_stores().url(self.app, self.name, role=self.role)

    def session(self, options: SessionOptions | None = None) -> AbstractAsyncContextManager[AsyncSession]:
        """A new session for an `async with` block, whose end only closes it.

        Args:
            options: How it is made; by default as the store's declaration says.
        """
        return current_stores().session(self.app, self.name, role=self.role, options=options)

    def begin(self, options: SessionOptions | None = None) -> AbstractAsyncContextManager[AsyncSession]:
        """A new session in a transaction that is committed at the end of the `async with` block."""
        return current_stores().begin(self.app, self.name, role=self.role, options=options)

    async def exists(self) -> bool:
        """Ask the server whether the store is there and complete."""
        return await current_stores().exists(self.app, self.name)

    async def status(self) -> StoreStatus:
        """The state of the store right now."""
        return await current_stores().store_status(self.app, self.name)

    def __repr__(self) -> str:
        role = "" if self.role is StoreRole.APP else f" for a {StoreRole(self.role).value}"
        return f"<async store {self.app.declaration().package}:{self.name}{role}>"


class AsyncKind:
    """A kind of store, awaited.

    Args:
        app: The app.
        name: The kind's name.
    """

    def __init__(self, app: Declares, name: str) -> None:
        self.app, self.name = app, name

    def __getitem__(self, name: str) -> AsyncStore:
        return AsyncStore(self.app, self._full(name))

    async def create(self, name: str, *, refresh: bool = False, force_first_time: bool = False) -> AsyncStore:
        """Make a store of this kind; see `Kind.create`."""
        options = SyncOptions(refresh=refresh, force_first_time=force_first_time)
        await current_stores().create(self.app, self._full(name), None, options)
        return self[name]

    async def create_many(
        self, names: Iterable[str], *, jobs: int = 1, on_event: OnEvent | None = None
    ) -> list[SyncResult]:
        """Make several stores of this kind; see `Kind.create_many`."""
        every, options = [self._full(name) for name in names], SyncOptions(jobs=jobs)
        return await current_stores().create_many(self.app, every, None, options, on_event=on_event)

    async def drop(self, name: str, *, now: bool = False) -> DropResult:
        """Drop a store of this kind; it is kept for a while, unless `now`. Idempotent."""
        return await current_stores().drop(self.app, self._full(name), now=now)

    async def names(self) -> list[str]:
        """The stores of this kind, by the names they have within it."""
        names = await current_stores().names(self.app, [self.name])
        return [name.removeprefix(self._full("")) for name in names]

    def _full(self, name: str) -> str:
        return f"{self.name}.{name}"

    def __repr__(self) -> str:
        return f"<async kind {self.app.declaration().package}:{self.name}>"


class AsyncConnection:
    """A connection to a server, awaited.

    Args:
        app: The app.
        name: The connection setting.
    """

    def __init__(self, app: Declares, name: str) -> None:
        self.app, self.name = app, name

    @property
    def engine(self) -> AsyncEngine:
        """The async engine; one object per process. The first time, this asks the registry."""
        return current_stores().connections.engine(self.app, self.name)

    @property
    def sessionmaker(self) -> async_sessionmaker[AsyncSession]:
        """The session factory; one object per process. The first time, this asks the registry."""
        return current_stores().connections.sessionmaker(self.app, self.name)

    async def url(self) -> URL:
        """The URL with its password; shows `***` when printed."""
        return await current_stores().connections.url(self.app, self.name)

    def session(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A new session for an `async with` block, whose end only closes it."""
        return current_stores().connections.session(self.app, self.name)

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A new session in a transaction that is committed at the end of the `async with` block."""
        return current_stores().connections.begin(self.app, self.name)
