"""What `Stores` does for the tasks of an event loop, the same with every driver."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from faults.canary import PASSWORD, Search
from fix_apps import Gage
from penstock import EngineOptions, MemoryRegistry, SecretRef, Service, Stores, use
from penstock.aio import AsyncStores, current_stores
from penstock.errors import MissingExtra, NotLinked, NotSupported, PenstockError, StoreNotCreated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer
    from penstock import App
    from penstock.aio import AsyncStore

GAGES = select(func.count()).select_from(Gage)


async def count(store: AsyncStore) -> int:
    """How many gages a store has."""
    async with store.session() as session:
        return await session.scalar(GAGES) or 0


# --- engines and sessions -------------------------------------------------------------------------


def test_tasks_write_and_read_what_threads_do(async_stores: Stores, lab: type[App]) -> None:
    async def use_it() -> list[str]:
        async with lab.gages.aio.begin() as session:
            session.add(Gage(number="by a task", altitude=1))
        async with lab.gages.aio.session() as session:
            session.add(Gage(number="never committed", altitude=1))
            await session.flush()
        async with lab.gages.aio.sessionmaker() as session:
            return list(await session.scalars(select(Gage.number).order_by(Gage.number)))

    assert asyncio.run(use_it()) == ["03185400", "03186000", "by a task"]
    with lab.gages.session() as session:
        assert session.scalar(GAGES) == 3


def test_a_transaction_that_fails_is_undone_with_the_tables_it_made(
    async_stores: Stores, lab: type[App], async_ground: TestServer
) -> None:
    if not async_ground.can.transactional_ddl:
        pytest.skip("this server commits at every CREATE TABLE")

    async def fail_half_way() -> None:
        async with lab.gages.aio.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE half (id integer)"))
            raise ZeroDivisionError

    async def use_it() -> int:
        with pytest.raises(ZeroDivisionError):
            await fail_half_way()
        async with lab.gages.aio.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE half (id integer)"))
        return await count(lab.gages.aio)

    assert asyncio.run(use_it()) == 2


def test_the_engine_is_one_object_for_every_loop_and_every_way_to_ask(
    async_stores: Stores, lab: type[App]
) -> None:
    engine = lab.gages.aio.engine
    assert isinstance(engine, AsyncEngine)
    assert engine.url.password is None

    async def use_it() -> AsyncEngine:
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        return current_stores().engine(lab, "gages")

    assert asyncio.run(use_it()) is asyncio.run(use_it()) is engine
    assert lab.gages.aio.sessionmaker is AsyncStores(async_stores).sessionmaker("lab", "gages")


def test_an_engine_can_be_disposed_of_and_used_again(async_stores: Stores, lab: type[App]) -> None:
    async def use_it() -> int:
        await count(lab.gages.aio)
        assert state(lab).open == 1
        await lab.gages.aio.engine.dispose()
        assert state(lab).open == 0
        return await count(lab.gages.aio)

    assert asyncio.run(use_it()) == 2


def state(lab: type[App]) -> Any:
    """What the budget of the lab's server is like."""
    return lab.gages.engine.pool.budget.state()


