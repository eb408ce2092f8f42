"""Rows in MariaDB: what only its ways of writing them can get wrong."""

from __future__ import annotations

import asyncio
import enum
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from sqlalchemy import (
    JSON,
    URL,
    Column,
    Date,
    Enum,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    insert,
    select,
)
from sqlalchemy.dialects.mysql import BIGINT, BIT, DATETIME, DOUBLE, TIME
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from fix_apps import Gage
from fix_hostile import hostile
from penstock.backends.mysql.sending import send_file
from penstock.errors import RowRefused
from penstock.query import (
    Written,
    bulk_insert,
    bulk_update,
    exists,
    find,
    get_or_create,
    get_or_create_many,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from fix_mariadb import MariaDBServer
    from fix_servers import TestServer
    from penstock import App, Stores

METADATA = MetaData()
GAGE = Table(
    "gage",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("site", String(20), nullable=False),
    Column("altitude", DOUBLE),
    UniqueConstraint("site", name="gage_site"),
)


class Kind(enum.Enum):
    STREAM = "stream"
    LAKE = "lake"


def everything(name: str, *more: Column[Any]) -> Table:
    """A table with a column of each kind."""
    return Table(
        name,
        METADATA,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("text", Text),
        Column("exact", Numeric(20, 6)),
        Column("real", DOUBLE(asdecimal=False)),
        Column("large", BIGINT(unsigned=True)),
        Column("day", Date),
        Column("moment", DATETIME(fsp=6)),
        Column("clock", TIME(fsp=6)),
        Column("document", JSON),
        Column("kind", Enum(Kind)),
        Column("data", LargeBinary),
        *more,
    )


LOADED, SENT = everything("loaded"), everything("sent", Column("bits", BIT(8)))
TEXTS = [
    *("", "\\", "\\N", "a\tb\nc\rd", 'it\'s "so"', "NUL\0NUL", "\x1a", "\uffff", "\U0001f40b%s%%"),
    *("\\' OR 1 --", " x ", "\\\t", "'"),
]


def row(number: int) -> dict[str, Any]:
    """A row of everything, where each value is missing now and then."""
    made: dict[str, Any] = {
        "text": TEXTS[number % len(TEXTS)],
        "exact": Decimal(number) / 7,
        "real": number / 3,
        "large": 2**64 - 1 - number,
        "day": date(1000 + number, 1, 31),
        "moment": datetime(2000, 1, 1, 1, 2, 3, number),  # noqa: DTZ001  (of any time zone)
        "clock": timedelta(hours=-number % 800, microseconds=number),
        "document": {"text": TEXTS[number % len(TEXTS)], "list": [1, None]},
        "kind": Kind.LAKE,
        "data": bytes(range(256)) if number % 2 else b"",
    }
    given = {
        name: None if (number + place) % 5 == 0 else value for place, (name, value) in enumerate(made.items())
    }
    return {"id": number, **given}


@pytest.fixture
def server(mariadb: MariaDBServer) -> MariaDBServer:
    """A server with a database in which there are empty tables."""
    mariadb.run("CREATE DATABASE rivers CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
    with user_engine(mariadb) as engine:
        METADATA.create_all(engine)
    return mariadb


def address(server: MariaDBServer, driver: str = "pymysql", **query: str) -> URL:
    return URL.create(
        f"mariadb+{driver}",
        "penstock_admin",
        server.password_file.read_text(),
        "127.0.0.1",
        server.port,
        "rivers",
        query=query,
    )


@contextmanager
def user_engine(server: MariaDBServer, *, load: bool = False, **options: Any) -> Iterator[Engine]:
    """An engine that is none of Penstock's."""
    engine = create_engine(address(server, **({"local_infile": "1"} if load else {})), **options)
    yield engine
    engine.dispose()


@pytest.fixture(params=[False, True], ids=["sent", "loaded"])
def engine(server: MariaDBServer, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that may load files, and one that may not."""
    with user_engine(server, load=request.param) as engine:
        yield engine


def loads(connection: Connection) -> int:
    """How many files the session has loaded."""
    return int(connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Com_load'").one()[1])


def sites(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "site": f"site {number}"} for number in numbers]


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [LOADED, SENT], ids=str)
def test_whatever_is_in_a_value_is_stored_as_sqlalchemy_stores_it(engine: Engine, table: Table) -> None:
    given = [row(number) | ({"bits": number % 256} if table is SENT else {}) for number in range(600)]
    with engine.connect() as connection:
        connection.execute(insert(table), given)
        expected = connection.execute(select(table).order_by(table.c.id)).all()
        connection.rollback()
        bulk_insert(connection, table, given)
        assert connection.execute(select(table).order_by(table.c.id)).all() == expected
        may = engine.url.query.get("local_infile") == "1"
        assert loads(connection) == (may and table is LOADED)
        assert bulk_update(connection, table, given) == Written(updated=600)
        assert connection.execute(select(table).order_by(table.c.id)).all() == expected
        connection.rollback()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"real": float("nan")}, "NaN is no value for real"),
        ({"real": float("inf")}, "Infinity is no value for real"),
        ({"text": "\ud800"}, "a str is no value for text"),
        ({"text": object()}, "an object is no value for text"),
        ({"exact": Decimal(10) ** 15}, "for its exact"),
        ({"large": -1}, "for its large"),
        ({"large": "many"}, "for its large"),
        ({"day": "2001-02-30"}, "for its day"),
        ({"id": None}, "for its id"),
        ({"id": 5}, "for its PRIMARY"),
    ],
)
def test_a_value_that_can_not_be_stored_is_refused_and_never_changed(
    engine: Engine, bad: dict[str, Any], why: str
) -> None:
    given = [row(number) for number in range(700)]
    given[650] |= bad
    with engine.connect() as connection:
        bulk_insert(connection, GAGE, sites(1))
        with pytest.raises(RowRefused, match="Row 650 of loaded can't be stored") as refused:
            bulk_insert(connection, LOADED, given)
        assert why in refused.value.what
        assert not exists(connection, LOADED)
        assert exists(connection, GAGE)


def test_texts_that_are_too_long_are_refused(engine: Engine) -> None:
    given = [
        {"id": number, "site": f"{number}".rjust(21 if number == 600 else 20, "x")}
        for number in range(1, 700)
    ]
    with pytest.raises(RowRefused, match="Row 599 of gage can't be stored for its site"):
        bulk_insert(engine, GAGE, given)
    assert not exists(engine, GAGE)


def test_notes_of_the_server_are_no_reason_to_send_rows_again(server: MariaDBServer) -> None:
    given = [{"id": number, "exact": Decimal(1) / 3 if number == 7 else None} for number in range(500)]
    with user_engine(server, load=True) as engine, engine.connect() as connection:
        bulk_insert(connection, LOADED, given)
        assert loads(connection) == 1
        assert find(connection, LOADED, {"id": 7})[0].exact == Decimal("0.333333")


# --- loading --------------------------------------------------------------------------------------


def test_where_the_server_forbids_it_nothing_is_loaded(server: MariaDBServer) -> None:
    server.run("SET GLOBAL local_infile = 0")
    try:
        with user_engine(server, load=True) as engine, engine.connect() as connection:
            assert bulk_insert(connection, GAGE, sites(*range(1, 900))).inserted == 899
            assert loads(connection) == 0
    finally:
        server.run("SET GLOBAL local_infile = 1")


def test_a_server_that_asks_for_another_file_gets_the_rows() -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=hostile, args=(listening, seen))
        thread.start()
        raw = pymysql.connect(
            host="127.0.0.1", port=listening.getsockname()[1], user="u", password="p", local_infile=True
        )
        send_file(raw, "LOAD DATA LOCAL INFILE 'x' INTO TABLE t", [b"1\tours\n", b"2\tours\n"])
        thread.join()
        raw._force_close()  # type: ignore[attr-defined]
    assert seen == [b"1\tours\n", b"2\tours\n"]


def test_a_store_loads_files_if_the_services_address_allows_it(
    mariadb_ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    for url, loaded in ((mariadb_ground.url, 0), (f"{mariadb_ground.url}?local_infile=1", 1)):
        service = replace(mariadb_ground.service, url=url)
        stores = stores_on(replace(mariadb_ground, service=service), lab)
        assert stores.sync(lab, ["gages"])[0].error is None
        with stores.engine(lab, "gages").connect() as connection:
            given = [{"number": f"{loaded} {number}", "altitude": 1.0} for number in range(500)]
            bulk_insert(connection, Gage, given)
            assert loads(connection) == loaded
        stores.close()


def test_geometries_are_stored_as_geoalchemy_stores_them(server: MariaDBServer) -> None:
    geoalchemy2 = pytest.importorskip("geoalchemy2")
    place = geoalchemy2.Geometry("POINT", srid=4326, spatial_index=False)
    dam = Table("dam", MetaData(), Column("id", Integer, primary_key=True), Column("place", place))
    points = [(1, "POINT(1 2)"), (2, "SRID=4326;POINT(3 4)"), (3, None)]
    with user_engine(server, load=True) as engine, engine.connect() as connection:
        dam.create(connection)
        assert bulk_insert(connection, dam, points, columns=("id", "place")) == Written(3)
        assert upsert(connection, dam, [(3, "POINT(5 6)")], columns=("id", "place")) == Written(0, 1)
        assert bulk_update(connection, dam, [(1, "POINT(7 8)")], columns=("id", "place")).updated == 1
        found = connection.exec_driver_sql(
            "SELECT ST_AsText(place), ST_SRID(place) FROM dam ORDER BY id"
        ).all()
        assert found == [("POINT(7 8)", 4326), ("POINT(3 4)", 4326), ("POINT(5 6)", 4326)]


# --- another key in the way -----------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", ["nothing", "update"])
def test_a_row_that_another_unique_key_meets_is_refused(engine: Engine, on_conflict: str) -> None:
    bulk_insert(engine, GAGE, sites(1, 2))
    given = [*sites(3), {"id": 4, "site": "site 1"}]
    with pytest.raises(RowRefused, match=r"Row 1 of gage can't be stored") as refused:
        bulk_insert(engine, GAGE, given, on_conflict=on_conflict)
    assert isinstance(refused.value.__cause__, IntegrityError)
    with pytest.raises(RowRefused):
        bulk_insert(engine, GAGE, [{"id": 1, "site": "site 9"}], on_conflict=on_conflict, key=("site",))
    with pytest.raises(IntegrityError):
        get_or_create_many(engine, GAGE, [{"id": 1, "site": "site 9"}], key=("site",))
    assert [(each.id, each.site) for each in find(engine, GAGE, order_by=GAGE.c.id)] == [
        (1, "site 1"),
        (2, "site 2"),
    ]
    by_site = [{"site": "site 2", "altitude": 2.0}, {"site": "site 5", "altitude": 5.0}]
    assert bulk_insert(engine, GAGE, by_site, on_conflict=on_conflict, key=("site",)).inserted == 1


def test_keys_are_equal_where_the_columns_collation_says_so(server: MariaDBServer) -> None:
    server.run("ALTER TABLE rivers.gage CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    given = [{"site": site, "altitude": float(n)} for n, site in enumerate(("b", "A", "c", "a", "B "))]
    with user_engine(server) as engine, engine.connect() as connection:
        assert bulk_insert(connection, GAGE, given, on_conflict="nothing", key=("site",)) == Written(3, 0, 2)
        assert [each.altitude for each in find(connection, GAGE, order_by=GAGE.c.site)] == [1, 0, 2]
        assert upsert(connection, GAGE, given, key=("site",)) == Written(0, 3, 2)
        assert bulk_update(connection, GAGE, given[:4], key=("site",)) == Written(0, 3, 1)
        assert [each.altitude for each in find(connection, GAGE, order_by=GAGE.c.site)] == [3, 0, 2]
        moments = [(number, datetime(2000, 1, 1, 0, 0, 0, number)) for number in (1, 2)]  # noqa: DTZ001
        assert upsert(connection, LOADED, moments, columns=("id", "moment"), key=("id",)).inserted == 2


# --- other sessions -------------------------------------------------------------------------------


def test_what_others_committed_meanwhile_is_got_in_a_repeatable_read(server: MariaDBServer) -> None:
    with user_engine(server, isolation_level="REPEATABLE READ") as engine, engine.connect() as connection:
        assert not exists(connection, GAGE)
        bulk_insert(engine, GAGE, sites(1, 2))
        assert not exists(connection, GAGE)
        found, created = get_or_create(connection, GAGE, {"site": "site 1"})
        assert (found.id, created) == (1, False)
        got = get_or_create_many(connection, GAGE, sites(3, 2))
        assert [(each.id, created) for each, created in got] == [(3, True), (2, False)]
        assert upsert(connection, GAGE, sites(1, 4)) == Written(1, 1)
        connection.commit()


WRITER = """
import random, sys
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine
from penstock.query import bulk_insert
engine = create_engine(sys.argv[1], isolation_level="READ COMMITTED")
table = Table("gage", MetaData(), Column("id", Integer, primary_key=True), Column("site", String(20)))
shuffled = random.Random(sys.argv[2])
inserted = 0
for batch in range(50):
    keys = list(range(batch * 40 + 1, batch * 40 + 401))
    shuffled.shuffle(keys)
    rows = [{"id": key * 7919 % 100003, "site": key} for key in keys]
    inserted += bulk_insert(engine, table, rows, on_conflict=sys.argv[3], key=(sys.argv[4],)).inserted
print(inserted)
"""


@pytest.mark.parametrize("key", ["id", "site"])
def test_d4_processes_that_write_the_same_keys_insert_each_once(server: MariaDBServer, key: str) -> None:
    url = address(server).render_as_string(hide_password=False)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(number), ("nothing", "update")[number % 2], key],
            stdout=subprocess.PIPE,
        )
        for number in range(8)
    ]
    inserted = sum(int(writer.communicate()[0]) for writer in writers)
    assert [writer.returncode for writer in writers] == [0] * 8
    assert inserted == server.run("SELECT COUNT(*) FROM rivers.gage")[0][0] == 49 * 40 + 400


def await_waiting(server: MariaDBServer) -> None:
    """Return when a transaction waits for a lock."""
    waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    while not server.run(waiting):
        time.sleep(0.2)  # What is asked for more often than every 0.1 s is never looked at anew.


@contextmanager
def in_each_others_way(
    server: MariaDBServer, writer: Thread, engine: Engine, altitude: float
) -> Iterator[None]:
    """The writer waits for site 1, and another, that has done more, for what the writer has."""
    with engine.begin() as other:
        upsert(other, GAGE, [{**each, "altitude": altitude} for each in sites(2, *range(10, 200))])
        writer.start()
        await_waiting(server)
        upsert(other, GAGE, [{**each, "altitude": altitude} for each in sites(1)])
    writer.join()
    yield


def test_a_deadlock_ends_a_callers_transaction_and_is_tried_again_on_an_engine(server: MariaDBServer) -> None:
    seen: list[Any] = []

    def on_engine() -> None:
        seen.append(upsert(engine, GAGE, [{**each, "altitude": 2.0} for each in sites(1, 2)]))

    def on_connection() -> None:
        with engine.connect() as connection:
            try:
                upsert(connection, GAGE, [{**each, "altitude": 3.0} for each in sites(1, 2)])
            except OperationalError as error:
                seen.append(error.orig.args[0])  # type: ignore[union-attr]
                assert not connection.in_transaction()

    with user_engine(server, isolation_level="READ COMMITTED") as engine:
        bulk_insert(engine, GAGE, sites(1, 2, *range(10, 200)))
        with in_each_others_way(server, Thread(target=on_engine), engine, 1.0):
            assert seen == [Written(updated=2)]
        with in_each_others_way(server, Thread(target=on_connection), engine, 4.0):
            assert seen[1:] == [1213]
        assert {each.altitude for each in find(engine, GAGE, {"id": [1, 2]})} == {4.0}


def test_rows_are_written_through_an_asynchronous_driver(server: MariaDBServer) -> None:
    async def run() -> None:
        engine = create_async_engine(address(server, "asyncmy"))
        async with AsyncSession(engine) as session:
            given = [row(number) for number in range(600)]
            assert await session.run_sync(bulk_insert, LOADED, given) == Written(600)
            assert await session.run_sync(upsert, LOADED, given) == Written(0, 600)
            assert await session.run_sync(bulk_update, LOADED, given) == Written(0, 600)
            texts = await session.run_sync(find, LOADED, order_by=LOADED.c.id)
            assert [each.text for each in texts] == [each["text"] for each in given]
            with pytest.raises(RowRefused, match="Row 1 of loaded can't be stored for its exact"):
                await session.run_sync(bulk_insert, LOADED, [row(1000), {"id": 1001, "exact": 10**15}])
            assert (await session.run_sync(get_or_create, GAGE, {"site": "a"}))[1]
            assert not (await session.run_sync(get_or_create, GAGE, {"site": "a"}))[1]
        await engine.dispose()

    asyncio.run(run())
