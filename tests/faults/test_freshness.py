"""A running process notices what others change, and no request fails for it."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from sqlalchemy import func, make_url, select
from sqlalchemy.exc import OperationalError

from faults.load import Load
from faults.scenes import until
from fix_apps import Gage
from fix_roles import WORDS, logged_in, password_changed, password_of
from penstock import EngineOptions, Stores, use
from penstock.errors import NotLinked, StoreNotCreated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from faults.scenes import Workers
    from fix_registries import RegistryHome
    from fix_servers import TestServer
    from penstock import App

IDLE = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = 'lab_gages' AND state = 'idle'",
    "mariadb": """
        SELECT id FROM information_schema.processlist WHERE db = 'lab_gages' AND command = 'Sleep'""",
}
END = {"postgresql": "SELECT pg_terminate_backend({}, 5000)", "mariadb": "KILL {}"}
QUICK = EngineOptions(refresh_interval=0.2, max_connections=10)


class Elsewhere:
    """Another process that uses the same registry."""

    def __init__(self, home: RegistryHome, workers: Workers) -> None:
        self._workers = workers
        self._access = {"registry": home.url, "password": home.password.locator if home.password else ""}

    def do(self, job: str, **options: Any) -> None:
        """Do a job of `changes` there."""
        ended = self._workers.run(job, **self._access, **options)
        assert ended.status == 0, ended.err


@pytest.fixture
def elsewhere(registry_home: RegistryHome, workers: Workers) -> Elsewhere:
    """Another process."""
    return Elsewhere(registry_home, workers)


@pytest.fixture
def running(registry_home: RegistryHome, ground: TestServer, lab: type[App]) -> Iterator[Stores]:
    """`Stores` over a registry in a database, with the store `gages` made on the service `main`."""
    with running_stores(registry_home, ground, lab) as stores:
        yield stores


@contextmanager
def running_stores(home: RegistryHome, ground: TestServer, lab: type[App]) -> Iterator[Stores]:
    """The same."""
    with Stores(home.open(), apps=[lab], engine_options=QUICK) as stores:
        stores.registry.put_service(ground.service)
        stores.links.add("main", lab, "gages")
        assert stores.sync(lab, ["gages"])[0].ok
        yield stores


def rows(stores: Stores, lab: type[App]) -> int:
    """How many gages there are, two of which are the initializer's."""
    with stores.session(lab, "gages") as session:
        return session.scalar(select(func.count()).select_from(Gage)) or 0


def where(ground: TestServer, database: str = "lab_gages") -> str:
    """How a load calls a database."""
    port = make_url(ground.url).port
    return f"/{database}.sqlite" if port is None else f"{port}/{database}"


def connections(ground: TestServer, database: str = "lab_gages") -> int:
    """How many connections of stores there are to a database."""
    return ground.connections(database)


# --- E9: linked elsewhere, moved, unlinked, another password ----------------------------------


def test_e9_a_store_linked_elsewhere_by_another_process_is_used_there_and_no_request_fails(
    running: Stores, lab: type[App], ground: TestServer, elsewhere: Elsewhere
) -> None:
    other = ground.new_service("other")
    running.registry.put_service(other)
    running.links.add("other", lab, "gages")
    assert running.sync(lab, ["gages"])[0].ok
    running.links.add("main", lab, "gages")
    engine, factory = running.engine(lab, "gages"), running.sessionmaker(lab, "gages")
    port = make_url(other.url).port
    there = "stores-other/lab_gages.sqlite" if port is None else f"{port}/lab_gages"
    with Load(running, lab) as load:
        load.until_at(where(ground))
        elsewhere.do("link_gages", service="other")
        load.until_at(there)
        until(lambda: connections(ground) == 0, "the old connections are closed")
    assert load.failed == []
    assert (running.engine(lab, "gages"), running.sessionmaker(lab, "gages")) == (engine, factory)
    moved = rows(running, lab) - 2
    elsewhere.do("link_gages", service="main")
    until(lambda: rows(running, lab) - 2 == len(load.written) - moved, "no row is lost")
    assert 0 < moved < len(load.written)


