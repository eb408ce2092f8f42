"""What a budget counts is what the server has."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, func, insert, select, text
from sqlalchemy.dialects.postgresql import HSTORE, JSONB
from sqlalchemy.exc import DBAPIError

from faults.scenes import until
from fix_apps import Gage
from penstock import App, Database, EngineOptions, Stores
from penstock.engines import budget_of
from penstock.errors import BudgetExhausted

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer

END = {
    "postgresql": (
        "postgres",
        "SELECT pid FROM pg_stat_activity WHERE usename = 'penstock'",
        "SELECT pg_terminate_backend({})",
    ),
    "mariadb": (
        "mysql",
        "SELECT id FROM information_schema.processlist WHERE user = 'penstock'",
        "KILL CONNECTION {}",
    ),
}
"""Where and how sessions are found and ended."""

TOO_LONG = {
    "postgresql": ("SELECT pg_sleep(60)", "statement timeout"),
    "mariadb": ("SELECT SLEEP(60)", "max_statement_time exceeded"),
}
"""What takes too long, and what the server says to it."""

SHARED = pytest.mark.parametrize("shared", [True, False], ids=["shared statements", "statements apart"])


def sessions_on(ground: TestServer) -> int:
    """How many sessions of the user of the stores the server has."""
    with ground.counting() as count:
        return count()


def kill_sessions(ground: TestServer) -> int:
    """End every session of the user of the stores; how many there were."""
    were = sessions_on(ground)
    home, find, end = END[ground.kind]
    for (session,) in ground.run_sql(home, find):
        ground.run_sql(home, end.format(session))
    until(lambda: sessions_on(ground) == 0, "they have ended")
    return were


def is_open(stores: Stores, lab: type[App]) -> int:
    """How many connections the budget counts."""
    return stores.engine(lab, "gages").pool.budget.state().open


def gages(stores: Stores, lab: type[App], store: str = "gages") -> int:
    """How many gages there are."""
    with stores.session(lab, store) as session:
        return session.scalar(select(func.count()).select_from(Gage)) or 0


# --- E1 -------------------------------------------------------------------------------------------


def test_e1_what_the_budget_counts_is_what_the_server_has_also_after_dispose_with_one_out(
    stores_on: Callable[..., Stores], lab: type[App], server_ground: TestServer
) -> None:
    stores = stores_on(server_ground, lab)
    assert stores.sync(lab, ["gages"])[0].ok
    engine = stores.engine(lab, "gages")

    def agree() -> int:
        assert sessions_on(server_ground) == is_open(stores, lab)
        return is_open(stores, lab)

    out, idle = engine.connect(), engine.connect()
    idle.close()
    assert agree() == 2
    engine.dispose()
    assert agree() == 1
    assert out.execute(text("SELECT 1")).scalar() == 1
    again = engine.connect()
    assert agree() == 2
    out.close()
    assert agree() == 1
    again.close()
    assert agree() == 1
    with engine.connect() as lost:
        lost.invalidate()
        assert agree() == 0
        lost.rollback()
    with engine.connect() as mine:
        raw = mine.connection.driver_connection
        mine.detach()
        assert is_open(stores, lab) == 0
    assert raw.closed if server_ground.server else not raw.open
    stores.close()
    assert agree() == 0


def test_the_connection_of_a_session_that_nobody_closed_comes_back(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=4, pool_timeout=5))
    assert stores.sync(lab, ["gages"])[0].ok

    def leak() -> None:
        session = stores.session(lab, "gages")
        circle: list[Any] = [session.connection() if ground.running else session]
        circle.append(circle)

    for _ in range(10):
        for _ in range(3):
            leak()
        gc.collect()
    assert gages(stores, lab) == 2
    state = stores.engine(lab, "gages").pool.budget.state()
    assert state.open == state.idle


@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
def test_the_collector_may_run_at_any_moment_in_any_thread(
    stores_on: Callable[..., Stores], lab: type[App], server_ground: TestServer
) -> None:
    stores = stores_on(server_ground, lab, options=EngineOptions(max_connections=6, pool_timeout=20))
    assert stores.sync(lab, ["gages"])[0].ok
    engine = stores.engine(lab, "gages")

    def work(number: int) -> None:
        connection = engine.connect()
        connection.exec_driver_sql("SELECT 1")
        if number % 3 == 0:
            circle: list[Any] = [connection]
            circle.append(circle)
        else:
            connection.close()

    before = gc.get_threshold()
    gc.set_threshold(20, 2, 2)
    try:
        with ThreadPoolExecutor(4) as threads:
            done = [threads.submit(work, number) for number in range(120)]
            while not all(each.done() for each in done):
                gc.collect()  # All threads may be asleep, waiting for what only this returns.
            assert [each.result() for each in done] == [None] * 120
    finally:
        gc.set_threshold(*before)
    gc.collect()
    state = engine.pool.budget.state()
    assert state.open == state.idle == sessions_on(server_ground)


# --- one limit for all the stores of a server -----------------------------------------------------


def test_stores_of_one_server_share_one_limit_and_the_error_names_who_has_them(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=4, pool_timeout=0.1))
    for name in ("logan", "provo"):
        stores.create(lab, f"basins.{name}")
    held = [stores.engine(lab, f"basins.{name}").connect() for name in ("logan", "logan", "logan", "provo")]
    with pytest.raises(BudgetExhausted, match=r"lab:basins\.logan 3, lab:basins\.provo 1"):
        stores.engine(lab, "basins.provo").connect()
    for connection in held:
        connection.close()
    assert gages(stores, lab, "basins.provo") == 0
    assert stores.engine(lab, "basins.logan").pool.budget.state().open == 4


def test_two_stores_objects_of_a_process_share_one_budget(
    stores_on: Callable[..., Stores], lab: type[App], server_ground: TestServer
) -> None:
    both = [stores_on(server_ground, lab, options=EngineOptions(max_connections=n)) for n in (9, 5)]
    assert both[0].sync(lab, ["gages"])[0].ok
    one, other = (stores.engine(lab, "gages").pool.budget for stores in both)
    assert one is other
    assert one.limit == 5
    server = both[0].address(lab, "gages").database_address.server
    assert budget_of(server, both[0].address(lab, "gages").backend) is one


# --- connections that were ended, and what they say of themselves ---------------------------------


@SHARED
def test_ended_sessions_are_noticed_at_checkout_without_a_failed_request(
    stores_on: Callable[..., Stores], lab: type[App], server_ground: TestServer, shared: bool
) -> None:
    options = EngineOptions(max_connections=5, share_statements=shared)
    stores = stores_on(server_ground, lab, options=options)
    assert stores.sync(lab, ["gages"])[0].ok
    together = threading.Barrier(4)

    def use_at_once(_: int) -> int:
        with stores.session(lab, "gages") as session:
            found = session.scalar(select(func.count()).select_from(Gage)) or 0
            together.wait(20)
        return found

    for _ in range(5):
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(use_at_once, range(4))) == [2] * 4
        assert kill_sessions(server_ground) == 4
    assert gages(stores, lab) == 2
    assert is_open(stores, lab) == 4  # The dead ones count until somebody looks at them.


def test_the_server_knows_each_session_by_app_and_store(
    stores_on: Callable[..., Stores], lab: type[App], postgresql_ground: TestServer
) -> None:
    stores = stores_on(postgresql_ground, lab)
    stores.create(lab, "basins.logan")
    gages(stores, lab, "basins.logan")
    with stores.connections.engine(lab, "servers").connect():
        query = "SELECT datname, application_name FROM pg_stat_activity WHERE usename = 'penstock'"
        named = set(postgresql_ground.run_sql("postgres", query))
    assert named >= {("lab_basins_logan", "penstock lab:basins.logan"), ("postgres", "penstock lab:servers")}


def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    stores_on: Callable[..., Stores], lab: type[App], server_ground: TestServer
) -> None:
    stores = stores_on(server_ground, lab, options=EngineOptions(statement_timeout=0.05))
    assert stores.sync(lab, ["gages"])[0].ok
    statement, said = TOO_LONG[server_ground.kind]
    with stores.session(lab, "gages") as session, pytest.raises(DBAPIError, match=said):
        session.execute(text(statement))
    assert gages(stores, lab) == 2


# --- statements, shared or not --------------------------------------------------------------------


@SHARED
def test_an_engine_says_whether_it_shares_its_statements_and_works_the_same(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer, shared: bool
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(share_statements=shared))
    for name in ("logan", "provo"):
        stores.create(lab, f"basins.{name}")
        with stores.begin(lab, f"basins.{name}") as session:
            session.add(Gage(number=name, altitude=1.5))
        with stores.session(lab, f"basins.{name}") as session:
            session.add(Gage(number="undone", altitude=1))
            session.flush()
        assert gages(stores, lab, f"basins.{name}") == 1
    one, other = (stores.engine(lab, f"basins.{name}") for name in ("logan", "provo"))
    store = stores.store_engine(lab, "basins.logan")
    assert store.shares_statements is shared
    assert (one.dialect == other.dialect) is shared
    with one.connect() as connection:
        connection.execution_options(penstock_readonly=True)
        assert connection.execute(select(Gage.altitude).where(Gage.number == "logan")).scalar() == 1.5


@SHARED
def test_types_of_an_extension_are_right_though_their_numbers_differ_between_databases(
    stores_on: Callable[..., Stores], postgresql_ground: TestServer, shared: bool
) -> None:
    available = postgresql_ground.run_sql(
        "postgres", "SELECT 1 FROM pg_available_extensions WHERE name = 'hstore'"
    )
    if not available:
        pytest.skip("this PostgreSQL comes without hstore")
    metadata = MetaData()
    things = Table(
        "things",
        metadata,
        Column("name", String(50), primary_key=True),
        Column("tags", HSTORE),
        Column("document", JSONB),
    )

    class Lab(App):
        package = "lab"
        one = Database("Types of its own.", initializer=lambda engine, first_time: None)
        other = Database("The same types, with other numbers.", initializer=lambda engine, first_time: None)

    stores = stores_on(
        postgresql_ground, Lab, links=("one", "other"), options=EngineOptions(share_statements=shared)
    )
    assert all(result.ok for result in stores.sync(Lab))
    postgresql_ground.run_sql("lab_other", "CREATE TYPE before AS (x int, y int)")
    for database in ("lab_one", "lab_other"):
        postgresql_ground.run_sql(database, "CREATE EXTENSION hstore")
    oid = "SELECT 'hstore'::regtype::oid"
    assert postgresql_ground.run_sql("lab_one", oid) != postgresql_ground.run_sql("lab_other", oid)
    rows = {"a": ({"x": "1", "y": None}, {"deep": [1, 2.5, None, "é"]}), "b": ({'"': "=>"}, [True])}
    for store in ("one", "other", "one"):
        with stores.engine(Lab, store).begin() as connection:
            metadata.drop_all(connection)
            metadata.create_all(connection)
            for name, (tags, document) in rows.items():
                connection.execute(insert(things), [{"name": name, "tags": tags, "document": document}])
        with stores.engine(Lab, store).connect() as connection:
            found = connection.execute(select(things).order_by(things.c.name)).all()
            assert {name: (tags, document) for name, tags, document in found} == rows
            assert connection.scalar(select(things.c.name).where(things.c.tags["x"] == "1")) == "a"
            assert connection.scalar(select(things.c.document["deep"][1].as_float())) == 2.5
