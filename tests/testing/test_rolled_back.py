"""Tests that leave nothing: what is done to a store is rolled back."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from fix_apps import Gage, count, make_lab
from penstock import use
from penstock.engines.companion import async_companion
from penstock.errors import NotSupported
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer
    from penstock import App
    from penstock.engines.aio import AsyncStoreEngine
    from penstock.engines.engine import StoreEngine
    from penstock.testing import CopiedStores

MINE = "INSERT INTO gage VALUES ('{}', 1)"


@pytest.fixture
def stores(ground: TestServer, lab: type[App]) -> Iterator[CopiedStores]:
    """Copies of lab's stores, in use."""
    with stores_for_tests([lab], service=ground.service) as made, use(made):
        yield made


def put(lab: type[App], number: str) -> None:
    """Store a gage, by a session that commits."""
    with lab.gages.begin() as session:
        session.add(Gage(number=number, altitude=1))


def test_what_a_block_commits_is_seen_in_it_and_gone_after_it(stores: CopiedStores, lab: type[App]) -> None:
    for _ in range(3):
        with stores.rolled_back():
            put(lab, "1")
            with lab.gages.engine.begin() as connection:
                connection.execute(text(MINE.format(2)))
            assert count(lab.gages) == 4
        assert count(lab.gages) == 2


