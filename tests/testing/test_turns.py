"""Tests that leave nothing: threads and tasks take turns, and lose no row."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError

from fix_apps import Base, Gage, count, make_lab
from penstock import use
from penstock.errors import NotSupported, StoreBusy
from penstock.query import bulk_insert, find, get_or_create, to_arrow
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from fix_servers import TestServer
    from penstock import App
    from penstock.testing import CopiedStores

TAKEN = "03186000"


@pytest.fixture
def stores(ground: TestServer, lab: type[App]) -> Iterator[CopiedStores]:
    """Copies of lab's stores, in use by every thread."""
    with stores_for_tests([lab], service=ground.service) as made, use(made, everywhere=True):
        yield made


def put(lab: type[App], number: str) -> None:
    """Store a gage, by a session that commits."""
    with lab.gages.begin() as session:
        session.add(Gage(number=number, altitude=1))


def add(session: Session, number: str) -> None:
    """Store a gage, and leave the session as it is."""
    session.add(Gage(number=number, altitude=1))
    session.flush()


async def put_async(lab: type[App], number: str) -> None:
    """Read, let the others go on, and store a gage."""
    async with lab.gages.aio.begin() as session:
        await session.scalar(select(func.count()).select_from(Gage))
        await asyncio.sleep(0)
        session.add(Gage(number=number, altitude=1))
        await session.flush()
        await asyncio.sleep(0)


def numbers(lab: type[App]) -> set[str]:
    """Which gages there are, but for the first two."""
    with lab.gages.session() as session:
        return set(session.scalars(select(Gage.number))) - {TAKEN, "03185400"}


# --- threads --------------------------------------------------------------------------------------


def test_threads_that_write_fail_and_read_at_once_keep_what_each_commits(
    stores: CopiedStores, lab: type[App]
) -> None:
    together = Barrier(4)

    def work(worker: int) -> None:
        together.wait()
        for number in range(8):
            put(lab, f"{worker}-{number}")
            with pytest.raises(IntegrityError):
                put(lab, TAKEN)
            with lab.gages.session() as session:
                add(session, f"not {worker}-{number}")
                session.rollback()
                assert session.get(Gage, TAKEN) is not None
            with pytest.raises(DBAPIError), lab.gages.session() as session:
                session.execute(text("SELECT nothing_like_that FROM gage"))

    with stores.rolled_back():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert numbers(lab) == {f"{worker}-{number}" for worker in range(4) for number in range(8)}
    assert numbers(lab) == set()


def test_many_rows_are_written_and_read_by_threads_at_once(stores: CopiedStores, lab: type[App]) -> None:
    together = Barrier(4)

    def work(worker: int) -> None:
        together.wait()
        engine = lab.gages.engine
        alone = engine.execution_options(isolation_level="AUTOCOMMIT")
        for number in range(4):
            name = f"{worker}-{number}"
            bulk_insert(engine, Gage, [{"number": f"{name}-{n}", "altitude": n} for n in range(300)])
            bulk_insert(alone, Gage, [{"number": f"too {name}", "altitude": 1}])
            get_or_create(engine, Gage, {"number": f"one {number}"}, {"altitude": 1})
            assert to_arrow(engine, select(Gage.number)).num_rows >= 302
            with alone.connect() as connection:
                connection.execute(text(f"INSERT INTO gage VALUES ('alone {name}', 1)"))
            assert inspect(engine).has_table("gage")
            Base.metadata.create_all(engine)
            assert find(engine, Gage, {"number": f"alone {name}"})

    with stores.rolled_back():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert len(numbers(lab)) == 4 * 4 * 300 + 4 + 2 * 4 * 4
    assert numbers(lab) == set()


def test_a_session_of_the_test_that_has_read_is_in_no_threads_way(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back(timeout=5), ThreadPoolExecutor(1) as pool:
        with lab.gages.session() as session:
            assert session.get(Gage, TAKEN) is not None
            pool.submit(put, lab, "1").result()  # As a request does, in a thread of the server's.
            assert session.get(Gage, "1") is not None
            add(session, "2")
            session.commit()
            pool.submit(put, lab, "3").result()
        with lab.gages.session() as session:
            session.get(Gage, TAKEN)
            pool.submit(put, lab, "4").result()
            session.rollback()
        assert numbers(lab) == {"1", "2", "3", "4"}


def test_a_session_may_go_from_thread_to_thread(stores: CopiedStores, lab: type[App]) -> None:
    """As one does that a framework opens for a request, uses in an endpoint and closes after it."""

    def request(number: int) -> None:
        with (
            ThreadPoolExecutor(1) as opening,
            ThreadPoolExecutor(1) as working,
            ThreadPoolExecutor(1) as closing,
        ):
            session = opening.submit(lab.gages.sessionmaker).result()
            opening.submit(session.get, Gage, TAKEN).result()
            working.submit(add, session, f"{number}").result()
            closing.submit(session.commit if number % 2 else session.rollback).result()
            closing.submit(session.close).result()

    with stores.rolled_back():
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(request, range(8)))
        assert numbers(lab) == {"1", "3", "5", "7"}


