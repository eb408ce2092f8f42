"""Rows are written in transactions of every kind, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fix_servers import running_server
from penstock.errors import NotSupported, NotWritable
from penstock.query import bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from fix_doors import Doors
    from fix_servers import TestServer

METADATA = MetaData()
GAGE = Table(
    "gage", METADATA, Column("id", Integer, primary_key=True, autoincrement=False), Column("n", Integer)
)
WRITERS: dict[str, Callable[[Any, Any], Any]] = {
    "bulk_insert": lambda on, row: bulk_insert(on, GAGE, [row]),
    "nothing": lambda on, row: bulk_insert(on, GAGE, [row], on_conflict="nothing"),
    "upsert": lambda on, row: upsert(on, GAGE, [row]),
    "bulk_update": lambda on, row: bulk_update(on, GAGE, [row]),
    "get_or_create": lambda on, row: get_or_create(on, GAGE, {"id": row["id"]}, row),
    "get_or_create_many": lambda on, row: get_or_create_many(on, GAGE, [row, {"id": row["id"] + 100}]),
}


@pytest.fixture(scope="module")
def preparing() -> Iterator[Engine]:
    """A PostgreSQL on which transactions can be prepared."""
    with running_server() as server:
        with server.connect() as connection:
            connection.execute("ALTER SYSTEM SET max_prepared_transactions = 5")
            connection.execute("CREATE DATABASE prepared OWNER penstock")
        server.stop()
        server.start()
        url = server.address_of("prepared").replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url)
        METADATA.create_all(engine)
        yield engine
        engine.dispose()


@pytest.fixture
def xa(mariadb_ground: TestServer) -> Iterator[Engine]:
    """A MariaDB, where they always can."""
    mariadb_ground.make_database("prepared")
    url = mariadb_ground.address_of("prepared").replace("mariadb://", "mariadb+pymysql://")
    engine = create_engine(url)
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture(params=["preparing", "xa"])
def two_phase(request: pytest.FixtureRequest) -> Engine:
    """Each of them."""
    engine: Engine = request.getfixturevalue(request.param)
    return engine


def ids(connection: Connection) -> set[int]:
    return {id_ for (id_,) in connection.execute(text("SELECT id FROM gage"))}


@pytest.mark.parametrize("verb", WRITERS)
def test_what_is_written_in_two_phases_is_stored(two_phase: Engine, verb: str) -> None:
    with two_phase.begin() as connection:
        connection.execute(GAGE.delete())
        bulk_insert(connection, GAGE, [{"id": 1, "n": 1}])
    with Session(two_phase, twophase=True) as session:
        WRITERS[verb](session, {"id": 1 if verb == "bulk_update" else 2, "n": 3})
        session.prepare()
        session.commit()
    with two_phase.connect() as connection:
        assert ids(connection) - {102} == ({1} if verb == "bulk_update" else {1, 2})


@pytest.mark.parametrize("verb", WRITERS)
def test_nothing_is_written_beside_a_prepared_transaction(two_phase: Engine, verb: str) -> None:
    with two_phase.begin() as connection:
        connection.execute(GAGE.delete())
    with two_phase.connect() as connection:
        transaction = connection.begin_twophase()
        bulk_insert(connection, GAGE, [{"id": 1, "n": 1}])
        transaction.prepare()
        with pytest.raises(NotWritable, match="prepared"):
            WRITERS[verb](connection, {"id": 2, "n": 3})
        transaction.commit()
    with two_phase.connect() as connection:
        assert ids(connection) == {1}


@pytest.mark.parametrize("verb", WRITERS)
def test_rows_are_refused_in_a_pipeline(postgresql_ground: TestServer, verb: str) -> None:
    postgresql_ground.make_database("piped")
    url = postgresql_ground.address_of("piped").replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        raw: Any = connection.connection.driver_connection
        with raw.pipeline(), pytest.raises(NotSupported, match="pipeline"):
            WRITERS[verb](connection, {"id": 2, "n": 3})
        WRITERS[verb](connection, {"id": 2, "n": 3})
    engine.dispose()


@pytest.mark.parametrize("door_to", ["postgresql", "psycopg-async", "asyncpg-async"], indirect=True)
def test_a_transaction_that_has_failed_is_said_to(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for write in WRITERS.values():
            with pytest.raises(DBAPIError):
                session.connection().exec_driver_sql("SELECT nonsense")
            with pytest.raises(NotWritable, match=r"(?s)gage can't be written.*Roll it back"):
                write(session, {"id": 2, "n": 3})
            session.rollback()
            write(session, {"id": 2, "n": 3})
            session.rollback()

    door_to(METADATA).do(work)
