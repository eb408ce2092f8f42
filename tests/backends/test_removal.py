"""Dropped stores are kept for a while, let nobody in, and can be brought back."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from faults.scenes import until
from fix_apps import Gage, all_ok, count
from penstock import MemoryRegistry, Stores, use
from penstock.errors import StoreBusy, StoreExists, StoreNotCreated, StoreNotOurs, UnknownStore
from penstock.provision.status import Health
from penstock.registry import StoreState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import App


@pytest.fixture
def keeping(ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """`Stores` in use over a registry that lasts; the store `gages` is there."""
    with use(role_stores_on(ground, lab)) as stores:
        all_ok(stores, lab)
        yield stores


def aside(stores: Stores) -> str:
    """What the database of the one dropped store is called."""
    [entry] = stores.kept.entries()
    return entry.database


def names(ground: TestServer) -> set[str]:
    """Every database, or file of one, on the ground."""
    if ground.directory is None:
        return ground.databases()
    return {path.name for path in ground.directory.iterdir()}


def test_a_dropped_store_is_kept_under_another_name_and_is_gone_for_its_app(
    keeping: Stores, lab: type[App], ground: TestServer
) -> None:
    engine = lab.gages.engine
    assert count(lab.gages) == 2
    assert keeping.drop(lab, "gages")
    assert not lab.gages.exists()
    with pytest.raises(StoreNotCreated):
        engine.connect()
    [entry] = keeping.kept.entries()
    assert (entry.app, entry.name, entry.was, entry.state) == (
        "lab",
        "gages",
        "lab_gages",
        StoreState.DROPPED,
    )
    assert names(ground) == {entry.database}
    assert entry.kept_until is not None
    assert timedelta(days=6.9) < entry.kept_until - datetime.now(UTC) < timedelta(days=7)
    status = {each.health: each for each in keeping.status()}
    assert set(status) == {Health.MISSING, Health.DROPPED}
    assert "kept until" in status[Health.DROPPED].problem


def test_a_dropped_store_comes_back_with_all_that_was_in_it_and_its_engine_finds_it(
    keeping: Stores, lab: type[App], ground: TestServer
) -> None:
    with lab.gages.begin() as session:
        session.add(Gage(number="mine", altitude=1.0))
    engine, url, plan = lab.gages.engine, keeping.url(lab, "gages"), keeping.plan(lab, "gages")
    keeping.drop(lab, "gages")
    address = keeping.kept.undrop(lab, "gages").address
    assert keeping.plan(lab, "gages") == plan
    assert (address.database, address.service) == ("lab_gages", "main")
    assert keeping.url(lab, "gages") == url
    assert lab.gages.engine is engine
    assert count(lab.gages) == 3
    assert keeping.kept.entries() == []
    all_ok(keeping, lab)
    assert count(lab.gages) == 3


def test_a_store_of_a_kind_comes_back_as_one(keeping: Stores, lab: type[App]) -> None:
    lab.basins.create("logan")
    lab.basins.drop("logan")
    assert lab.basins.names() == []
    keeping.kept.undrop("lab", "basins.logan")
    assert lab.basins.names() == ["logan"]
    assert count(lab.basins["logan"]) == 0


def test_a_store_that_was_made_anew_has_to_go_before_the_old_one_comes_back(
    keeping: Stores, lab: type[App]
) -> None:
    with lab.gages.begin() as session:
        session.add(Gage(number="old", altitude=1.0))
    keeping.drop(lab, "gages")
    old = aside(keeping)
    all_ok(keeping, lab)
    assert count(lab.gages) == 2
    with pytest.raises(StoreExists):
        keeping.kept.undrop(lab, "gages")
    keeping.drop(lab, "gages")
    assert len(keeping.kept.entries()) == 2
    keeping.kept.undrop(lab, "gages", old)
    assert count(lab.gages) == 3
    with pytest.raises(UnknownStore, match="No dropped store"):
        keeping.kept.undrop(lab, "gages", old)


def test_what_is_dropped_at_once_or_where_nobody_would_remember_it_is_not_kept(
    keeping: Stores, lab: type[App], ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    keeping.drop(lab, "gages", now=True)
    assert (keeping.kept.entries(), names(ground)) == ([], set())
    forgetful = stores_on(ground, lab)
    assert isinstance(forgetful.registry, MemoryRegistry)
    all_ok(forgetful, lab)
    forgetful.drop(lab, "gages")
    assert (forgetful.kept.entries(), names(ground)) == ([], set())
    keeping.kept.days = 0
    all_ok(keeping, lab)
    keeping.drop(lab, "gages")
    assert (keeping.kept.entries(), names(ground)) == ([], set())


def test_an_empty_database_that_a_sync_had_only_just_made_is_not_kept(
    keeping: Stores, lab: type[App], ground: TestServer
) -> None:
    entry = keeping.book.get(lab.declaration(), "gages").entry()
    keeping.drop(lab, "gages", now=True)
    ground.make_database("lab_gages")
    keeping.registry.put_store(entry)
    assert keeping.drop(lab, "gages")
    assert names(ground) == set()
    assert keeping.kept.entries() == []
    assert [each.health for each in keeping.status()] == [Health.MISSING]


def test_kept_stores_go_for_good_when_their_time_is_over(
    keeping: Stores, lab: type[App], ground: TestServer
) -> None:
    keeping.drop(lab, "gages")
    assert keeping.kept.purge() == []
    keeping.kept.days = -1
    from dataclasses import replace

    [entry] = keeping.kept.entries()
    keeping.registry.put_store(replace(entry, kept_until=datetime.now(UTC)))
    [purged] = keeping.kept.purge()
    assert (purged.app, purged.store, purged.error) == ("lab", "gages", None)
    assert (keeping.kept.entries(), names(ground), keeping.registry.credentials()) == ([], set(), [])
    if ground.server is not None:
        assert ground.server.roles() == set()


def test_a_database_that_somebody_put_in_place_of_a_kept_one_is_not_dropped(
    keeping: Stores, lab: type[App], ground: TestServer
) -> None:
    keeping.drop(lab, "gages")
    name = aside(keeping)
    if ground.directory is not None:
        (ground.directory / name).unlink()
        import sqlite3

        with closing(sqlite3.connect(ground.directory / name)) as mine:
            mine.execute("CREATE TABLE mine (id int)")
    else:
        ground.drop_database(name)
        ground.make_database(name)
        ground.run_sql(name, "CREATE TABLE mine (id int)")
    [purged] = keeping.kept.purge(every=True)
    assert isinstance(purged.error, StoreNotOurs)
    assert name in names(ground)
    assert len(keeping.kept.entries()) == 1


def test_a_kept_database_that_is_gone_is_forgotten(
    keeping: Stores, lab: type[App], ground: TestServer
) -> None:
    keeping.drop(lab, "gages")
    name = aside(keeping)
    if ground.directory is not None:
        (ground.directory / name).unlink()
    else:
        ground.drop_database(name)
    [purged] = keeping.kept.purge(every=True)
    assert purged.error is None
    assert keeping.kept.entries() == []


def test_nobody_can_connect_to_a_kept_database(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    assert owner_ground.server is not None
    stores = role_stores_on(owner_ground, lab)
    all_ok(stores, lab)
    url = stores.url(lab, "gages")
    stores.drop(lab, "gages")
    import psycopg

    for user, password in ((url.username, url.password), ("penstock_admin", None)):
        secret = password or owner_ground.server.admin_password_file.read_text().strip()
        address: dict[str, Any] = {"host": "127.0.0.1", "port": owner_ground.server.port, "user": user}
        with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
            psycopg.connect(**address, password=secret, dbname=aside(stores))


def test_sessions_of_the_app_and_of_readers_end_with_the_drop(
    role_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    from fix_roles import log_in
    from penstock import StoreRole

    stores = role_stores_on(role_ground, lab)
    all_ok(stores, lab)
    with stores.engine(lab, "gages").connect() as busy, log_in(stores, lab, "gages", StoreRole.READER):
        busy.execute(text("SELECT 1"))
        stores.drop(lab, "gages")
        with pytest.raises(OperationalError):
            busy.execute(text("SELECT 1"))
    stores.kept.undrop(lab, "gages")
    assert stores.sync(lab, ["gages"])[0].ok


def test_a_superusers_session_is_not_ended_and_the_store_stays_as_it_is(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    assert owner_ground.server is not None
    stores = role_stores_on(owner_ground, lab)
    all_ok(stores, lab)
    with owner_ground.server.connect("lab_gages") as boss:
        boss.execute("SELECT 1")
        with pytest.raises(StoreBusy):
            stores.drop(lab, "gages")
    assert stores.exists(lab, "gages")
    assert stores.kept.entries() == []
    assert owner_ground.databases() == {"lab_gages"}


@pytest.fixture
def vacuumed(owner_ground: TestServer) -> Iterator[Callable[[str], None]]:
    """Gets a worker of the server to be in a database, and to stay there."""
    assert owner_ground.server is not None

    def begin(database: str) -> None:
        with server.connect(database) as boss:
            boss.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
            boss.execute("SELECT pg_reload_conf()")
            slow = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"
            boss.execute(f"CREATE TABLE busy WITH ({slow}) AS SELECT generate_series(1, 100000) AS id")
            boss.execute("DELETE FROM busy")
        with server.connect() as boss:
            here = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND backend_type = 'autovacuum worker'"
            until(lambda: boss.execute(here, [database]).fetchone() is not None, "a worker", timeout=60)

    server = owner_ground.server
    yield begin
    with server.connect() as boss:
        boss.execute("ALTER SYSTEM RESET autovacuum_naptime")
        boss.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("now", [False, True])
def test_a_database_that_the_server_is_vacuuming_is_dropped_by_a_role_that_is_no_superuser(
    owner_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
    vacuumed: Callable[[str], None],
    now: bool,
) -> None:
    stores = role_stores_on(owner_ground, lab)
    all_ok(stores, lab)
    vacuumed("lab_gages")
    assert stores.drop(lab, "gages", now=now)
    assert not stores.exists(lab, "gages")
    assert len(owner_ground.databases()) == (0 if now else 1)


def test_a_file_that_others_have_open_is_copied_and_emptied(
    sqlite_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(sqlite_ground, lab)
    all_ok(stores, lab)
    import sqlite3

    assert sqlite_ground.directory is not None
    path = sqlite_ground.directory / "lab_gages.sqlite"
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM gage").fetchone() == (2,)
        stores.drop(lab, "gages")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            other.execute("SELECT count(*) FROM gage")
    assert not stores.exists(lab, "gages")
    with use(stores):
        stores.kept.undrop(lab, "gages")
        assert count(lab.gages) == 2
