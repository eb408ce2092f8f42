"""Getters do no input or output, and one engine per store and process is enough."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import URL, Engine, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import sessionmaker

from fix_apps import Gage, make_lab
from penstock import App, EngineOptions, MemoryRegistry, Service, Stores, use
from penstock.errors import StorageUnavailable, StoreNotCreated
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer

MOST = 8


def getters(app: type[App]) -> dict[str, Any]:
    """What every getter of a store gives."""
    get = app.get_persistent_store_database
    return {
        "engine": app.gages.engine,
        "url": app.gages.url,
        "sessionmaker": app.gages.sessionmaker,
        "session": app.gages.session(),
        "async engine": app.gages.aio.engine,
        "async session": app.gages.aio.session(),
        "documented engine": get("gages"),
        "documented url": get("gages", as_url=True),
        "documented sessionmaker": get("gages", as_sessionmaker=True),
    }


def everything_in(folder: Path) -> list[str]:
    """Every file and directory below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- E2 -------------------------------------------------------------------------------------------


def nowhere(folder: Path) -> dict[str, str]:
    """Addresses at which nothing is."""
    return {
        "postgresql": "postgresql://somebody@127.0.0.1:1",
        "mariadb": "mariadb://somebody@127.0.0.1:1",
        "an empty directory": f"sqlite:///{folder}/empty",
        "a missing directory": f"sqlite:///{folder}/missing",
    }


@pytest.mark.parametrize("where", ["postgresql", "mariadb", "an empty directory", "a missing directory"])
def test_e2_getters_work_though_nothing_is_there_and_make_nothing(tmp_path: Path, where: str) -> None:
    (tmp_path / "empty").mkdir()
    lab = make_lab()
    registry = MemoryRegistry()
    registry.put_service(Service(name="main", url=nowhere(tmp_path)[where]))
    with use(Stores(registry, apps=[lab])) as stores:
        stores.links.add("main", lab, "gages")
        opened = opened_during(lambda: check_kinds(getters(lab)))
        assert [name for name in opened if name.startswith(("socket.connect", "sqlite3."))] == []
        assert everything_in(tmp_path) == ["empty"]
        expected = {"an empty directory": StoreNotCreated, "a missing directory": StorageUnavailable}
        with pytest.raises(expected.get(where, OperationalError)):
            lab.gages.engine.connect()
        with pytest.raises(expected.get(where, OperationalError)), lab.gages.begin() as session:
            session.execute(text("SELECT 1"))
    assert everything_in(tmp_path) == ["empty"]


def check_kinds(found: dict[str, Any]) -> None:
    """Every getter gives the kind of thing it is named after."""
    assert isinstance(found["engine"], Engine)
    assert isinstance(found["async engine"], AsyncEngine)
    assert isinstance(found["url"], URL)
    assert isinstance(found["sessionmaker"], sessionmaker)
    assert found["documented engine"] is found["engine"]
    assert found["documented sessionmaker"] is found["sessionmaker"]
    assert found["documented url"] == found["url"]


_listening: list[list[str]] = []


def _listen(name: str, args: tuple[Any, ...]) -> None:
    for heard in _listening:
        heard.append(name)


def opened_during(work: Callable[[], None]) -> list[str]:
    """The audit events of Python while something is done."""
    import sys

    if not getattr(opened_during, "installed", False):
        sys.addaudithook(_listen)
        opened_during.installed = True
    heard: list[str] = []
    _listening.append(heard)
    try:
        work()
    finally:
        _listening.remove(heard)
    return heard


def test_e2_a_store_that_was_never_created_is_said_so_at_the_first_connect(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    check_kinds(getters(lab))
    with pytest.raises(StoreNotCreated) as caught:
        lab.gages.engine.connect()
    assert caught.value.hint == "penstock syncstores lab -d gages"
    with pytest.raises(StoreNotCreated), lab.gages.session() as session:
        session.execute(select(Gage))
    assert ground.databases() == set()
    engine = lab.gages.engine
    assert stores.sync(lab, ["gages"])[0].ok
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(Gage)).scalar() == 2
    stores.drop(lab, "gages")
    with pytest.raises(StoreNotCreated):
        engine.connect()
    assert ground.databases() == set()


def test_e2_a_getter_over_a_registry_that_does_not_exist_makes_no_registry(tmp_path: Path) -> None:
    stores = Stores(DatabaseRegistry.at(tmp_path / "registry.sqlite3"), apps=[make_lab()])
    assert stores.registry.services() == []
    assert stores.names("lab") == ["gages"]
    stores.close()
    assert everything_in(tmp_path) == []


# --- T3 -------------------------------------------------------------------------------------------


def connections(ground: TestServer, database: str) -> int:
    """How many connections to a store there are, counted by who sees them all."""
    return ground.connections(database)


def test_t3_a_thousand_getter_calls_and_sessions_hold_at_most_the_budgets_connections(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer
) -> None:
    stores = stores_on(ground, lab, options=EngineOptions(max_connections=MOST))
    assert stores.sync(lab, ["gages"])[0].ok
    most = [0]
    seen: set[int] = set()

    def use_it(number: int) -> None:
        seen.add(id(stores.engine(lab, "gages")))
        with stores.session(lab, "gages") as session:
            session.scalar(select(func.count()).select_from(Gage))
            if number % 50 == 0:
                most[0] = max(most[0], connections(ground, "lab_gages"))

    with ThreadPoolExecutor(32) as threads:
        list(threads.map(use_it, range(1000)))
    assert seen == {id(stores.engine(lab, "gages"))}
    assert 1 <= most[0] <= MOST
    state = stores.engine(lab, "gages").pool.budget.state()
    assert state.open == state.idle <= MOST
    if ground.directory is None:  # SQLite closes files of a process late, but never opens more
        assert connections(ground, "lab_gages") == state.open


def test_t3_threads_that_ask_first_at_the_same_moment_get_one_engine(stores: Stores, lab: type[App]) -> None:
    together = threading.Barrier(16)

    def ask(_: int) -> tuple[int, int]:
        together.wait(10)
        return id(stores.engine(lab, "gages")), id(stores.sessionmaker(lab, "gages"))

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(ask, range(16)))) == 1


def test_t3_one_engine_serves_for_ever_also_after_the_store_is_linked_elsewhere(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    engine, factory = lab.gages.engine, lab.gages.sessionmaker
    assert stores.sync(lab, ["gages"])[0].ok
    with factory.begin() as session:
        session.add(Gage(number="on main", altitude=1))
    stores.registry.put_service(ground.new_service("other"))
    stores.links.add("other", lab, "gages")
    assert lab.gages.engine is engine
    with pytest.raises(StoreNotCreated):
        engine.connect()
    assert stores.sync(lab, ["gages"])[0].ok
    with factory() as session:
        assert session.scalar(select(func.count()).select_from(Gage)) == 2
    stores.links.add("main", lab, "gages")
    assert (lab.gages.engine, lab.gages.sessionmaker) == (engine, factory)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(Gage)).scalar() == 3


def test_t3_a_sync_of_many_stores_holds_no_connection_to_those_that_are_done(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    for name in ("logan", "provo", "weber"):
        lab.basins.create(name)
        assert connections(ground, f"lab_basins_{name}") == 0
