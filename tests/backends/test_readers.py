"""A store's reader reads, and can't write; each role has an engine of its own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError

from fix_apps import Gage, all_ok, make_lab
from penstock import App, use
from penstock.errors import NotSupported, WrongObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer
    from penstock import Stores

COUNT = select(func.count()).select_from(Gage)
WRITE = "INSERT INTO gage (number, altitude) VALUES ('new', 1.5)"


@pytest.fixture
def seeded(stores: Stores, lab: type[App]) -> type[App]:
    all_ok(stores, lab)
    return lab


def test_a_reader_reads_and_can_not_write(stores: Stores, seeded: type[App]) -> None:
    store: Any = seeded.gages
    with store.reader.session() as session:
        assert session.scalar(COUNT) == 2
        with pytest.raises(DBAPIError):
            session.execute(text(WRITE))
    with pytest.raises(DBAPIError), store.reader.begin() as session:
        session.add(Gage(number="new", altitude=1.5))
    with store.begin() as session:
        assert session.scalar(COUNT) == 2
        session.add(Gage(number="new", altitude=1.5))
    with store.reader.session() as session:
        assert session.scalar(COUNT) == 3


def test_a_reader_can_not_write_outside_a_transaction_either(stores: Stores, seeded: type[App]) -> None:
    engine = stores.engine(seeded, "gages", role="reader").execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, pytest.raises(DBAPIError):
        connection.execute(text(WRITE))
    with stores.begin(seeded, "gages") as session:
        assert session.scalar(COUNT) == 2


def test_an_engine_is_one_object_for_each_role_and_all_share_one_budget(
    stores: Stores, seeded: type[App]
) -> None:
    store: Any = seeded.gages
    engines = [stores.engine(seeded, "gages", role="app"), stores.engine(seeded, "gages", role="reader")]
    assert [store.engine, store.reader.engine] == engines
    assert store.reader.reader.engine is engines[1] is not engines[0]
    assert engines[0].pool.budget is engines[1].pool.budget  # type: ignore[attr-defined]


def test_a_role_that_there_is_not_is_a_clear_error(stores: Stores, seeded: type[App]) -> None:
    with pytest.raises(WrongObject, match="There is no role 'wrietr'") as raised:
        stores.engine(seeded, "gages", role="wrietr")  # type: ignore[arg-type]
    assert raised.value.hint == 'Write "app" or "reader".'


def test_what_a_handle_is_for_is_seen_when_it_is_printed(stores: Stores, seeded: type[App]) -> None:
    store: Any = seeded.gages
    assert repr(store.reader) == "<store lab:gages for a reader>"
    assert repr(store.reader.aio) == "<async store lab:gages for a reader>"


def test_a_reader_of_a_store_with_roles_logs_in_as_one(
    role_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    lab = make_lab()
    with use(role_stores_on(role_ground, lab)) as stores:
        all_ok(stores, lab)
        store: Any = lab.gages
        users = [store.reader.url.username, store.url.username]
        for each, user in zip((store.reader, store), users, strict=True):
            with each.session() as session:
                assert str(session.scalar(text("SELECT CURRENT_USER"))).partition("@")[0] in user
        assert "_reader_" in users[0]
        plain = create_engine(store.reader.url)
        with plain.connect() as connection, pytest.raises(DBAPIError):
            connection.execute(text(WRITE))
        plain.dispose()


def test_a_reader_follows_logins_that_are_rotated(
    role_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    lab = make_lab()
    with use(role_stores_on(role_ground, lab)) as stores:
        all_ok(stores, lab)
        store: Any = lab.gages
        engine = store.reader.engine
        with store.reader.session() as session:
            session.scalar(COUNT)
        before = store.reader.url.username
        stores.logins.rotate(lab, ["gages"], grace=0)
        with store.reader.session() as session:
            assert session.scalar(COUNT) == 2
        assert store.reader.engine is engine
        assert store.reader.url.username != before


def test_a_reader_behind_a_pooler_needs_a_login_of_its_own(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    pooled = replace(postgresql_ground, service=replace(postgresql_ground.service, pooled=True))
    with pytest.raises(NotSupported, match="has no login for readers"):
        stores_on(pooled, lab).engine(lab, "gages", role="reader")


def test_a_store_that_was_dropped_and_made_again_has_the_reader_that_it_had(
    stores: Stores, seeded: type[App]
) -> None:
    store: Any = seeded.gages
    engine = store.reader.engine
    with store.reader.session() as session:
        assert session.scalar(COUNT) == 2
    stores.drop(seeded, "gages", now=True)
    all_ok(stores, seeded)
    assert store.reader.engine is engine
    with store.reader.session() as session:
        assert session.scalar(COUNT) == 2


def test_a_reader_in_an_event_loop_reads_and_can_not_write(async_stores: Stores, lab: type[App]) -> None:
    reader: Any = lab.gages.reader.aio  # type: ignore[attr-defined]

    async def read_and_write() -> Any:
        try:
            async with reader.session() as session:
                found = await session.scalar(COUNT)
                with pytest.raises(DBAPIError):
                    await session.execute(text(WRITE))
            return found
        finally:
            await reader.engine.dispose()

    assert asyncio.run(read_and_write()) == 2
