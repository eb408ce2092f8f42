"""What is read from a connection is whole, and what is written to it meanwhile."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from penstock.errors import NotSupported, NotWritable, RowRefused
from penstock.query import Written, bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_doors import Doors
    from fix_servers import TestServer

METADATA = MetaData()
SOURCE, TARGET = (
    Table(
        name,
        METADATA,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("n", Integer, nullable=False),
    )
    for name in ("source", "target")
)
MANY = 600
VERBS: dict[str, Callable[[Any, Any], Any]] = {
    "bulk_insert": lambda on, rows: bulk_insert(on, TARGET, rows),
    "upsert": lambda on, rows: upsert(on, TARGET, rows),
    "bulk_update": lambda on, rows: bulk_update(on, TARGET, rows),
    "get_or_create_many": lambda on, rows: get_or_create_many(on, TARGET, rows),
}
WRITERS = VERBS | {
    "get_or_create": lambda on, rows: [get_or_create(on, TARGET, {"id": row["id"]}, row) for row in rows]
}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read a hundred at a time, so that few are many blocks."""
    monkeypatch.setattr("penstock.query.blocks._ROWS", 100)


def rows(*numbers: int, n: int | None = 1) -> list[dict[str, Any]]:
    return [{"id": number, "n": n} for number in numbers]


def written(verb: str) -> list[dict[str, Any]]:
    """Rows for a verb, where there is a row 7."""
    return rows(8, n=3) if verb == "bulk_insert" else rows(7, 8, n=3)


def in_turn(session: Session, verbs: Any = WRITERS) -> Iterator[str]:
    """One verb after the other, each in an empty table."""
    for verb in verbs:
        session.execute(delete(TARGET))
        session.commit()
        yield verb


def stored(session: Session) -> dict[int, int]:
    return {row.id: row.n for row in session.execute(select(TARGET))}


def filled(session: Session) -> None:
    session.execute(insert(SOURCE), rows(*range(MANY)))
    session.commit()


def stream(session: Session, table: Table = SOURCE, first: int = 0) -> Iterator[dict[str, Any]]:
    """Rows that are read from the server while they are asked for, from now on."""
    found = session.execute(select(table), execution_options={"yield_per": 10})
    return ({"id": row.id + first, "n": 2} for row in found)


def late(session: Session) -> Iterator[dict[str, Any]]:
    """The same, from the first time that they are asked for."""
    yield from stream(session)


def in_the_middle(session: Session) -> Iterator[dict[str, Any]]:
    """The same, after a block of others."""
    yield from rows(*range(-150, 0), n=2)
    yield from stream(session)


# --- streams --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("opened", [stream, late, in_the_middle])
def test_a_stream_of_the_session_is_written_to_its_end(
    door_to: Doors, opened: Callable[[Session], Iterator[dict[str, Any]]]
) -> None:
    def work(session: Session) -> None:
        filled(session)
        for verb in in_turn(session, VERBS):
            if verb == "bulk_update":
                session.execute(insert(TARGET), rows(*range(-150, MANY)))
            VERBS[verb](session, opened(session))
            first = -150 if opened is in_the_middle else 0
            assert {id_ for id_, n in stored(session).items() if n == 2} == set(range(first, MANY))

    door_to(METADATA).do(work)