def test_e9_a_store_moved_to_another_database_by_another_process_is_used_there(
    running: Stores, lab: type[App], ground: TestServer, elsewhere: Elsewhere
) -> None:
    ground.make_database("moved")
    ground.run_sql("moved", "CREATE TABLE gage (number VARCHAR(20) PRIMARY KEY, altitude FLOAT NOT NULL)")
    if ground.server is not None:
        ground.run_sql("moved", "ALTER TABLE gage OWNER TO penstock")
    engine = running.engine(lab, "gages")
    with Load(running, lab) as load:
        load.until_at(where(ground))
        elsewhere.do("move_gages", database="moved")
        load.until_at(where(ground, "moved"))
        until(lambda: connections(ground) == 0, "the old connections are closed")
    assert load.failed == []
    assert running.engine(lab, "gages") is engine
    assert engine.url.database is not None
    assert "moved" in engine.url.database


def test_e9_a_store_that_another_process_unplugged_is_said_to_be_unplugged_and_let_go(
    running: Stores, lab: type[App], ground: TestServer, elsewhere: Elsewhere
) -> None:
    engine = running.engine(lab, "gages")
    with Load(running, lab) as load:
        load.until_at(where(ground))
        elsewhere.do("unlink_gages")
        load.until_failed(NotLinked)
        until(lambda: connections(ground) == 0, "the old connections are closed")
    assert {type(error) for error in load.failed} == {NotLinked}
    with pytest.raises(NotLinked, match=r"penstock link .* lab:gages"):
        engine.connect()
    elsewhere.do("link_gages", service="main")
    with Load(running, lab) as again:
        again.until_at(where(ground))
    assert all(isinstance(error, NotLinked) for error in again.failed)
    assert running.engine(lab, "gages") is engine


def end_idle(ground: TestServer) -> None:
    """End the sessions in the store that do nothing."""
    for (session,) in ground.run_sql(WORDS[ground.kind].home, IDLE[ground.kind]):
        with suppress(pymysql.Error):  # It may have ended by itself.
            ground.run_sql(WORDS[ground.kind].home, END[ground.kind].format(session))


@pytest.mark.parametrize("how", ["another file", "the same file"])
@pytest.mark.parametrize("ground", ["postgresql", "mariadb"], indirect=True)
def test_e9_a_changed_password_is_used_by_those_who_connect_after_it_changed(
    sqlite_registry: RegistryHome,
    workers: Workers,
    ground: TestServer,
    lab: type[App],
    tmp_path: Path,
    how: str,
) -> None:
    file = tmp_path / "password"
    file.write_text(password_of(ground))
    with running_stores(sqlite_registry, ground, lab) as stores:
        elsewhere = Elsewhere(sqlite_registry, workers)
        elsewhere.do("edit_service", service="main", password_file=str(file))
        until(lambda: rows(stores, lab) == 2, "the store is used")
        engine = stores.engine(lab, "gages")
        with ExitStack() as changed:
            with Load(stores, lab) as load:
                load.until_at(where(ground))
                until(lambda: connections(ground) >= 8, "every thread has its connection")
                changed.enter_context(password_changed(ground, "changed"))
                if how == "the same file":
                    file.write_text("changed\n")
                else:
                    (tmp_path / "new").write_text("changed")
                    elsewhere.do("edit_service", service="main", password_file=str(tmp_path / "new"))
                before = len(load.written)
                end_idle(ground)
                until(lambda: len(load.written) > before + 50, "requests go on")
            assert [e for e in load.failed if not isinstance(e, OperationalError) or _refused(e)] == []
            assert stores.engine(lab, "gages") is engine
            old = stores.url(lab, "gages").set(password=password_of(ground))
            with pytest.raises(OperationalError) as caught, logged_in(old):
                pass
            assert _refused(caught.value)


def _refused(error: BaseException) -> bool:
    return any(said in str(error) for said in ("password authentication failed", "Access denied"))


