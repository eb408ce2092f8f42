"""Connections of Penstock's own that are kept: replaced, rolled back, locked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from faults.scenes import until
from fix_apps import all_ok
from penstock import App, Database, Stores
from penstock.backends import keeping
from penstock.errors import StoreBusy
from penstock.provision.connection import locked, own_connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from fix_servers import TestServer
    from penstock.connect import Address

_ME = {"postgresql": "SELECT pg_catalog.pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}
_END = {"postgresql": "SELECT pg_terminate_backend({}, 5000)", "mariadb": "KILL {}"}
_TABLE = {"postgresql": "public.note", "mariadb": "note"}


class Bare(App):
    """Its store has nothing in it."""

    package = "lab"
    gages = Database("Nothing.")


@pytest.fixture
def address(server_ground: TestServer, stores_on: Callable[..., Stores]) -> Address:
    """Where a store is that was just made."""
    stores = stores_on(server_ground, Bare, links=("gages",))
    all_ok(stores, Bare)
    return stores.address(Bare, "gages")


def session_of(connection: Connection) -> int:
    """The server's number of a session."""
    return int(connection.execute(text(_ME[connection.dialect.name])).scalar_one())


def used(address: Address) -> int:
    """The session of a connection that was used once more."""
    with own_connection(address) as connection:
        return session_of(connection)


def write_and_fail(address: Address, table: str, error: type[BaseException]) -> None:
    """A use that ends by an error, in a transaction that has written."""
    with own_connection(address) as connection:
        connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('gone')")
        raise error


def end(ground: TestServer, session: int) -> None:
    """End a session as an administrator does."""
    ground.run_sql("lab_gages", _END[ground.kind].format(session))


def test_one_connection_is_used_again_and_closed_at_the_end(
    server_ground: TestServer, address: Address
) -> None:
    with keeping():
        assert used(address) == used(address)
        until(lambda: len(server_ground.sessions("lab_gages")) == 1, "it is open")
    until(lambda: not server_ground.sessions("lab_gages"), "it is closed")
    assert used(address) != used(address)


def test_one_that_is_in_use_is_given_to_nobody_else(address: Address) -> None:
    with keeping(), own_connection(address) as first:
        assert session_of(first) != used(address)


def test_one_that_the_server_has_ended_is_replaced(server_ground: TestServer, address: Address) -> None:
    with keeping():
        before = used(address)
        end(server_ground, before)
        assert used(address) != before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_whatever_ends_a_use_its_transaction_is_rolled_back(
    address: Address, server_ground: TestServer, error: type[BaseException]
) -> None:
    table = _TABLE[server_ground.kind]
    with keeping():
        with own_connection(address) as connection, connection.begin():
            connection.exec_driver_sql(f"CREATE TABLE {table} (word varchar(9))")
        with pytest.raises(error):
            write_and_fail(address, table, error)
        with own_connection(address) as connection:
            assert connection.exec_driver_sql(f"SELECT * FROM {table}").all() == []
    assert server_ground.run_sql("lab_gages", f"SELECT * FROM {table}") == []


def test_after_server_wide_work_a_transaction_is_one_again(
    server_ground: TestServer, address: Address
) -> None:
    table = _TABLE[server_ground.kind]
    with keeping():
        session = used(address)
        assert address.backend.exists(address.database_address)
        with own_connection(address) as connection:
            assert session_of(connection) == session
            connection.exec_driver_sql(f"CREATE TABLE {table} (word varchar(9))")
            connection.commit()
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ('gone')")
            connection.rollback()
            assert connection.exec_driver_sql(f"SELECT * FROM {table}").all() == []


def test_a_lock_outlives_what_others_do_on_its_connection(address: Address) -> None:
    backend, place = address.backend, address.database_address
    with keeping():
        with locked(address, 1):
            for finish in ("commit", "rollback"):
                with own_connection(address) as connection:
                    session_of(connection)
                    getattr(connection, finish)()
            with pytest.raises(StoreBusy), backend.lock(place, 0.1):
                pass
        with backend.lock(place, 0.1):
            pass


def test_a_lock_waits_no_longer_than_it_was_told_to_and_leaves_no_timeout_behind(
    server_ground: TestServer, address: Address
) -> None:
    with (
        address.backend.lock(address.database_address, 1),
        keeping(),
        pytest.raises(StoreBusy),
        locked(address, 0.1),
    ):
        pass
    if server_ground.kind == "postgresql":
        with keeping(), locked(address, 1), own_connection(address) as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "0"


def test_whose_lock_the_server_has_ended_learns_it_at_the_next_use(
    server_ground: TestServer, address: Address
) -> None:
    with keeping(), locked(address, 1):
        end(server_ground, used(address))
        with pytest.raises(DBAPIError) as refused:
            used(address)
        assert address.backend.is_disconnect(refused.value)


def test_a_database_with_kept_connections_can_be_dropped(server_ground: TestServer, address: Address) -> None:
    with keeping():
        used(address)
        with server_ground.counting() as count:
            assert address.backend.drop(address.database_address)
            until(lambda: count() == 0, "nobody is in it")


def test_no_more_than_two_are_open_at_a_time(server_ground: TestServer, address: Address) -> None:
    backend, place = address.backend, address.database_address
    with server_ground.counting() as count, keeping(), locked(address, 1):
        until(lambda: count() == 1, "the lock's is open")
        backend.create(place)
        until(lambda: count() == 2, "there is one for server-wide work")
        with backend.named_lock(place.server, "lock of a test", timeout=1):
            used(address)
            until(lambda: count() == 2, "that one was closed for the lock's")


def test_a_child_of_fork_leaves_them_to_its_parent(address: Address) -> None:
    with keeping():
        before = used(address)
        child = os.fork()
        if not child:
            status = 1
            try:
                status = used(address) == before
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert used(address) == before


@pytest.mark.parametrize("anew", [False, True])
def test_a_sync_whose_database_is_dropped_meanwhile_begins_again_whatever_its_initializer_fails_with(
    anew: bool, postgresql_ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    calls: list[bool] = []

    def seed(session: object, first_time: bool) -> None:
        calls.append(first_time)
        if len(calls) == 1:
            postgresql_ground.drop_database("lab_gages")
            if anew:
                postgresql_ground.make_database("lab_gages")
            raise RuntimeError("the tables are gone")

    class Seeded(App):
        package = "lab"
        gages = Database("Made anew.", initializer=seed)

    stores = stores_on(postgresql_ground, Seeded, links=("gages",))
    all_ok(stores, Seeded)
    assert calls == [True, True]
    assert stores.exists(Seeded, "gages")
