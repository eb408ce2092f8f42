"""How many connections a sync makes, counted by the server."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from fix_apps import Base, all_ok, seed
from penstock import App, Database, Stores, SyncOptions, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer

_SESSIONS = "SELECT sum(sessions) FROM pg_stat_database"
_CONNECTIONS = """
    SELECT SUM(IF(variable_name = 'Connections', 1, -1) * variable_value)
    FROM information_schema.global_status WHERE variable_name IN ('Connections', 'Aborted_connects')"""


class Bare(App):
    """Its store has nothing in it, so all connections are Penstock's own."""

    package = "lab"
    gages = Database("Nothing.")


class Full(App):
    """Tables and an initializer, which have the owner's connection."""

    package = "lab"
    gages = Database("Gages.", metadata=Base.metadata, initializer=seed)


@contextmanager
def counted(ground: TestServer, request: pytest.FixtureRequest) -> Iterator[Callable[[], int]]:
    """What is given tells how many connections have begun since it was asked last."""
    if ground.server is not None:
        with ground.server.connect() as connection:
            yield _since_last(lambda: connection.execute(_SESSIONS).fetchone()[0])
        return
    mariadb = request.getfixturevalue("mariadb")
    with closing(mariadb.connect()) as connection, connection.cursor() as cursor:

        def ask() -> int:
            cursor.execute(_CONNECTIONS)
            return int(cursor.fetchone()[0])

        yield _since_last(ask)


def _since_last(ask: Callable[[], int]) -> Callable[[], int]:
    seen = [ask()]

    def since() -> int:
        seen.append(int(ask()))
        return seen[-1] - seen[-2]

    return since


@pytest.fixture
def began(role_ground: TestServer, request: pytest.FixtureRequest) -> Iterator[Callable[[], int]]:
    """How many connections have begun since it was asked last."""
    with counted(role_ground, request) as since:
        yield since


def test_a_new_store_costs_two_connections_of_penstocks_own(
    role_ground: TestServer, role_stores_on: Callable[..., Stores], began: Callable[[], int]
) -> None:
    with use(role_stores_on(role_ground, Bare)) as stores:
        all_ok(stores, Bare)
        assert stores.registry.credentials()
        assert began() == 2


def test_a_sync_with_nothing_to_do_costs_one_connection_even_as_the_first_of_its_process(
    role_ground: TestServer, role_stores_on: Callable[..., Stores], began: Callable[[], int]
) -> None:
    all_ok(role_stores_on(role_ground, Bare), Bare)
    began()
    with use(role_stores_on(role_ground, Bare)) as stores:
        for _ in range(3):
            all_ok(stores, Bare)
            assert began() == 1


def test_tables_and_an_initializer_cost_one_connection_more_which_is_the_owners(
    role_ground: TestServer, role_stores_on: Callable[..., Stores], began: Callable[[], int]
) -> None:
    with use(role_stores_on(role_ground, Full)) as stores:
        all_ok(stores, Full)
        first = began()
        all_ok(stores, Full)
        assert (first, began()) == (3, 2)


def test_a_sync_with_nothing_to_do_waits_for_nobodys_lock(
    role_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    with use(role_stores_on(role_ground, Bare)) as stores:
        all_ok(stores, Bare)
        address = stores.address(Bare, "gages")
        with address.backend.lock(address.database_address, 1):
            results = stores.sync(Bare, options=SyncOptions(lock_timeout=0.1))
    assert [str(result.error) for result in results if not result.ok] == []
