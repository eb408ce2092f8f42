"""An app to test with, and `Stores` over a registry in memory."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import pytest
from sqlalchemy import Connection as Connectable
from sqlalchemy import MetaData, String, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Connection, Database, MemoryRegistry, Store, Stores, SyncOptions, use
from penstock.aio import AsyncStores

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fix_servers import TestServer
    from penstock import EngineOptions


class Base(DeclarativeBase):
    """The tables of the test app."""

    metadata = MetaData()


class Gage(Base):
    """A stream gage."""

    __tablename__ = "gage"

    number: Mapped[str] = mapped_column(String(60), primary_key=True)
    altitude: Mapped[float]


def seed(session: Session, first_time: bool) -> None:
    """Two gages, the first time."""
    if first_time:
        session.add_all([Gage(number="03185400", altitude=1030.7), Gage(number="03186000", altitude=838.4)])


def make_lab(tables: Literal["app", "penstock"] = "penstock") -> type[App]:
    """An app with a store, a kind and a connection; a new class each time."""

    class Lab(App):
        package = "lab"
        gages = Database("Every gage.", metadata=Base.metadata, initializer=seed, tables=tables)
        basins = Database("One store per basin.", metadata=Base.metadata, many=True, required=False)
        servers = Connection("Where new stores are made.", required=False)

    return Lab


@pytest.fixture
def lab() -> type[App]:
    """An app with a store `gages`, a kind `basins` and a connection `servers`."""
    return make_lab()


@pytest.fixture
def stores_on() -> Iterator[Callable[..., Stores]]:
    """Makes `Stores` over memory registries, closed after the test."""
    made: list[Stores] = []

    def make(
        ground: TestServer,
        *apps: type[App],
        links: tuple[str, ...] = ("gages", "basins", "servers"),
        options: EngineOptions | None = None,
    ) -> Stores:
        registry = MemoryRegistry()
        registry.put_service(ground.service)
        stores = Stores(registry, apps=apps, engine_options=options)
        for app in apps:
            for setting in links:
                if app.declaration().find(setting) is not None:
                    stores.links.add(ground.service.name, app, setting)
        made.append(stores)
        return stores

    yield make
    for stores in made:
        stores.close()


@pytest.fixture
def stores(ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """`Stores` in use, on every kind of server, with all of lab's settings linked."""
    with use(stores_on(ground, lab)) as stores:
        yield stores


def seed_with_tables(connection: Connectable, first_time: bool) -> None:
    """Makes its own tables, then two gages the first time."""
    Base.metadata.create_all(connection)
    if first_time:
        connection.execute(insert(Gage), [{"number": "1", "altitude": 1.5}, {"number": "2", "altitude": 2.5}])


def count(store: Store) -> int:
    """How many gages a store has."""
    with store.session() as session:
        return session.scalar(select(func.count()).select_from(Gage)) or 0


def all_ok(stores: Stores, app: type[App], **options: bool) -> None:
    """Sync all of an app's stores; none may fail."""
    results = stores.sync(app, options=SyncOptions(**options))
    assert [str(result.error) for result in results if not result.ok] == []


@contextmanager
def stores_of(ground: TestServer, app: type[App], name: str) -> Iterator[Stores]:
    """`Stores` with one store of an app, which is made."""
    registry = MemoryRegistry()
    registry.put_service(ground.service)
    with Stores(registry, apps=[app]) as stores:
        stores.links.add(ground.service.name, app, name)
        all_ok(stores, app)
        yield stores


@contextmanager
def engine_of(ground: TestServer, app: type[App], name: str) -> Iterator[Engine]:
    """Its engine."""
    with stores_of(ground, app, name) as stores:
        yield stores.engine(app, name)


def run_async(
    ground: TestServer, app: type[App], name: str, work: Callable[[AsyncEngine], Awaitable[None]]
) -> None:
    """Do something with its asynchronous engine."""

    async def run(stores: Stores) -> None:
        engine = AsyncStores(stores).engine(app, name)
        await work(engine)
        await engine.dispose()

    with stores_of(ground, app, name) as stores:
        asyncio.run(run(stores))
