"""Who may do what: every role of a store and around it, asked of real servers."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from fix_apps import all_ok
from fix_roles import code_of, log_in, logged_in
from fix_servers import TestServer
from penstock import App, Stores, use
from penstock.backends import StoreRole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL


OK, DENIED, READ_ONLY = "00000", "42501", "25006"

TRIES = {
    "connect": "SELECT 1",
    "select": "SELECT * FROM gage",
    "insert": "INSERT INTO gage VALUES ('1', 1.0)",
    "update": "UPDATE gage SET altitude = 2.0",
    "delete": "DELETE FROM gage",
    "truncate": "TRUNCATE gage",
    "next value": "SELECT nextval('counter')",
    "create table": "CREATE TABLE mine (id int)",
    "create schema": "CREATE SCHEMA mine",
    "create function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "alter table": "ALTER TABLE gage ADD mine int",
    "drop table": "DROP TABLE gage",
    "change the record": "UPDATE penstock_store SET app = 'mine'",
    "temporary table": "CREATE TEMPORARY TABLE mine (id int)",
    "become owner": "SET ROLE {owner}",
    "become another store's owner": "SET ROLE {other_owner}",
    "become the service": "SET ROLE penstock",
    "make a role": "CREATE ROLE mine",
    "make a database": "CREATE DATABASE mine",
    "see passwords": "SELECT rolpassword FROM pg_authid",
    "drop another store": "DROP DATABASE lab_basins_logan",
}
"""Each in a transaction that is rolled back, or so that it is refused before it does anything."""

# Nobody logs in as an owner: a session that acts as one is the service's, and can be the service's again.
EVERYTHING_OF_ITS_OWN = dict.fromkeys(TRIES, OK) | {
    "make a role": DENIED,
    "make a database": DENIED,
    "drop another store": DENIED,
    "see passwords": DENIED,
}
ROWS = dict.fromkeys(TRIES, DENIED) | dict.fromkeys(
    ("connect", "select", "insert", "update", "delete", "next value", "temporary table"), OK
)
READING = ROWS | dict.fromkeys(("insert", "update", "delete", "next value", "temporary table"), DENIED)
SERVICE = dict.fromkeys(TRIES, OK) | {"see passwords": DENIED}
NOTHING = dict.fromkeys(TRIES, DENIED)

EXPECTED = {
    "owner": EVERYTHING_OF_ITS_OWN,
    "app": ROWS,
    "reader": READING,
    "another store's app": NOTHING,
    "service": SERVICE,
}


@dataclass(frozen=True)
class Actors:
    """Everybody who might want something of the store `gages`."""

    stores: Stores
    app: type[App]
    ground: TestServer

    def url(self, actor: str) -> URL:
        """With what an actor logs in."""
        if actor in ("owner", "service"):  # Nobody logs in as the owner; the service's role becomes it.
            address = self.stores.address(self.app, "gages").database_address
            return address.server.login.with_password().set(database=address.database)
        if actor == "another store's app":
            return self.stores.url(self.app, "basins.logan").set(database="lab_gages")
        role = StoreRole.READER if actor == "reader" else StoreRole.APP
        return self.stores.url(self.app, "gages", role=role)

    @contextmanager
    def connected(self, actor: str) -> Iterator[psycopg.Connection[Any]]:
        """An actor's connection."""
        address = self.url(actor).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address) as connection:
            if actor == "owner":
                connection.execute(f"SET ROLE {self.owner_of('lab_gages')}")
                connection.commit()
            yield connection
            connection.rollback()

    def owner_of(self, database: str) -> str:
        """The role that owns a database."""
        query = f"SELECT datdba::regrole::text FROM pg_database WHERE datname = '{database}'"
        owner: str = self.ground.run_sql("postgres", query)[0][0]
        return owner


@pytest.fixture
def actors(owner_stores: Stores, lab: type[App], owner_ground: TestServer) -> Actors:
    """Two stores of one app, and everybody around them."""
    lab.basins.create("logan")
    found = Actors(owner_stores, lab, owner_ground)
    with found.connected("owner") as owner:
        owner.execute("CREATE SEQUENCE counter")
        owner.commit()
    return found


@pytest.mark.parametrize("actor", EXPECTED)
def test_each_role_may_do_what_it_is_for_and_nothing_else(actor: str, actors: Actors) -> None:
    owners = {"owner": actors.owner_of("lab_gages"), "other_owner": actors.owner_of("lab_basins_logan")}
    statements = {name: statement.format(**owners) for name, statement in TRIES.items()}
    found = {name: outcome(actors, actor, name, statement) for name, statement in statements.items()}
    assert found == EXPECTED[actor]


def outcome(actors: Actors, actor: str, name: str, statement: str) -> str:
    """The SQLSTATE with which an attempt ends."""
    refused = connecting(actors.url(actor))
    if refused != OK:
        return refused
    with actors.connected(actor) as connection:
        if actor == "reader":  # What holds it back are its rights, not only the setting it begins with.
            connection.execute("SET default_transaction_read_only = off")
            connection.commit()
        if name in ("make a database", "drop another store"):
            connection.autocommit = True
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        finally:
            if name == "make a database":
                actors.ground.run_sql("postgres", "DROP DATABASE IF EXISTS mine")
    return OK


