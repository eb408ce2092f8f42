"""SQLite: who only reads holds nothing; a transaction begins with its first write."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from faults.sharing import share, written
from fix_apps import Gage, all_ok, count
from penstock import App, EngineOptions, Stores, use
from penstock.backends.sqlite import files
from penstock.errors import StoreBusy
from penstock.query import bulk_insert, find, get_or_create, paginate_keyset, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fix_servers import TestServer

KNOWN = "03185400"
ONE = "INSERT INTO gage VALUES ('new', 1)"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long, so that a test that would wait fails soon."""
    monkeypatch.setattr(files, "BUSY_TIMEOUT", 0.2)


@pytest.fixture
def stores(
    impatient: None, sqlite_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> Iterator[Stores]:
    """`Stores` in use, whose store `gages` is there, with two rows."""
    with use(
        stores_on(sqlite_ground, lab, links=("gages",), options=EngineOptions(trace_sessions=True))
    ) as stores:
        all_ok(stores, lab)
        yield stores


@pytest.fixture
def engine(stores: Stores, lab: type[App]) -> Engine:
    """The engine of `gages`."""
    return stores.engine(lab, "gages")


def in_transaction(connection: Any) -> bool:
    """Whether the driver's connection has anything open."""
    return bool(connection.connection.driver_connection.in_transaction)


# --- reading --------------------------------------------------------------------------------------


def test_a_session_left_open_after_it_has_read_keeps_nobody_from_writing(
    stores: Stores, lab: type[App]
) -> None:
    with lab.gages.session() as left_open:
        assert len(left_open.scalars(select(Gage)).all()) == 2
        with lab.gages.begin() as session:
            session.add(Gage(number="new", altitude=1))
        assert left_open.scalar(select(func.count()).select_from(Gage)) == 3  # Read as committed.


def test_a_session_that_writes_keeps_nobody_from_reading(stores: Stores, lab: type[App]) -> None:
    with lab.gages.session() as left_open:
        left_open.add(Gage(number="new", altitude=1))
        left_open.flush()
        assert count(lab.gages) == 2


def test_async_sessions_left_open_keep_nobody_from_writing(stores: Stores, lab: type[App]) -> None:
    async def work() -> int:
        async with lab.gages.aio.session() as left_open:
            await left_open.scalars(select(Gage))
            rows = await left_open.stream(select(Gage).execution_options(yield_per=1))
            assert await anext(aiter(rows)) is not None
            async with lab.gages.aio.begin() as session:
                session.add(Gage(number="new", altitude=1))
            return count(lab.gages)

    assert asyncio.run(work()) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM gage",
        "VALUES (1)",
        "EXPLAIN SELECT * FROM gage",
        "PRAGMA table_info(gage)",
        "PRAGMA user_version",
    ],
)
def test_what_reads_begins_nothing(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement)).all()
        assert not in_transaction(connection)


def test_an_inspector_begins_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        inspector = inspect(connection)
        assert inspector.has_table("gage")
        assert [column["name"] for column in inspector.get_columns("gage")] == ["number", "altitude"]
        assert not in_transaction(connection)


def test_a_reader_of_one_snapshot_sees_nothing_of_what_is_committed_meanwhile(engine: Engine) -> None:
    how_many = select(func.count()).select_from(Gage)
    with engine.connect().execution_options(penstock_readonly=True) as connection:
        assert connection.scalar(how_many) == 2
        with engine.begin() as other:
            other.execute(text(ONE))
        assert connection.scalar(how_many) == 2
        connection.rollback()
        assert connection.scalar(how_many) == 3


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        ONE,
        "REPLACE INTO gage VALUES ('new', 1)",
        "WITH x AS (SELECT 'new', 1) INSERT INTO gage SELECT * FROM x",
        f"{ONE} RETURNING number",
        "UPDATE gage SET number = 'new' WHERE number = '03185400'",
        "CREATE TABLE new (id integer)",
        "SAVEPOINT new",
        "PRAGMA user_version = 7",
    ],
)
def test_the_first_statement_that_writes_begins_and_is_rolled_back(engine: Engine, statement: str) -> None:
    state = text(
        "SELECT (SELECT group_concat(number) FROM gage), (SELECT count(*) FROM sqlite_master), user_version"
        " FROM pragma_user_version"
    )
    with engine.connect() as connection:
        before = connection.execute(state).one()
        connection.execute(text(statement))
        assert in_transaction(connection)
        with pytest.raises(StoreBusy), engine.begin() as other:
            other.execute(text("DELETE FROM gage"))
        connection.rollback()
        assert connection.execute(state).one() == before