@pytest.mark.usefixtures("small_blocks")
def test_a_stream_of_the_table_that_is_written_has_the_rows_that_were_there(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.execute(insert(TARGET), rows(*range(300)))
        assert bulk_insert(session, TARGET, stream(session, TARGET, 1000)) == Written(inserted=300)

    door_to(METADATA).do(work)


def test_a_stream_that_is_open_besides_loses_no_row(door_to: Doors) -> None:
    def work(session: Session) -> None:
        filled(session)
        for verb in in_turn(session):
            besides = stream(session)
            seen = [next(besides)]
            with suppress(NotSupported):
                WRITERS[verb](session, rows(1))
            assert len([*seen, *besides]) == MANY
            WRITERS[verb](session, rows(2))  # Now it is read to its end.

    door_to(METADATA).do(work)


@pytest.mark.parametrize("door_to", ["mariadb", "asyncmy-async"], indirect=True)
def test_mariadb_refuses_to_write_while_a_stream_that_is_not_written_is_open(door_to: Doors) -> None:
    def work(session: Session) -> None:
        filled(session)
        for write in WRITERS.values():
            besides = stream(session)
            next(besides)
            with pytest.raises(NotSupported, match="yield_per"):
                write(session, rows(1))
            assert len(list(besides)) == MANY - 1
        assert stored(session) == {}

    door_to(METADATA).do(work)


@pytest.mark.usefixtures("small_blocks")
def test_rows_that_are_refused_while_a_stream_is_read_leave_nothing(door_to: Doors) -> None:
    def work(session: Session) -> None:
        filled(session)
        with pytest.raises(RowRefused, match=f"Row {MANY} of target"):
            bulk_insert(
                session, TARGET, (row for part in (stream(session), rows(5000, n=None)) for row in part)
            )
        assert stored(session) == {}

    door_to(METADATA).do(work)


# --- autocommit -----------------------------------------------------------------------------------


def automatic(session: Session, how: str) -> Any:
    """Something to write on, in autocommit; the session's transaction has ended."""
    session.commit()
    engine = session.get_bind(clause=TARGET)
    assert isinstance(engine, Engine)
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    return {"engine": lambda: alone, "connection": alone.connect, "session": lambda: Session(alone)}[how]()


@pytest.mark.parametrize("how", ["engine", "connection", "session"])
def test_in_autocommit_all_rows_are_stored_or_none(door_to: Doors, how: str) -> None:
    def work(session: Session) -> None:
        for verb in in_turn(session):
            session.execute(insert(TARGET), rows(7))
            on = automatic(session, how)
            bad = [*rows(*range(1_200)), {"id": 9_000, "n": None}]
            if verb == "bulk_update":
                bad[-1] = {"id": 7, "n": None}
            if verb != "get_or_create":
                with pytest.raises((RowRefused, DBAPIError)):
                    WRITERS[verb](on, bad)
                assert stored(session) == {7: 1}
                session.commit()
            WRITERS[verb](on, written(verb))
            if how != "engine":
                on.close()
            assert set(stored(session)) == ({7} if verb == "bulk_update" else {7, 8})

    door_to(METADATA).do(work)


def test_in_autocommit_rows_of_several_shapes_are_got_or_created_all_or_none(door_to: Doors) -> None:
    def work(session: Session) -> None:
        on = automatic(session, "engine")
        with pytest.raises((RowRefused, DBAPIError)):
            get_or_create_many(on, TARGET, [*rows(1, 2), {"id": 3}])
        assert stored(session) == {}

    door_to(METADATA).do(work)


def test_a_transaction_that_an_app_begins_in_autocommit_stays_its_own(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for verb in in_turn(session):
            session.execute(insert(TARGET), rows(7, n=5))
            with automatic(session, "connection") as connection:
                connection.exec_driver_sql("BEGIN")
                WRITERS[verb](connection, written(verb))
                connection.exec_driver_sql("ROLLBACK")
            assert stored(session) == {7: 5}

    door_to(METADATA).do(work)


AUTOMATIC: dict[str, dict[str, Any]] = {
    "sqlite": {"isolation_level": None},
    "postgresql": {"autocommit": True},
    "mariadb": {"autocommit": True},
}


@pytest.mark.parametrize("by", ["driver", "engine"])
def test_what_is_written_on_an_engine_that_was_made_for_autocommit_is_stored(
    ground: TestServer, by: str
) -> None:
    ground.make_database("alone")
    url = ground.address_of("alone")
    how: dict[str, Any] = (
        {"connect_args": AUTOMATIC[ground.kind]} if by == "driver" else {"isolation_level": "AUTOCOMMIT"}
    )
    url = url.replace("postgresql://", "postgresql+psycopg://").replace("mariadb://", "mariadb+pymysql://")
    engine, beside = create_engine(url, **how), create_engine(url)
    METADATA.create_all(beside)
    for verb in WRITERS:
        with beside.begin() as connection:
            connection.execute(delete(TARGET))
        bulk_insert(beside, TARGET, rows(7))
        with pytest.raises(RowRefused):
            bulk_insert(engine, TARGET, [*rows(1, 2), {"id": 3, "n": None}])
        WRITERS[verb](engine, written(verb))
        with beside.connect() as connection:
            expected = 1 if verb == "bulk_update" else 2
            assert connection.scalar(select(func.count()).select_from(TARGET)) == expected
    engine.dispose()
    beside.dispose()


def test_no_transaction_of_sqlite_is_begun_for_rows_that_are_only_read(sqlite_ground: TestServer) -> None:
    sqlite_ground.make_database("plain")
    engine = create_engine(sqlite_ground.address_of("plain"))
    METADATA.create_all(engine)
    bulk_insert(engine, TARGET, rows(1))
    with engine.connect() as connection:
        assert [new for _, new in get_or_create_many(connection, TARGET, rows(1))] == [False]
        raw: Any = connection.connection.driver_connection
        assert not raw.in_transaction
    engine.dispose()


# --- transactions in which nothing can be written -------------------------------------------------

ONLY_READS = {
    "sqlite": "PRAGMA query_only=ON",
    "postgresql": "SET TRANSACTION READ ONLY",
    "mariadb": "START TRANSACTION READ ONLY",
}


def test_a_transaction_that_only_reads_is_said_to(door_to: Doors) -> None:
    door = door_to(METADATA)

    def work(session: Session) -> None:
        for verb in in_turn(session):
            bulk_insert(session, TARGET, rows(7))
            session.commit()
            session.connection().exec_driver_sql(ONLY_READS[door.ground.kind])
            with pytest.raises(NotWritable, match="target can't be written in this transaction"):
                WRITERS[verb](session, [{"id": 7, "n": 2}] if verb == "bulk_update" else rows(8))
            session.rollback()
            if door.ground.kind in {"sqlite"}:
                session.connection().exec_driver_sql("PRAGMA query_only=OFF")
            assert stored(session) == {7: 1}

    door.do(work)


def test_a_savepoint_of_the_callers_takes_rows_back(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for verb in in_turn(session):
            bulk_insert(session, TARGET, rows(7))
            with session.begin_nested() as attempt:
                WRITERS[verb](session, written(verb))
                attempt.rollback()
            assert stored(session) == {7: 1}
            with session.begin_nested():
                WRITERS[verb](session, written(verb))
            assert set(stored(session)) == ({7} if verb == "bulk_update" else {7, 8})

    door_to(METADATA).do(work)