def test_a_reader_sees_what_was_committed_in_a_block(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back():
        with stores.begin(lab, "gages") as session:
            session.add(Gage(number="9", altitude=1.5))
        with stores.session(lab, "gages", role="reader") as session:
            assert session.get(Gage, "9") is not None
    with stores.session(lab, "gages", role="reader") as session:
        assert session.get(Gage, "9") is None


def test_a_block_that_fails_is_rolled_back_too(stores: CopiedStores, lab: type[App]) -> None:
    with suppress(ZeroDivisionError), stores.rolled_back():
        put(lab, "1")
        raise ZeroDivisionError
    assert count(lab.gages) == 2


def test_the_apps_own_rollback_undoes_what_is_its_own(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back():
        put(lab, "1")
        with lab.gages.session() as session:
            session.add(Gage(number="2", altitude=1))
            session.flush()
            session.rollback()
            assert session.get(Gage, "1") is not None
        with lab.gages.engine.connect() as connection:
            connection.execute(text(MINE.format(3)))  # And nobody commits it.
        with pytest.raises(IntegrityError):
            put(lab, "1")
        assert count(lab.gages) == 3


def test_savepoints_of_the_apps_own_work(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back(), lab.gages.begin() as session:
        session.add(Gage(number="1", altitude=1))
        with suppress(IntegrityError), session.begin_nested():
            session.add(Gage(number="03186000", altitude=1))
        with session.begin_nested():
            session.add(Gage(number="2", altitude=1))
        assert session.scalar(select(func.count()).select_from(Gage)) == 4


def test_a_commit_after_an_error_keeps_nothing_and_spoils_nothing(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back():
        put(lab, "1")
        with lab.gages.engine.connect() as connection:
            with pytest.raises(DBAPIError):
                connection.execute(text("SELECT nothing_like_that FROM gage"))
            connection.commit()
        put(lab, "2")
        assert count(lab.gages) == 4


def test_autocommit_keeps_each_statement_until_the_end(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back():
        alone = lab.gages.engine.execution_options(isolation_level="AUTOCOMMIT")
        with alone.connect() as connection:
            connection.execute(text(MINE.format(1)))
        assert count(lab.gages) == 3
        with alone.connect() as connection, suppress(DBAPIError):
            connection.execute(text("SELECT nothing_like_that FROM gage"))
        put(lab, "2")
        assert count(lab.gages) == 4
    assert count(lab.gages) == 2


def test_a_transaction_that_ends_later_keeps_what_began_after_it(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back():
        with lab.gages.session() as outer:
            outer.add(Gage(number="1", altitude=1))
            outer.flush()
            put(lab, "2")
            outer.commit()
        assert count(lab.gages) == 4


def test_a_transaction_may_be_read_only(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back():
        put(lab, "1")
        engine = lab.gages.engine
        options = {"postgresql_readonly": True} if engine.dialect.name == "postgresql" else {}
        with engine.connect().execution_options(**options) as connection:
            assert len(connection.execute(select(Gage)).all()) == 3
        put(lab, "2")


def test_tables_that_a_test_makes_are_gone_too_or_it_is_told_that_they_stay(ground: TestServer) -> None:
    lab = make_lab(tables="app")
    with stores_for_tests([lab], service=ground.service) as stores, use(stores):
        if not ground.can.transactional_ddl:
            with pytest.raises(NotSupported, match="committed"):
                make_a_table(stores, lab)
            return
        for _ in range(2):
            make_a_table(stores, lab)


SCRIPT = """
CREATE TABLE mine (id integer, said text);
CREATE TRIGGER echo AFTER INSERT ON gage BEGIN
    INSERT INTO mine VALUES (1, 'a;b'); INSERT INTO mine VALUES (2, NULL);
END;
INSERT INTO gage VALUES ('1', 1)  -- this; and no more
"""


def test_a_script_is_rolled_back_too_whatever_its_semicolons_mean(
    stores: CopiedStores, lab: type[App], ground: TestServer
) -> None:
    if ground.directory is None:
        pytest.skip("only SQLite's driver executes scripts")
    for _ in range(2):
        with stores.rolled_back(), lab.gages.engine.begin() as connection:
            assert connection.connection.dbapi_connection is not None
            connection.connection.dbapi_connection.cursor().executescript(SCRIPT)
            said = connection.execute(text("SELECT said FROM mine ORDER BY id")).scalars().all()
            assert said == ["a;b", None]
    assert count(lab.gages) == 2


def make_a_table(stores: CopiedStores, lab: type[App]) -> None:
    """What a test does that makes one."""
    with stores.rolled_back(), lab.gages.engine.begin() as connection:
        connection.execute(text("CREATE TABLE mine (id integer)"))


def test_a_session_that_is_left_open_spoils_no_later_test(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back():
        session = lab.gages.sessionmaker()
        session.add(Gage(number="1", altitude=1))
        session.flush()
    with stores.rolled_back():
        put(lab, "2")
        session.close()
        assert count(lab.gages) == 3
    assert count(lab.gages) == 2


def test_threads_work_in_the_same_transaction(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back(), use(stores, everywhere=True):
        with ThreadPoolExecutor(4) as pool:
            for number in range(8):
                pool.submit(put, lab, f"{number}").result()
        assert count(lab.gages) == 10
    assert count(lab.gages) == 2


def test_stores_made_at_run_time_are_dropped_and_can_be_made_again(
    stores: CopiedStores, lab: type[App]
) -> None:
    for _ in range(2):
        with stores.rolled_back():
            lab.basins.create("logan")
            with lab.basins["logan"].begin() as session:
                session.add(Gage(number="1", altitude=1))
            assert count(lab.basins["logan"]) == 1
        assert lab.basins.names() == []


def test_a_store_made_before_the_block_stays(stores: CopiedStores, lab: type[App]) -> None:
    lab.basins.create("logan")
    with stores.rolled_back(), lab.basins["logan"].begin() as session:
        session.add(Gage(number="1", altitude=1))
    assert lab.basins.names() == ["logan"]
    assert count(lab.basins["logan"]) == 0


def test_a_block_inside_another_is_refused(stores: CopiedStores) -> None:
    with stores.rolled_back(), pytest.raises(RuntimeError, match="inside another"), stores.rolled_back():
        pass


def test_a_block_connects_once(stores: CopiedStores, lab: type[App], ground: TestServer) -> None:
    with stores.rolled_back():
        for number in range(5):
            put(lab, f"{number}")
        if ground.server is None:
            return
        name = stores.address(lab, "gages").database
        with ground.server.connect() as connection:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name <> ''", [name]
            ).fetchone()
    assert found == (1,)


# --- event loops ----------------------------------------------------------------------------------


async def put_async(lab: type[App], number: str) -> None:
    """Store a gage, by an async session that commits."""
    async with lab.gages.aio.begin() as session:
        session.add(Gage(number=number, altitude=1))


async def count_async(lab: type[App]) -> int:
    """How many gages there are, as an async session sees it."""
    async with lab.gages.aio.session() as session:
        return await session.scalar(select(func.count()).select_from(Gage)) or 0


def test_async_sessions_are_rolled_back(stores: CopiedStores, lab: type[App]) -> None:
    async def work() -> int:
        await put_async(lab, "1")
        async with lab.gages.aio.session() as session:
            session.add(Gage(number="2", altitude=1))
            await session.flush()
            await session.rollback()
        with pytest.raises(IntegrityError):
            await put_async(lab, "1")
        return await count_async(lab)

    for _ in range(3):
        with stores.rolled_back():
            assert asyncio.run(work()) == 3
        assert count(lab.gages) == 2


def test_sync_and_async_sessions_see_what_the_other_has_committed(
    stores: CopiedStores, lab: type[App]
) -> None:
    async def work() -> int:
        await put_async(lab, "2")
        return await count_async(lab)

    with stores.rolled_back():
        put(lab, "1")
        assert asyncio.run(work()) == 4
        assert asyncio.run(count_async(lab)) == 4  # In another loop.
        assert count(lab.gages) == 4


def test_tasks_that_run_at_once_all_keep_what_they_commit(stores: CopiedStores, lab: type[App]) -> None:
    async def work() -> None:
        await asyncio.gather(*(put_async(lab, f"{number}") for number in range(20)))

    with stores.rolled_back():
        asyncio.run(work())
        assert count(lab.gages) == 22
    assert count(lab.gages) == 2


def test_a_store_is_held_back_wholly_before_any_of_the_tasks_that_come_first_has_it(
    stores: CopiedStores, lab: type[App], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(store: StoreEngine) -> AsyncStoreEngine:
        time.sleep(0.05)
        return async_companion(store)

    async def work() -> None:
        await asyncio.gather(*(put_async(lab, f"{number}") for number in range(20)))

    monkeypatch.setattr("penstock.testing.copies.async_companion", late)
    with stores.rolled_back():
        asyncio.run(work())
        assert count(lab.gages) == 22
    assert count(lab.gages) == 2


def test_rows_can_be_streamed(stores: CopiedStores, lab: type[App]) -> None:
    async def work() -> int:
        async with lab.gages.aio.session() as session:
            rows = await session.stream(select(Gage))
            return len([row async for row in rows])

    with stores.rolled_back():
        put(lab, "1")
        assert asyncio.run(work()) == 3


def test_after_a_block_async_sessions_have_connections_of_their_own_again(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back():
        asyncio.run(put_async(lab, "1"))
    kinds: list[str] = []

    async def work() -> int:
        async with lab.gages.aio.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            kinds.append(type(raw.driver_connection).__module__.partition(".")[0])
        return await count_async(lab)

    assert asyncio.run(work()) == 2
    assert kinds == [
        {"sqlite": "aiosqlite", "postgresql": "psycopg", "mariadb": "asyncmy"}[lab.gages.engine.dialect.name]
    ]