def test_who_waits_for_a_session_that_does_not_end_is_told_which_one_it_is(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back(timeout=0.3), lab.gages.session() as session, ThreadPoolExecutor(1) as pool:
        add(session, "1")
        assert pool.submit(count, lab.gages).result() == 3
        with pytest.raises(StoreBusy) as caught:
            pool.submit(put, lab, "2").result()
        assert "lab:gages" in caught.value.what
        assert f"{__file__}:" in caught.value.why
        assert "(thread MainThread)" in caught.value.why
        session.commit()
        pool.submit(put, lab, "3").result()
        assert numbers(lab) == {"1", "3"}


def test_a_session_that_is_collected_as_garbage_is_rolled_back_and_keeps_nobody_waiting(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back(timeout=30), ThreadPoolExecutor(1) as pool:
        session = lab.gages.sessionmaker()
        add(session, "1")
        del session
        gc.collect()
        pool.submit(put, lab, "2").result()
        assert numbers(lab) == {"2"}


# --- one inside the other -------------------------------------------------------------------------


def test_sessions_of_one_thread_may_be_inside_each_other(stores: CopiedStores, lab: type[App]) -> None:
    with stores.rolled_back():
        with lab.gages.session() as outer, lab.gages.session() as inner:
            add(outer, "1")
            add(inner, "2")
            inner.rollback()
            add(outer, "3")
            add(inner, "4")
            add(outer, "5")
            inner.commit()
            with pytest.raises(IntegrityError), outer.begin_nested():
                add(outer, TAKEN)
            outer.commit()
        assert numbers(lab) == {"1", "3", "4", "5"}
        with lab.gages.session() as outer:
            add(outer, "6")
            with lab.gages.session() as inner:
                add(inner, "7")
            outer.rollback()
        assert numbers(lab) == {"1", "3", "4", "5"}


def test_savepoints_of_a_session_undo_nothing_of_those_inside_of_them(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back(), lab.gages.session() as outer:
        with outer.begin_nested():
            add(outer, "1")
            put(lab, "2")
            add(outer, "3")
        with outer.begin_nested() as undone:
            add(outer, "4")
            undone.rollback()
        nested = outer.begin_nested()
        add(outer, "5")
        put(lab, "6")
        with pytest.raises(NotSupported, match="can't be rolled back any more"):
            nested.rollback()
        with suppress(NotSupported):
            outer.rollback()
        assert {"2", "6"} <= numbers(lab)
        assert "4" not in numbers(lab)
    assert numbers(lab) == set()


@pytest.mark.parametrize("ended", [True, False], ids=["committed", "open"])
def test_what_was_written_inside_of_a_session_is_never_undone_with_it(
    stores: CopiedStores, lab: type[App], *, ended: bool
) -> None:
    with stores.rolled_back():
        outer, inner = lab.gages.sessionmaker(), lab.gages.sessionmaker()
        add(outer, "1")
        add(inner, "2")
        if ended:
            inner.commit()
        with pytest.raises(NotSupported, match="can't be rolled back any more"):
            outer.rollback()
        inner.commit()
        assert "2" in numbers(lab)
        put(lab, "3")
        assert {"2", "3"} <= numbers(lab)
    assert numbers(lab) == set()


def test_an_error_stops_the_session_it_happens_in_as_it_does_on_the_server_and_no_other(
    stores: CopiedStores, lab: type[App], ground: TestServer
) -> None:
    with stores.rolled_back(), ThreadPoolExecutor(1) as pool:
        put(lab, "1")
        with lab.gages.engine.connect() as connection, lab.gages.session() as other:
            for statement in (
                "SELECT nothing_like_that FROM gage",
                f"INSERT INTO gage VALUES ('{TAKEN}', 1)",
            ):
                add(other, statement[:6])
                with pytest.raises(DBAPIError):
                    connection.execute(text(statement))
                assert other.get(Gage, "1") is not None
                assert pool.submit(count, lab.gages).result() >= 4
                if lab.gages.engine.dialect.name == "postgresql":
                    with pytest.raises(InternalError, match="aborted"):
                        connection.execute(text("SELECT 1"))
                connection.rollback()
                assert connection.scalar(text("SELECT 1")) == 1
                other.commit()
        assert numbers(lab) == {"1", "SELECT", "INSERT"}


# --- event loops ----------------------------------------------------------------------------------


def test_tasks_wait_for_each_other_while_their_loop_goes_on(stores: CopiedStores, lab: type[App]) -> None:
    async def fail(number: int) -> None:
        async with lab.gages.aio.session() as session:
            session.add(Gage(number=f"not {number}", altitude=1))
            await session.flush()
            await asyncio.sleep(0)
            session.add(Gage(number=TAKEN, altitude=1))
            with pytest.raises(IntegrityError):
                await session.commit()

    async def work() -> None:
        await asyncio.gather(*(each for n in range(10) for each in (put_async(lab, f"{n}"), fail(n))))

    with stores.rolled_back():
        asyncio.run(work())
        assert numbers(lab) == {f"{number}" for number in range(10)}
    assert numbers(lab) == set()


def test_two_event_loops_and_threads_work_at_once(stores: CopiedStores, lab: type[App]) -> None:
    together = Barrier(3)

    def loop(name: str) -> None:
        async def work() -> None:
            await asyncio.gather(*(put_async(lab, f"{name}{number}") for number in range(8)))

        together.wait()
        asyncio.run(work())

    def thread(name: str) -> None:
        together.wait()
        for number in range(8):
            put(lab, f"{name}{number}")

    with stores.rolled_back():
        with ThreadPoolExecutor(3) as pool:
            for each in [pool.submit(loop, "a"), pool.submit(loop, "b"), pool.submit(thread, "c")]:
                each.result()
        assert numbers(lab) == {f"{name}{number}" for name in "abc" for number in range(8)}


def test_rows_are_streamed_while_other_tasks_and_threads_write(stores: CopiedStores, lab: type[App]) -> None:
    async def work() -> int:
        seen = 0
        async with lab.gages.aio.session() as session:
            rows = await session.stream(select(Gage.number).execution_options(yield_per=1))
            async for row in rows:
                seen += 1
                await asyncio.gather(
                    put_async(lab, f"a{row.number}"), asyncio.to_thread(put, lab, f"b{row.number}")
                )
        return seen

    with stores.rolled_back():
        assert asyncio.run(work()) == 2
        with lab.gages.engine.connect() as connection:
            rows = connection.execution_options(yield_per=1).execute(select(Gage.number))
            for row in rows:
                put(lab, f"c{row.number}")
            assert count(lab.gages) == 12


def test_a_session_of_threads_that_would_stop_the_loop_of_the_one_it_waits_for_fails_at_once(
    stores: CopiedStores, lab: type[App]
) -> None:
    async def stopped() -> None:
        put(lab, "2")

    async def work() -> None:
        async with lab.gages.aio.session() as session:
            session.add(Gage(number="1", altitude=1))
            await session.flush()
            with pytest.raises(StoreBusy):
                await asyncio.create_task(stopped())
            put(lab, "3")  # In the same task: inside of it.
            await session.commit()

    with stores.rolled_back(timeout=3600):
        asyncio.run(work())
        assert numbers(lab) == {"1", "3"}


# --- what can't be rolled back --------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK", "BEGIN", "VACUUM", "CREATE DATABASE mine"])
def test_what_would_end_the_tests_own_transaction_is_refused(
    stores: CopiedStores, lab: type[App], statement: str
) -> None:
    with stores.rolled_back():
        put(lab, "1")
        alone = lab.gages.engine.execution_options(isolation_level="AUTOCOMMIT")
        with alone.connect() as connection, pytest.raises(NotSupported, match="rolled back"):
            connection.exec_driver_sql(statement)
        put(lab, "2")
        assert numbers(lab) == {"1", "2"}
    assert numbers(lab) == set()


def test_tables_can_be_made_or_nothing_is_committed(ground: TestServer) -> None:
    lab = make_lab(tables="app")
    with stores_for_tests([lab], service=ground.service) as stores, use(stores):
        check_tables_can_be_made(stores, lab, ground)


def check_tables_can_be_made(stores: CopiedStores, lab: type[App], ground: TestServer) -> None:
    with stores.rolled_back():
        put(lab, "1")
        with lab.gages.engine.connect() as connection:
            if ground.can.transactional_ddl:
                connection.execute(text("CREATE TABLE mine (id integer)"))
                connection.commit()
                assert inspect(connection).has_table("mine")
            else:
                with pytest.raises(NotSupported, match="would be committed"):
                    connection.execute(text("CREATE TABLE mine (id integer)"))
                connection.execute(text("CREATE TEMPORARY TABLE mine (id integer)"))
        put(lab, "2")
    assert numbers(lab) == set()
    assert not inspect(lab.gages.engine).has_table("mine")


def test_a_copy_in_which_something_was_committed_is_made_anew_and_the_test_is_told(
    stores: CopiedStores, lab: type[App]
) -> None:
    def commit_all() -> None:
        with stores.rolled_back():
            put(lab, "1")
            with lab.gages.engine.connect() as connection:
                underneath: Any = connection.connection.cursor().connection  # Past all that takes care.
                underneath.commit()

    with pytest.raises(NotSupported, match="was committed by the server"):
        commit_all()
    assert numbers(lab) == set()
    with stores.rolled_back():
        put(lab, "2")
        assert numbers(lab) == {"2"}
    assert numbers(lab) == set()


def test_a_connection_of_the_drivers_commits_and_rolls_back_what_is_its_own(
    stores: CopiedStores, lab: type[App]
) -> None:
    with stores.rolled_back():
        put(lab, "1")
        raw = lab.gages.engine.raw_connection()
        cursor = raw.cursor()
        cursor.execute("INSERT INTO gage VALUES ('2', 1)")
        raw.commit()
        cursor.execute("INSERT INTO gage VALUES ('3', 1)")
        raw.rollback()
        cursor.execute("INSERT INTO gage VALUES ('4', 1)")
        raw.close()
        assert numbers(lab) == {"1", "2"}
    assert numbers(lab) == set()
