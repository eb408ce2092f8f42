"""A service behind PgBouncer: used through it, provisioned past it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import NullPool, create_engine, func, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from faults.scenes import until
from fix_apps import Gage, count
from fix_pgbouncer import SESSIONS
from penstock import App, MemoryRegistry, Service, Stores, use
from penstock.backends import StoreRole
from penstock.errors import ConfigError, PermissionRefused
from penstock.query import upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer


@pytest.fixture
def stores(pooled_service: Service, lab: type[App], stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """`Stores` whose one service is pooled."""
    registry = MemoryRegistry()
    registry.put_service(pooled_service)
    stores = Stores(registry, apps=[lab])
    stores.links.add("main", lab, "gages")
    with use(stores):
        yield stores
    stores.close()


def test_a_pooled_store_is_made_past_the_pooler_and_used_through_it(stores: Stores, lab: type[App]) -> None:
    assert stores.sync(lab, ["gages"])[0].error is None
    assert count(lab.gages) == 2
    assert stores.exists(lab, "gages")
    assert stores.drop(lab, "gages")


def test_z6_many_threads_share_the_poolers_few_sessions_without_an_error(
    stores: Stores, lab: type[App], postgresql_ground: TestServer
) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    most = 0

    def work(number: int) -> int:
        nonlocal most
        with stores.session(lab, "gages") as session:
            found = session.scalar(select(func.count()).select_from(Gage).where(Gage.altitude > number % 7))
            if number % 20 == 0:
                sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'lab_gages'"
                most = max(most, postgresql_ground.run_sql("postgres", sessions)[0][0])
        return found or 0

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(work, range(400))) == {2}
    assert 1 <= most <= SESSIONS


def test_z6_nothing_is_prepared_in_a_session_that_the_next_transaction_may_not_have(
    stores: Stores, lab: type[App]
) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    with lab.gages.engine.connect() as connection:
        for number in range(20):
            connection.execute(select(Gage.number).where(Gage.altitude > number)).all()
        assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements")) == 0


def test_z6_nothing_is_left_in_a_session_that_others_have_next(
    stores: Stores, lab: type[App], postgresql_ground: TestServer
) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    before = everything_set(lab)

    def work(number: int) -> int:
        rows = [{"number": str(key), "altitude": float(number)} for key in range(500)]
        with stores.begin(lab, "gages") as session:
            done = upsert(session, Gage, rows[number:])
            return done.inserted + done.updated

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(work, range(24))) == [500 - number for number in range(24)]
    with lab.gages.engine.execution_options(penstock_readonly=True).connect() as reader:
        assert reader.scalar(select(func.count()).select_from(Gage)) == 502
    left = "SELECT relname FROM pg_class WHERE relpersistence = 't'"
    assert postgresql_ground.run_sql("lab_gages", left) == []
    assert everything_set(lab) == before


def everything_set(lab: type[App]) -> set[tuple[str, str]]:
    """What was set in the pooler's sessions, as those see it who have them next."""
    asked = text("SELECT name, setting FROM pg_settings WHERE source = 'session'")
    found: set[tuple[str, str]] = set()
    with ExitStack() as held:
        for _ in range(SESSIONS):
            connection = held.enter_context(lab.gages.engine.connect())
            found |= {(name, setting) for name, setting in connection.execute(asked)}
    return found


def test_a_pooled_address_that_is_not_called_pooled_says_what_the_pooler_refuses(
    pooled_service: Service, lab: type[App], stores: Stores
) -> None:
    assert stores.sync(lab, ["gages"])[0].ok
    stores.services.edit(replace(stores.services.get("main"), pooled=False))
    lab.gages.engine.dispose()
    with pytest.raises(OperationalError, match="options"):
        count(lab.gages)


def test_a_pooled_service_without_a_direct_address_can_not_be_provisioned(
    pooled_service: Service, lab: type[App]
) -> None:
    registry = MemoryRegistry()
    registry.put_service(replace(pooled_service, admin_url=None, admin_password=None))
    with Stores(registry, apps=[lab]) as stores:
        stores.links.add("main", lab, "gages")
        error = stores.sync(lab, ["gages"])[0].error
    assert isinstance(error, ConfigError)
    assert "--admin-url" in error.hint


# --- roles of a store's own -----------------------------------------------------------------------


def test_without_a_word_of_roles_apps_go_through_the_pooler_as_the_service_which_it_knows(
    pooled_service: Service,
    postgresql_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
) -> None:
    stores = role_stores_on(replace(postgresql_ground, service=pooled_service), lab)
    assert stores.sync(lab, ["gages"])[0].ok
    assert stores.url(lab, "gages").username == "penstock"
    assert "pooler" in stores.store_status(lab, "gages").no_roles
    with use(stores):
        assert count(lab.gages) == 2


def test_a_pooler_that_asks_the_server_lets_the_logins_of_stores_in_also_new_ones(
    asking_service: Service,
    postgresql_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
) -> None:
    stores = role_stores_on(replace(postgresql_ground, service=asking_service), lab)
    assert stores.sync(lab, ["gages"])[0].ok
    before = stores.url(lab, "gages").username
    with use(stores):
        assert count(lab.gages) == 2
        with stores.begin(lab, "gages") as session:
            assert session.scalar(text("SELECT current_user")) == before
            assert session.scalar(text("SHOW search_path")) == "public"
        stores.logins.renew(lab, "gages")
        lab.gages.engine.dispose()
        with stores.begin(lab, "gages") as session:
            assert session.scalar(text("SELECT current_user")) != before
    reader = create_engine(stores.url(lab, "gages", role=StoreRole.READER), poolclass=NullPool)
    with reader.connect() as connection, pytest.raises(DBAPIError, match="read-only"):
        connection.execute(text("DELETE FROM gage"))
    until(
        lambda: stores.logins.retire(lab, "gages", grace=0).left == (), "the pooler has let the old logins go"
    )
    until(partial(dropped, stores, lab), "the pooler has let go of the session in which it asked")


def dropped(stores: Stores, lab: type[App]) -> bool:
    """Drop the store; nobody but an administrator ends a session of an administrator's."""
    try:
        return stores.drop(lab, "gages", now=True)
    except PermissionRefused:
        return False