@pytest.mark.parametrize("ground", ["postgresql", "mariadb"], indirect=True)
def test_e9_a_refused_login_looks_the_address_up_though_the_interval_is_not_over(
    sqlite_registry: RegistryHome,
    workers: Workers,
    ground: TestServer,
    lab: type[App],
    tmp_path: Path,
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong")
    slow = EngineOptions(refresh_interval=3600)
    with Stores(sqlite_registry.open(), apps=[lab], engine_options=slow) as stores:
        stores.registry.put_service(ground.service)
        stores.links.add("main", lab, "gages")
        assert stores.sync(lab, ["gages"])[0].ok
        assert rows(stores, lab) == 2
        elsewhere = Elsewhere(sqlite_registry, workers)
        elsewhere.do("edit_service", service="main", password_file=str(wrong))
        stores.engine(lab, "gages").dispose()
        assert rows(stores, lab) == 2  # Nothing was refused, so nothing was looked up.
        copy = tmp_path / "copy"
        copy.write_text("changed")
        elsewhere.do("edit_service", service="main", password_file=str(copy))
        with password_changed(ground, "changed"):
            stores.engine(lab, "gages").dispose()
            assert rows(stores, lab) == 2


def test_e9_a_registry_that_can_not_be_asked_leaves_the_stores_where_they_are(
    sqlite_registry: RegistryHome, postgresql_ground: TestServer, lab: type[App], tmp_path: Path
) -> None:
    with running_stores(sqlite_registry, postgresql_ground, lab) as stores, Load(stores, lab) as load:
        load.until_at(where(postgresql_ground))
        file = tmp_path / ".penstock" / "registry.sqlite3"
        file.rename(file.with_name("away"))
        file.write_text("no database at all")
        before = len(load.written)
        until(lambda: len(load.written) > before + 200, "requests go on")
        file.unlink()
        file.with_name("away").rename(file)
    assert load.failed == []


# --- E3: a file that was made anew ------------------------------------------------------------------


def numbers(ground: TestServer, store: str = "lab_gages") -> set[str]:
    """The gages in a file, read without Penstock."""
    return {number for (number,) in ground.run_sql(store, "SELECT number FROM gage")}


def test_e3_a_file_that_another_process_made_anew_is_noticed_and_no_write_is_lost(
    stores_on: Callable[..., Stores], lab: type[App], sqlite_ground: TestServer, workers: Workers
) -> None:
    stores = stores_on(sqlite_ground, lab)
    assert stores.sync(lab, ["gages"])[0].ok
    engine = stores.engine(lab, "gages")
    path = str(sqlite_ground.directory / "lab_gages.sqlite")
    assert rows(stores, lab) == 2
    for turn in range(5):
        assert engine.pool.budget.state().idle
        assert workers.run("make_file_anew", path=path).status == 0
        with stores.begin(lab, "gages") as session:
            session.add(Gage(number=f"after {turn}", altitude=1))
        assert numbers(sqlite_ground) == {"anew", f"after {turn}"}
    assert workers.run("remove_file", path=path).status == 0
    with pytest.raises(StoreNotCreated), stores.begin(lab, "gages") as session:
        session.add(Gage(number="lost", altitude=1))
    assert not os.path.exists(path)
    assert stores.engine(lab, "gages") is engine


def test_e3_tasks_notice_it_too(
    stores_on: Callable[..., Stores], lab: type[App], sqlite_ground: TestServer, workers: Workers
) -> None:
    path = str(sqlite_ground.directory / "lab_gages.sqlite")

    async def write(*names: str) -> None:
        for name in names:
            async with lab.gages.aio.begin() as session:
                session.add(Gage(number=name, altitude=1))
            if name == "before":
                assert workers.run("make_file_anew", path=path).status == 0
        await lab.gages.aio.engine.dispose()

    with use(stores_on(sqlite_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].ok
        asyncio.run(write("before", "after"))
    assert numbers(sqlite_ground) == {"anew", "after"}


def test_e3_a_store_made_anew_leaves_its_siblings_connections_alone(
    stores_on: Callable[..., Stores], lab: type[App], sqlite_ground: TestServer, workers: Workers
) -> None:
    stores = stores_on(sqlite_ground, lab)
    for name in ("logan", "provo"):
        stores.create(lab, f"basins.{name}")
        with stores.begin(lab, f"basins.{name}") as session:
            session.add(Gage(number="before", altitude=1))
    (kept,) = idle_connections(stores, lab, "basins.provo")
    path = str(sqlite_ground.directory / "lab_basins_logan.sqlite")
    assert workers.run("make_file_anew", path=path).status == 0
    for name in ("logan", "provo"):
        with stores.begin(lab, f"basins.{name}") as session:
            session.add(Gage(number="after", altitude=1))
    assert numbers(sqlite_ground, "lab_basins_logan") == {"anew", "after"}
    assert numbers(sqlite_ground, "lab_basins_provo") == {"before", "after"}
    assert idle_connections(stores, lab, "basins.provo") == [kept]


def idle_connections(stores: Stores, lab: type[App], store: str) -> list[Any]:
    """The driver's connections to a store that nobody uses."""
    pool = stores.engine(lab, store).pool
    return [entry.driver_connection for entry in pool.budget.idle_of(pool)]