def test_what_a_cursor_of_the_drivers_writes_is_rolled_back_too(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(select(Gage)).all()
        cursor = connection.connection.cursor()
        cursor.execute(ONE)
        assert in_transaction(connection)
        connection.rollback()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(select(Gage)).all()
    with engine.connect() as connection:
        connection.execute(select(Gage)).all()
        connection.connection.cursor().execute(ONE)
        assert in_transaction(connection)
    assert len(find(engine, Gage)) == 2


def raise_altitude(engine: Engine, **options: Any) -> None:
    """Read an altitude, and write one that is greater by 1."""
    with engine.connect().execution_options(**options) as connection, connection.begin():
        query = select(Gage.altitude).where(Gage.number == KNOWN)
        found = connection.execute(query if options else query.with_for_update()).scalar_one()
        connection.execute(update(Gage).where(Gage.number == KNOWN).values(altitude=found + 1))


@pytest.mark.parametrize(
    "options", [{}, {"isolation_level": "SERIALIZABLE"}], ids=["for update", "serializable"]
)
def test_what_is_read_under_the_lock_is_what_is_written_upon(
    engine: Engine, options: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUSY_TIMEOUT", 30.0)
    before = find(engine, Gage, {"number": KNOWN})[0].altitude
    together = Barrier(4)

    def work() -> None:
        together.wait()
        for _ in range(25):
            raise_altitude(engine, **options)

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(work) for _ in range(4)]:
            each.result()
    assert find(engine, Gage, {"number": KNOWN})[0].altitude == pytest.approx(before + 100)


def test_rows_that_are_read_one_by_one_do_not_stop_their_reader_from_writing(engine: Engine) -> None:
    with engine.connect() as connection:
        for number, row in enumerate(connection.execute(select(Gage.number))):
            with engine.begin() as other:
                other.execute(update(Gage).values(altitude=number))
            connection.execute(update(Gage).where(Gage.number == row.number).values(altitude=10 + number))
            connection.commit()
    assert [gage.altitude for gage in find(engine, Gage)] == [1, 11]


def test_who_streams_and_then_writes_is_told_that_others_have_written(engine: Engine) -> None:
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=1).execute(select(Gage.number))
        assert rows.fetchone() is not None
        with engine.begin() as other:
            other.execute(text(ONE))
        with pytest.raises(StoreBusy, match="are being read") as caught:
            connection.execute(text("DELETE FROM gage"))
        assert "SERIALIZABLE" in caught.value.hint
        rows.close()
        connection.execute(text("DELETE FROM gage"))


def test_bulk_writing_of_many_at_once_counts_as_the_file_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUSY_TIMEOUT", 30.0)
    together = Barrier(4)

    def work(writer: int) -> tuple[int, int]:
        together.wait()
        inserted = made = 0
        for number in range(20):
            inserted += upsert(engine, Gage, [{"number": f"u{number}", "altitude": writer}]).inserted
            made += get_or_create(engine, Gage, {"number": f"g{number}"}, {"altitude": writer})[1]
            bulk_insert(engine, Gage, [{"number": f"b{writer}-{number}", "altitude": 1}])
        return inserted, made

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    assert (sum(each[0] for each in done), sum(each[1] for each in done)) == (20, 20)
    assert len(find(engine, Gage)) == 2 + 20 + 20 + 80


# --- what a pool keeps ----------------------------------------------------------------------------


def read_only(engine: Engine) -> None:
    """Read as `penstock.query` does on an engine, and fail to write."""
    find(engine, Gage)
    paginate_keyset(engine, select(Gage.number), order_by=[Gage.number], per_page=1)
    reading = engine.execution_options(penstock_readonly=True)
    with reading.connect() as connection, pytest.raises(DBAPIError, match="readonly"):
        connection.execute(text(ONE))


def vacuum(engine: Engine) -> None:
    """Write outside of a transaction."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM"))
        connection.execute(text("DELETE FROM gage"))


def forbid(engine: Engine) -> None:
    """Leave a connection that forbids writing."""
    with engine.connect() as connection:
        connection.execute(text("PRAGMA query_only=ON"))


def with_the_driver(engine: Engine) -> None:
    """Write with a cursor of the driver's, past SQLAlchemy."""
    raw = engine.raw_connection()
    raw.cursor().execute("DELETE FROM gage")
    raw.commit()
    raw.close()