def test_a_dialect_of_its_own_does_as_well(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    options = EngineOptions(share_statements=False)
    registry = stores_on(async_ground, lab).registry
    with use(Stores(registry, apps=[lab], engine_options=options)) as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        assert asyncio.run(count(lab.gages.aio)) == 2
        stores.close()


def test_read_only_sessions_are_read_only(
    async_stores: Stores, lab: type[App], async_ground: TestServer
) -> None:
    if async_ground.kind != "sqlite":
        pytest.skip("a read-only role is what enforces it on a server")

    async def use_it() -> int:
        reading = lab.gages.aio.engine.execution_options(penstock_readonly=True)
        async with reading.connect() as connection:
            with pytest.raises(DBAPIError, match="readonly"):
                await connection.execute(text("DELETE FROM gage"))
        async with lab.gages.aio.begin() as session:
            await session.execute(text("DELETE FROM gage WHERE number = '03186000'"))
        return await count(lab.gages.aio)

    assert asyncio.run(use_it()) == 1


def test_two_writers_wait_for_each_other_and_the_loop_goes_on(async_stores: Stores, lab: type[App]) -> None:
    async def add(number: int) -> None:
        async with lab.gages.aio.begin() as session:
            session.add(Gage(number=str(number), altitude=1))
            await session.flush()
            await asyncio.sleep(0)

    async def use_it() -> int:
        await asyncio.gather(*(add(number) for number in range(12)))
        return await count(lab.gages.aio)

    assert asyncio.run(use_it()) == 14


# --- verbs of `Stores` -----------------------------------------------------------------------------

SYNC = {
    "apps",
    "declaration",
    "find_store_engine",
    "from_config",
    "package",
    "register",
    "standing_in",
    "store_engine",
}
"""What `Stores` answers out of its own head, or hands out for others to build on."""


def verbs(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_every_verb_of_what_stores_holds_is_awaited() -> None:
    stores = Stores(MemoryRegistry())
    held = {name: value for name, value in vars(AsyncStores(stores)).items() if not name.startswith("_")}
    assert held.keys() == {"connections", "kept", "links", "logins", "services", "unused"}
    for name, value in held.items():
        assert verbs(type(getattr(stores, name))) - {"store_engine", "time"} == verbs(type(value))


def test_every_verb_of_stores_is_awaited() -> None:
    assert verbs(Stores) - verbs(AsyncStores) == SYNC
    assert verbs(AsyncStores) - verbs(Stores) == {"stores"}
    assert AsyncStores.sync.__doc__ == Stores.sync.__doc__


def test_stores_are_made_and_dropped_while_the_loop_goes_on(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    async def use_it() -> None:
        assert not await lab.gages.aio.exists()
        async with AsyncStores(stores_on(async_ground, lab)) as stores:
            assert [result.error for result in await stores.sync(lab)] == [None]
            assert (await lab.gages.aio.status()).exists
            assert await stores.exists(lab, "gages")
            logan = await lab.basins.aio.create("logan")
            await lab.basins.aio.create_many(["weber", "bear"], jobs=2)
            assert await lab.basins.aio.names() == ["bear", "logan", "weber"]
            assert await count(logan) == await count(lab.basins.aio["bear"]) == 0
            assert await lab.basins.aio.drop("logan")
            with pytest.raises(PenstockError):
                await count(logan)

    with use(stores_on(async_ground, lab)):
        asyncio.run(use_it())


DRIVERS = {"asyncpg": "psycopg", "asyncmy": "pymysql", "aiosqlite": "pysqlite"}
"""Those that an address may name, and what threads use at such an address."""


@pytest.mark.parametrize(
    ("async_ground", "driver", "threads"),
    [(driver, driver, threads) for driver, threads in DRIVERS.items()],
    indirect=["async_ground"],
)
def test_m5_a_service_whose_address_names_an_async_driver_is_provisioned_and_used(
    async_ground: TestServer, lab: type[App], monkeypatch: pytest.MonkeyPatch, driver: str, threads: str
) -> None:
    def named(url: str) -> str:
        kind, _, rest = url.partition("://")
        return f"{kind.partition('+')[0]}+{driver}://{rest}"

    registry = MemoryRegistry()
    service = async_ground.service
    registry.put_service(Service(name="only", url=named(service.url), password=service.password))
    with use(Stores(registry, apps=[lab])) as stores:
        stores.links.add("only", lab, "gages")
        assert [result.error for result in stores.sync(lab, ["gages"])] == [None]
        assert lab.gages.aio.engine.driver == driver
        assert lab.gages.engine.driver == lab.gages.url.get_driver_name() == threads
        assert asyncio.run(count(lab.gages.aio)) == 2
        assert stores.drop(lab, "gages")
        monkeypatch.setenv("PENSTOCK_STORE__LAB__GAGES", named(async_ground.address_of("from_outside")))
        assert stores.sync(lab, ["gages"])[0].ok
        assert async_ground.databases() == {"from_outside"}
        stores.close()


def test_a_connection_has_an_async_engine_too(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    async def use_it() -> Any:
        async with lab.servers.aio.sessionmaker() as session:
            return await session.scalar(text("SELECT current_database()"))

    with use(stores_on(async_server, lab)):
        assert asyncio.run(use_it()) == "postgres"
        assert lab.servers.url.get_driver_name() == "psycopg"


def test_a_connection_over_sqlite_is_no_async_engine_either(
    sqlite_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(sqlite_ground, lab)), pytest.raises(NotSupported):
        _ = lab.servers.aio.engine


# --- what a connection says when it starts --------------------------------------------------------


def test_a_session_says_whose_it_is_and_has_its_settings(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    registry = stores_on(async_server, lab).registry
    asked = ("application_name", "search_path", "statement_timeout")

    async def use_it() -> list[Any]:
        async with lab.gages.aio.engine.connect() as connection:
            return [await connection.scalar(text(f"SHOW {name}")) for name in asked]

    with use(Stores(registry, apps=[lab], engine_options=EngineOptions(statement_timeout=2.5))) as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        assert asyncio.run(use_it()) == ["penstock lab:gages", "public", "2500ms"]
        stores.close()


def test_options_of_an_address_are_understood_by_every_driver(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    service = async_server.service
    url = f"{service.url}?sslmode=disable&connect_timeout=7&keepalives=1&target_session_attrs=any"
    ground = replace(async_server, service=replace(service, url=url))
    with use(stores_on(ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        assert asyncio.run(count(lab.gages.aio)) == 2


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+asyncpg"])
def test_z6_tasks_share_the_poolers_few_sessions_without_an_error(
    driver: str, pooled_service: Service, lab: type[App]
) -> None:
    registry = MemoryRegistry()
    registry.put_service(replace(pooled_service, url=pooled_service.url.replace("postgresql", driver)))

    async def use_it() -> int:
        assert await asyncio.gather(*(count(lab.gages.aio) for _ in range(100))) == [2] * 100
        async with lab.gages.aio.session() as session:
            await session.scalar(GAGES)
            return await session.scalar(text("SELECT count(*) FROM pg_prepared_statements")) or 0

    with use(Stores(registry, apps=[lab])) as stores:
        stores.links.add("main", lab, "gages")
        assert stores.sync(lab, ["gages"])[0].error is None
        prepared = asyncio.run(use_it())
        assert prepared == 0 or driver.endswith("asyncpg"), (
            "asyncpg prepares everything, under names of its own"
        )
        stores.close()


# --- errors are those of threads ------------------------------------------------------------------


def told_twice(lab: type[App]) -> list[BaseException]:
    """What a thread is told that can't connect, and what a task is told."""

    async def by_a_task() -> None:
        await count(lab.gages.aio)

    def by_a_thread() -> None:
        with lab.gages.session() as session:
            session.scalar(GAGES)

    told = []
    for attempt in (by_a_thread, lambda: asyncio.run(by_a_task())):
        with pytest.raises((PenstockError, DBAPIError)) as caught:
            attempt()
        told.append(caught.value)
    return told


def test_a_store_that_was_never_made_is_told_as_such(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(async_ground, lab)):
        by_a_thread, by_a_task = told_twice(lab)
        assert isinstance(by_a_task, StoreNotCreated)
        assert str(by_a_task) == str(by_a_thread)


def test_a_store_nothing_is_linked_to_is_told_as_such(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(async_ground, lab, links=())):
        for error in told_twice(lab):
            assert isinstance(error, NotLinked)


def test_a_refused_password_is_the_same_error_and_is_nowhere_in_it(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores], tmp_path: Path
) -> None:
    canary = Search()
    wrong = tmp_path / "password"
    wrong.write_text(PASSWORD, "utf-8")
    service = replace(async_server.service, password=SecretRef("file", str(wrong)))
    with use(stores_on(replace(async_server, service=service), lab)) as stores:
        by_a_thread, by_a_task = told_twice(lab)
        assert type(by_a_task) is type(by_a_thread)
        backend = stores.address(lab, "gages").backend
        codes = [backend.translate(error, "x").code for error in (by_a_thread, by_a_task)]
        assert codes == ["login-refused", "login-refused"]
        canary.error("a refused login", by_a_task)
        canary.thing("an async engine", lab.gages.aio.engine)
    assert canary.found == []


def test_a_server_that_is_not_there_is_the_same_error(
    async_server: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    service = replace(async_server.service, url=async_server.service.url.rpartition(":")[0] + ":1")
    with use(stores_on(replace(async_server, service=service), lab)) as stores:
        by_a_thread, by_a_task = told_twice(lab)
        assert type(by_a_task) is type(by_a_thread)
        backend = stores.address(lab, "gages").backend
        assert backend.translate(by_a_task, "x").code == "server-unreachable"


@pytest.mark.parametrize(
    ("driver", "scheme", "missing"),
    [
        ("asyncpg", "postgresql+asyncpg://me@host", 'pip install "penstock[asyncpg]"'),
        ("greenlet", "postgresql://me@host", 'pip install "sqlalchemy[asyncio]"'),
        ("aiosqlite", "sqlite:///stores", 'pip install "penstock[aiosqlite]"'),
    ],
)
def test_a_missing_package_is_told_with_the_line_that_installs_it(
    driver: str, scheme: str, missing: str, lab: type[App], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = MemoryRegistry()
    registry.put_service(Service(name="main", url=scheme))
    with use(Stores(registry, apps=[lab])) as stores:
        stores.links.add("main", lab, "gages")
        monkeypatch.setitem(sys.modules, driver, None)
        with pytest.raises(MissingExtra) as caught:
            _ = lab.gages.aio.engine
        assert caught.value.hint == missing
