"""Sessions are made as the store's declaration says, or who asks for one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from fix_apps import Base, Gage, seed
from penstock import App, Connection, Database, SessionOptions, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import Stores


class Marked(Session):
    """A class of an app's own."""


AS_DECLARED = SessionOptions(
    expire_on_commit=False,
    autoflush=False,
    class_=Marked,
    info={"from": "the declaration"},
    execution_options={"mine": 7},
)


class Lab(App):
    package = "lab"
    gages = Database("As it is.", metadata=Base.metadata, initializer=seed)
    kept = Database("As it says.", metadata=Base.metadata, initializer=seed, sessions=AS_DECLARED)
    basins = Database("All of them.", metadata=Base.metadata, many=True, sessions=AS_DECLARED, required=False)
    servers = Connection("Where new stores are made.", required=False)


LINKS = ("gages", "kept", "basins", "servers")


@pytest.fixture
def stores(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    with use(stores_on(ground, Lab, links=LINKS)) as stores:
        assert [result.error for result in stores.sync(Lab)] == [None, None]
        yield stores


@pytest.fixture
def stores_of_tasks(async_ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    with use(stores_on(async_ground, Lab, links=LINKS)) as stores:
        assert [result.error for result in stores.sync(Lab)] == [None, None]
        yield stores


def read_one(session: Session) -> Gage:
    gage = session.scalars(select(Gage).limit(1)).one()
    session.commit()
    return gage


def is_expired(gage: Gage) -> bool:
    return bool(inspect(gage).expired_attributes)


def test_attributes_are_read_anew_after_a_commit_unless_the_store_says_otherwise(stores: Stores) -> None:
    with Lab.gages.session() as session:
        assert is_expired(read_one(session))
    with Lab.kept.session() as session:
        assert not is_expired(read_one(session))


def test_all_that_a_declaration_says_of_sessions_is_so(stores: Stores) -> None:
    Lab.basins.create("logan")
    for store in (Lab.kept, Lab.kept.reader, Lab.basins["logan"]):
        with store.session() as session:
            assert (isinstance(session, Marked), session.autoflush) == (True, False)
            assert session.info == {"from": "the declaration"}
            assert session.connection().get_execution_options()["mine"] == 7
    with Lab.gages.begin() as session:
        assert (isinstance(session, Marked), session.autoflush, session.info) == (False, True, {})


def test_who_asks_for_a_session_may_say_how_it_is_made(stores: Stores) -> None:
    options = SessionOptions(expire_on_commit=False, info={"from": "the caller"})
    with Lab.gages.session(options) as session:
        assert session.info == {"from": "the caller"}
        assert not is_expired(read_one(session))
    with Lab.kept.begin(SessionOptions()) as session:
        assert not isinstance(session, Marked)


def test_a_factory_is_one_object_for_the_same_options(stores: Stores) -> None:
    first, second = (SessionOptions(autoflush=False, info={"a": [1]}) for _ in range(2))
    made = stores.sessionmaker(Lab, "gages", options=first)
    assert made is stores.sessionmaker(Lab, "gages", options=second)
    assert made is not stores.sessionmaker(Lab, "gages", options=SessionOptions(autoflush=False))
    assert stores.sessionmaker(Lab, "kept") is stores.sessionmaker(Lab, "kept", options=AS_DECLARED)


def test_what_a_session_puts_into_its_info_is_its_own(stores: Stores) -> None:
    with Lab.kept.session() as first, Lab.kept.session() as second:
        first.info["mine"] = True
        assert second.info == {"from": "the declaration"}


def test_a_connection_gives_sessions_too(stores: Stores, ground: TestServer) -> None:
    if ground.kind == "sqlite":
        pytest.skip("a directory has no engine")
    with Lab.servers.session() as session, Lab.servers.begin() as other:
        assert session.scalar(select(1)) == other.scalar(select(1)) == 1


def test_in_an_event_loop_attributes_are_there_after_a_commit(stores_of_tasks: Stores) -> None:
    async def read(store: Any, options: SessionOptions | None = None) -> bool:
        async with store.aio.session(options) as session:
            gage = (await session.scalars(select(Gage).limit(1))).one()
            await session.commit()
            return is_expired(gage)

    async def work() -> list[bool]:
        try:
            expires = SessionOptions(expire_on_commit=True)
            return [await read(Lab.gages), await read(Lab.kept), await read(Lab.gages, expires)]
        finally:
            for store in (Lab.gages, Lab.kept):
                await store.aio.engine.dispose()

    assert asyncio.run(work()) == [False, False, True]


def test_in_an_event_loop_all_that_a_declaration_says_is_so(stores_of_tasks: Stores) -> None:
    async def work() -> None:
        try:
            async with Lab.kept.aio.session() as session:
                behind = session.sync_session
                assert (isinstance(behind, Marked), behind.autoflush) == (True, False)
                assert session.info == {"from": "the declaration"}
                assert (await session.connection()).sync_connection.get_execution_options()["mine"] == 7
        finally:
            await Lab.kept.aio.engine.dispose()

    asyncio.run(work())


def test_in_an_event_loop_a_connection_gives_sessions_and_its_address(
    async_server: TestServer, stores_on: Callable[..., Stores]
) -> None:
    async def work() -> None:
        servers = Lab.servers.aio
        try:
            async with servers.session() as session, servers.begin() as other:
                assert await session.scalar(select(1)) == await other.scalar(select(1)) == 1
            assert (await servers.url()).host == "127.0.0.1"
        finally:
            await servers.engine.dispose()

    with use(stores_on(async_server, Lab, links=LINKS)):
        asyncio.run(work())