def plainly(engine: Engine) -> None:
    """Write in a transaction."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM gage"))


@pytest.mark.parametrize("after", [vacuum, with_the_driver, plainly, read_only])
@pytest.mark.parametrize("before", [read_only, vacuum, forbid])
def test_what_a_connection_was_used_for_is_not_felt_by_the_next_one_who_has_it(
    engine: Engine, before: Callable[[Engine], None], after: Callable[[Engine], None]
) -> None:
    before(engine)
    after(engine)
    after(engine)
    assert len(find(engine, Gage)) == (2 if {before, after} <= {read_only, forbid} else 0)


def test_the_same_holds_of_async_engines(stores: Stores, lab: type[App]) -> None:
    async def work() -> None:
        engine = lab.gages.aio.engine
        for options in ({"penstock_readonly": True}, {"isolation_level": "AUTOCOMMIT"}) * 2:
            async with engine.execution_options(**options).connect() as connection:
                await connection.execute(select(Gage))
                if "isolation_level" in options:
                    await connection.execute(text("VACUUM"))
        async with engine.connect() as connection:
            await connection.execute(text(ONE))
            await connection.rollback()
        await engine.dispose()

    asyncio.run(work())
    assert count(lab.gages) == 2


# --- who is waited for ----------------------------------------------------------------------------


def test_who_is_waited_for_in_vain_is_named(stores: Stores, lab: type[App], engine: Engine) -> None:
    with lab.gages.session() as left_open:
        left_open.add(Gage(number="new", altitude=1))
        left_open.flush()
        with pytest.raises(StoreBusy) as caught:
            get_or_create(engine, Gage, {"number": "other"}, {"altitude": 1})
    assert "lab:gages can't be written to" in str(caught.value)
    assert f"{__file__}:" in caught.value.why
    assert "in test_who_is_waited_for_in_vain_is_named" in caught.value.why
    assert "(thread MainThread)" in caught.value.why


def test_a_task_that_is_waited_for_in_vain_is_named(stores: Stores, lab: type[App], engine: Engine) -> None:
    async def work() -> None:
        async with lab.gages.aio.session() as left_open:
            left_open.add(Gage(number="new", altitude=1))
            await left_open.flush()
            with pytest.raises(StoreBusy) as caught:
                async with lab.gages.aio.begin() as session:
                    await session.execute(text("DELETE FROM gage"))
        assert "(task the first)" in caught.value.why
        assert f"{__file__}:" in caught.value.why
        assert " in work," in caught.value.why

    async def named() -> None:
        await asyncio.create_task(work(), name="the first")

    asyncio.run(named())


WRITER = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
print("begun", flush=True)
sys.stdin.read()
"""


def test_another_process_that_is_waited_for_in_vain_is_named(
    stores: Stores, lab: type[App], engine: Engine
) -> None:
    file = stores.address(lab, "gages").database_address
    path = str(files.path_of(file))
    command = [sys.executable, "-c", WRITER, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(StoreBusy) as caught:
            bulk_insert(engine, Gage, [{"number": "new", "altitude": 1}])
        other.communicate("")
    assert caught.value.why == f"It is of process {other.pid}."


def test_a_session_collected_as_garbage_is_not_named(stores: Stores, lab: type[App], engine: Engine) -> None:
    session = lab.gages.sessionmaker()
    session.add(Gage(number="new", altitude=1))
    session.flush()
    del session
    gc.collect()
    file = sqlite3.connect(files.path_of(stores.address(lab, "gages").database_address), isolation_level=None)
    file.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy) as caught:
        bulk_insert(engine, Gage, [{"number": "new", "altitude": 1}])
    file.close()
    assert "session of lab:gages" not in caught.value.why


# --- all of them at once --------------------------------------------------------------------------


def check_shared(folder: Path, seconds: float) -> None:
    """Eight read and four write; nothing may fail, nothing may be lost."""
    tally = share(str(folder), seconds)
    assert tally.failed == []
    assert tally.reads
    rows = written(str(folder))
    assert len(rows) == 4
    assert all(value == lines == different for _, value, lines, different in rows)
    assert sum(value for _, value, _, _ in rows) == tally.writes


def test_threads_tasks_and_processes_share_a_store(tmp_path: Path) -> None:
    check_shared(tmp_path, 1.5)


@pytest.mark.soak
def test_threads_tasks_and_processes_share_a_store_for_a_minute(tmp_path: Path) -> None:
    check_shared(tmp_path, 60)