def connecting(url: URL) -> str:
    """The SQLSTATE with which a connection is refused; libpq does not tell, asyncpg does."""

    async def attempt() -> str:
        try:
            connection = await asyncpg.connect(
                host=url.host, port=url.port, user=url.username, password=url.password, database=url.database
            )
        except asyncpg.PostgresError as error:
            return str(error.sqlstate)
        await connection.close()
        return OK

    return asyncio.run(attempt())


# --- where the service's user makes everything ----------------------------------------------------

NO_ENTRY, NO_TABLE, NO_SERVER_RIGHT, NO_ROUTINE, NO_SUCH_ROLE = 1044, 1142, 1227, 1370, 1959

MARIADB_TRIES = {
    "connect": "SELECT 1",
    "select": "SELECT * FROM gage",
    "insert": "INSERT INTO gage VALUES ('1', 1.0)",
    "update": "UPDATE gage SET altitude = 2.0",
    "delete": "DELETE FROM gage",
    "next value": "SELECT NEXTVAL(counter)",
    "call": "SELECT one()",
    "temporary table": "CREATE TEMPORARY TABLE passing (id int)",
    "read the record": "SELECT * FROM penstock_store",
    "change the record": "UPDATE penstock_store SET app = 'mine'",
    "truncate": "TRUNCATE gage",
    "create table": "CREATE TABLE mine (id int)",
    "create view": "CREATE VIEW ours AS SELECT 1",
    "create function": "CREATE FUNCTION two() RETURNS int DETERMINISTIC RETURN 2",
    "create trigger": "CREATE TRIGGER t BEFORE INSERT ON gage FOR EACH ROW SET @seen = 1",
    "alter table": "ALTER TABLE gage ADD mine int",
    "drop table": "DROP TABLE gage",
    "read another store": "SELECT * FROM lab_basins_logan.gage",
    "become another store's app": "SET ROLE {other_app}",
    "pass on": "GRANT SELECT ON penstock_store TO {app}",
    "make a user": "CREATE USER mine",
    "make a role": "CREATE ROLE mine_too",
    "make a database": "CREATE DATABASE mine",
    "see passwords": "SELECT authentication_string FROM mysql.user",
    "change the server": "SET GLOBAL max_connections = 151",
    "drop another store": "DROP DATABASE lab_basins_logan",
}
"""In this order, which matters to whoever may do them."""

MARIADB_ROWS: dict[str, str | int] = dict.fromkeys(MARIADB_TRIES, NO_TABLE) | {
    **dict.fromkeys(("connect", "select", "insert", "update", "delete", "next value", "call"), OK),
    **dict.fromkeys(("temporary table", "read the record"), OK),
    **dict.fromkeys(("create function", "make a database", "drop another store"), NO_ENTRY),
    **dict.fromkeys(("make a user", "make a role", "change the server"), NO_SERVER_RIGHT),
    "become another store's app": NO_SUCH_ROLE,
}
MARIADB_EXPECTED: dict[str, dict[str, str | int]] = {
    "app": MARIADB_ROWS,
    "reader": MARIADB_ROWS
    | dict.fromkeys(("insert", "update", "delete", "next value"), NO_TABLE)
    | {"call": NO_ROUTINE, "temporary table": NO_ENTRY},
    "another store's app": dict.fromkeys(MARIADB_TRIES, NO_ENTRY),
    "service": dict.fromkeys(MARIADB_TRIES, OK),
}


@pytest.mark.parametrize("actor", MARIADB_EXPECTED)
def test_on_mariadb_each_may_do_what_it_is_for_and_nothing_else(
    actor: str, mariadb_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    with use(role_stores_on(mariadb_ground, lab)) as stores:
        all_ok(stores, lab)
        lab.basins.create("logan")
        for made in ("SEQUENCE counter", "FUNCTION one() RETURNS int DETERMINISTIC RETURN 1"):
            mariadb_ground.run_sql("lab_gages", f"CREATE {made}")
        all_ok(stores, lab)
        url = Actors(stores, lab, mariadb_ground).url(actor)
        app, other = (str(stores.url(lab, name).username)[:-7] for name in ("gages", "basins.logan"))
        tries = {name: each.format(app=app, other_app=other) for name, each in MARIADB_TRIES.items()}
        found = {name: outcome_at(url, statement) for name, statement in tries.items()}
    assert found == MARIADB_EXPECTED[actor]


def outcome_at(url: URL, statement: str) -> str | int | None:
    """The server's code for an attempt in a session of its own."""
    try:
        with logged_in(url) as session:
            session.execute(statement)
    except DBAPIError as error:
        return code_of(error)
    return OK


# --- where the store has an owner -----------------------------------------------------------------


def test_a_reader_begins_every_transaction_for_reading(actors: Actors) -> None:
    with log_in(actors.stores, actors.app, "gages", StoreRole.READER) as reader:
        for name in ("insert", "delete", "create table", "drop table"):
            with pytest.raises(DBAPIError) as caught:
                reader.execute(TRIES[name])
            assert code_of(caught.value) == READ_ONLY


def test_z1_nobody_but_those_who_need_it_may_connect(actors: Actors) -> None:
    actors.ground.run_sql(
        "postgres", "DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN PASSWORD 'pw'"
    )
    service = actors.url("service")
    for database in ("lab_gages", "lab_basins_logan"):
        stranger = service.set(username="stranger", password="pw", database=database)
        assert connecting(stranger) == DENIED
    assert connecting(service.set(username="stranger", password="pw", database="postgres")) == OK
