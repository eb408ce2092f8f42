"""What only MariaDB does: addresses, sessions, locks, what it can't move."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, func, select, text, update
from sqlalchemy.exc import DBAPIError

from fix_apps import Gage, all_ok, count
from fix_mariadb import limited
from penstock import App, Database, EngineOptions, Stores, use
from penstock.backends import DatabaseAddress, backend_for, parse_url
from penstock.connect import server_of
from penstock.errors import (
    ConfigError,
    InvalidName,
    LoginRefused,
    NotSupported,
    PenstockError,
    PermissionRefused,
    RegistryError,
    ServerError,
    ServerUnreachable,
    StoreBusy,
    StoreNotCreated,
    StoreNotOurs,
)
from penstock.provision.status import Health
from penstock.registry import DatabaseRegistry
from penstock.secrets import Keyring, SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_mariadb import MariaDBServer
    from fix_servers import TestServer


@pytest.fixture
def address(mariadb_ground: TestServer) -> DatabaseAddress:
    """A database that is not there yet."""
    return DatabaseAddress(
        server=server_of(mariadb_ground.service, Keyring()), database="lab_main", label="lab:main"
    )


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("mariadb://a@h", "mariadb+pymysql://a@h"),
        ("mariadb+mysqldb://a@h/d", "mariadb+pymysql://a@h/d"),
        ("mariadb+asyncmy://a@h", "mariadb+asyncmy://a@h"),
        ("mysql://a@h:3307/d?local_infile=1", "mysql+pymysql://a@h:3307/d?local_infile=1"),
        ("mysql2://a@h", "mysql+pymysql://a@h"),
    ],
)
def test_addresses_of_other_spellings_are_understood(written: str, meant: str) -> None:
    assert str(parse_url(written)) == meant


@pytest.mark.parametrize(
    "address",
    ["mariadb://host", "mariadb://a@h?init_command=DROP", "mariadb://a%00@h", "mysql://a@h?autocommit=1"],
)
def test_an_address_that_can_not_be_used_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        parse_url(address)


@pytest.mark.parametrize("name", ["", "a" * 65, "a\0b", "a ", "a\U0001f600"])
def test_a_name_that_no_database_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        backend_for(parse_url("mariadb://a@h")).check_name(name)


@pytest.mark.parametrize("name", ["a b", "A`b", "ü%s", "x" * 64, "semi;colon"])
def test_a_database_of_any_name_is_made_found_and_dropped(address: DatabaseAddress, name: str) -> None:
    backend = backend_for(address.server.login.url)
    odd = replace(address, database=name)
    assert [backend.exists(odd), backend.create(odd), backend.create(odd), backend.exists(odd)] == [
        False, True, False, True,
    ]  # fmt: skip
    with backend.lock(odd, 1):
        assert backend.databases(address.server, name) == [name]
    assert [backend.drop(odd), backend.drop(odd)] == [True, False]


def test_a_lock_is_of_a_database_that_is_there(address: DatabaseAddress) -> None:
    backend = backend_for(address.server.login.url)
    with pytest.raises(StoreNotCreated), backend.lock(address, 1):
        pass


def test_a_lock_that_is_shared_is_had_by_many_and_alone_by_one(address: DatabaseAddress) -> None:
    backend = backend_for(address.server.login.url)
    with (
        backend.named_lock(address.server, "a", shared=True, timeout=1),
        backend.named_lock(address.server, "a", shared=True, timeout=1),
        backend.named_lock(address.server, "b", timeout=1),
    ):
        with pytest.raises(StoreBusy), backend.named_lock(address.server, "a", timeout=0.1):
            pass
        with pytest.raises(StoreBusy), backend.named_lock(address.server, "b", shared=True, timeout=0.1):
            pass
    with backend.named_lock(address.server, "a", timeout=0):
        pass


# --- errors ---------------------------------------------------------------------------------------


def test_t17_a_wrong_password_is_a_login_refused(
    address: DatabaseAddress, tmp_path: Path, mariadb_ground: TestServer
) -> None:
    (tmp_path / "pw").write_text("wrong")
    service = replace(mariadb_ground.service, password=SecretRef("file", str(tmp_path / "pw")))
    with pytest.raises(LoginRefused) as refused:
        backend_for(address.server.login.url).version(server_of(service, Keyring()))
    assert "1045" in refused.value.why


def test_t17_a_server_that_does_not_answer_is_unreachable(mariadb_ground: TestServer) -> None:
    server = server_of(replace(mariadb_ground.service, url=mariadb_ground.nowhere), Keyring())
    with pytest.raises(ServerUnreachable):
        backend_for(server.login.url).version(server)


def test_t17_a_missing_right_and_other_refusals_are_told_apart_by_their_numbers(
    mariadb: MariaDBServer, mariadb_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(limited(mariadb, mariadb_ground, "USAGE ON *.*"), lab)
    [result] = stores.sync(lab, ["gages"])
    assert isinstance(result.error, PermissionRefused)
    assert "user limited@% of service main may not create it" in result.error.why
    mariadb.run("CREATE DATABASE lab_gages")
    mariadb.run("GRANT ALL ON `lab\\_%`.* TO limited WITH MAX_QUERIES_PER_HOUR 3")
    [result] = stores.sync(lab, ["gages"])
    assert type(result.error) is ServerError
    assert "User 'limited' has exceeded the 'max_queries_per_hour' resource" in result.error.why


def test_t20_a_user_who_may_create_nothing_uses_databases_that_were_made_for_it(
    mariadb: MariaDBServer, mariadb_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(limited(mariadb, mariadb_ground, "USAGE ON *.*"), lab)
    [result] = stores.sync(lab, ["gages"])
    assert "GRANT ALL ON `lab\\_gages`.* TO 'limited'@'%'" in result.error.hint
    mariadb.run(result.error.hint.partition(": ")[2])
    mariadb.run("CREATE DATABASE lab_gages")
    all_ok(stores, lab)
    assert stores.store_status(lab, "gages").health is Health.READY


def test_a_registry_is_refused_and_nothing_is_made(mariadb_ground: TestServer) -> None:
    with pytest.raises(RegistryError, match="can't be on such a server"):
        DatabaseRegistry(mariadb_ground.url + "/registry", password=mariadb_ground.service.password)
    assert mariadb_ground.databases() == set()


_TRAP = "BEGIN INSERT INTO ran VALUES ('peek'); RETURN 1; END"


def test_z2_what_stands_in_the_records_place_is_neither_read_nor_run(
    mariadb_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    mariadb_ground.make_database("lab_gages")
    for statement in (
        "CREATE TABLE ran (what text)",
        f"CREATE FUNCTION peek() RETURNS int SQL SECURITY INVOKER {_TRAP}",
        "CREATE SQL SECURITY INVOKER VIEW penstock_store AS SELECT 'lab' AS app, peek() AS store",
    ):
        mariadb_ground.run_sql("lab_gages", statement)
    stores = stores_on(mariadb_ground, lab)
    assert stores.store_status(lab, "gages").health is Health.NOT_OURS
    assert isinstance(stores.sync(lab, ["gages"])[0].error, StoreNotOurs)
    with pytest.raises(PenstockError):
        stores.adopt(lab, "gages")
    with pytest.raises(StoreNotOurs):
        stores.drop(lab, "gages", now=True)
    assert mariadb_ground.run_sql("lab_gages", "SELECT * FROM ran") == []


def test_a_table_that_the_server_can_not_have_is_named(
    mariadb_ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    metadata = MetaData()
    Table("note", metadata, Column("id", Integer, primary_key=True), Column("words", String))

    class Lab(App):
        package = "lab"
        gages = Database(metadata=metadata)

    [result] = stores_on(mariadb_ground, Lab).sync(Lab)
    assert isinstance(result.error, NotSupported)
    assert "'words'" in result.error.why


# --- sessions -------------------------------------------------------------------------------------


def session_of(lab: type[App], statement: str) -> Any:
    """What a session of a store says, for threads and for event loops: it must be the same."""

    async def in_loop() -> Any:
        async with lab.gages.aio.engine.connect() as connection:
            return (await connection.execute(text(statement))).one()

    with lab.gages.engine.connect() as connection:
        found = connection.execute(text(statement)).one()
    assert asyncio.run(in_loop()) == found
    return tuple(found)


@pytest.fixture
def mariadb_stores(mariadb_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]) -> Any:
    """`Stores` in use, whose store `gages` is there."""
    with use(stores_on(mariadb_ground, lab, options=EngineOptions(statement_timeout=0.5))) as stores:
        all_ok(stores, lab)
        yield stores


def test_a_session_is_as_other_servers_are(mariadb_stores: Stores, lab: type[App]) -> None:
    assert session_of(lab, "SELECT @@tx_isolation, @@time_zone, @@collation_database") == (
        "READ-COMMITTED",
        "+00:00",
        "utf8mb4_nopad_bin",
    )
    [modes] = session_of(lab, "SELECT @@sql_mode")
    assert {"STRICT_ALL_TABLES", "SIMULTANEOUS_ASSIGNMENT"} <= set(modes.split(","))
    with lab.gages.begin() as session:
        session.add_all([Gage(number=each, altitude=1) for each in ("a", "A", "a ")])
    assert session_of(lab, "SELECT COUNT(*) FROM gage WHERE number = 'a'") == (1,)


def test_an_update_sets_all_columns_from_what_was_there(mariadb_stores: Stores, lab: type[App]) -> None:
    swap = Table("swap", MetaData(), Column("a", Integer, primary_key=True), Column("b", Integer))
    with lab.gages.engine.begin() as connection:
        swap.create(connection)
        connection.execute(swap.insert(), [{"a": 1, "b": 2}])
        connection.execute(update(swap).values(a=swap.c.b, b=swap.c.a))
        assert connection.execute(select(swap)).one() == (2, 1)


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    mariadb_stores: Stores, lab: type[App]
) -> None:
    with lab.gages.session() as session, pytest.raises(DBAPIError, match="max_statement_time"):
        session.execute(text("SELECT SLEEP(60)"))
    assert count(lab.gages) == 2


def test_a_plain_connection_is_in_no_database(mariadb_stores: Stores, lab: type[App]) -> None:
    with mariadb_stores.connections.engine(lab, "servers").connect() as connection:
        assert connection.execute(select(func.database())).scalar() is None


def test_the_sessions_of_a_dropped_store_are_ended(
    mariadb_stores: Stores, lab: type[App], mariadb: MariaDBServer, mariadb_ground: TestServer
) -> None:
    with mariadb.connect("lab_gages") as mine, mariadb.connect("lab_gages") as busy:
        busy.cursor().execute("BEGIN")
        busy.cursor().execute("SELECT * FROM gage")
        assert mariadb_stores.drop(lab, "gages", now=True)
        for each in (mine, busy):
            with pytest.raises(Exception, match=r"Lost connection|gone away|closed"):
                each.cursor().execute("SELECT 1")
            each._force_close()
    assert mariadb_ground.databases() == set()


# --- what can't be moved ---------------------------------------------------------------------------


BESIDES = [
    "VIEW v AS SELECT 1 AS a",
    "TRIGGER t BEFORE INSERT ON gage FOR EACH ROW SET @a = 1",
    "FUNCTION f() RETURNS INT RETURN 1",
]


@pytest.mark.parametrize("what", BESIDES)
def test_a_store_with_more_than_tables_is_dropped_at_once_or_not_at_all(
    mariadb_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
    mariadb: MariaDBServer,
    what: str,
) -> None:
    stores = role_stores_on(mariadb_ground, lab)
    with use(stores):
        assert stores.sync(lab, ["gages"])[0].ok
        mariadb.run(f"CREATE {what}", "lab_gages")
        with pytest.raises(NotSupported, match="can't be set aside"):
            stores.drop(lab, "gages")
        assert stores.store_status(lab, "gages").health is Health.READY
        assert count(lab.gages) == 2
        assert stores.drop(lab, "gages", now=True)
    assert not [name for name in mariadb_ground.databases() if name.startswith("lab_gages")]


def test_a_copy_has_rows_keys_counters_and_defaults(address: DatabaseAddress, mariadb: MariaDBServer) -> None:
    backend = backend_for(address.server.login.url)
    backend.create(address)
    for statement in (
        "CREATE SEQUENCE numbers START WITH 7",
        "SELECT NEXTVAL(numbers)",
        "CREATE TABLE site (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE DEFAULT '50%%')",
        "CREATE TABLE gage (site INT, FOREIGN KEY (site) REFERENCES site (id), twice INT AS (site * 2))",
        "INSERT INTO site (id) VALUES (5)",
        "INSERT INTO gage (site) VALUES (5)",
    ):
        mariadb.run(statement, "lab_main")
    copy = replace(address, database="copy")
    assert backend.clone(address, copy)
    assert not backend.clone(address, copy)
    for table in ("site", "gage"):
        assert mariadb.run(f"SELECT * FROM {table}", "copy") == mariadb.run(
            f"SELECT * FROM {table}", "lab_main"
        )
        [old], [new] = (mariadb.run(f"SHOW CREATE TABLE {table}", name) for name in ("lab_main", "copy"))
        assert new == old
    assert mariadb.run("SELECT NEXTVAL(numbers)", "copy")[0][0] >= 8
