"""Test copies of stores: made from templates, a set per worker, gone at the end."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from fix_apps import Base, Gage, all_ok, count, make_lab, seed
from fix_runs import start_a_run
from penstock import App, Database, MemoryRegistry, NewStore, Service, Stores, use
from penstock.declare import Copies, StoreName, run_of_copy
from penstock.errors import ConfigUnsafe, InitializerError, NotLinked, StoreNotCreated
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

    from fix_servers import PostgreSQLServer, TestServer

LEFT = "penstock_test_0123abcd"
"""What the names of a run begin with that is over."""


def test_copies_are_made_seeded_and_gone_with_the_block(ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=ground.service) as copies, use(copies):
        assert count(lab.gages) == 2
        assert {run_of_copy(database) for database in ground.databases()} == {copies.copies.run}
    assert ground.databases() == set()


def test_copies_leave_the_apps_own_stores_alone(ground: TestServer, stores: Stores, lab: type[App]) -> None:
    all_ok(stores, lab)
    with stores_for_tests([lab], like=stores) as copies, use(copies):
        with lab.gages.begin() as session:
            session.add(Gage(number="a test's", altitude=1))
        assert count(lab.gages) == 3
    assert count(lab.gages) == 2
    assert ground.databases() == {"lab_gages"}


def test_copies_are_where_an_address_in_the_environment_leads_but_beside_what_is_there(
    ground: TestServer, stores: Stores, lab: type[App], monkeypatch: pytest.MonkeyPatch
) -> None:
    all_ok(stores, lab)
    url = stores.url(lab, "gages")
    monkeypatch.setenv("PENSTOCK_STORE__LAB__GAGES", url.render_as_string(hide_password=False))
    with stores_for_tests([lab], like=stores) as copies, use(copies):
        assert run_of_copy(str(copies.address(lab, "gages").database))
    assert count(lab.gages) == 2


def test_t11_copies_of_run_time_stores_go_with_the_run(ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=ground.service) as copies, use(copies):
        lab.basins.create("logan")
        copies.create(lab, "scratch", NewStore(connection="servers"))
        assert copies.names(lab) == ["gages", "basins.logan", "scratch"]
    assert ground.databases() == set()


def test_t11_a_run_time_store_is_copied_without_saying_more_than_its_name(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    stores.create(lab, "scratch", NewStore(connection="servers", initializer="fix_apps:seed_with_tables"))
    with stores_for_tests([lab], like=stores) as copies, use(copies):
        copies.create(lab, "scratch")
        with copies.session(lab, "scratch") as session:
            assert session.query(Gage).count() == 2
    assert ground.databases() == {"lab_scratch"}


def test_t11_an_unlinked_optional_store_stops_no_copies(
    ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    stores = stores_on(ground, lab, links=("gages",))
    with stores_for_tests([lab], like=stores) as copies, use(copies):
        assert count(lab.gages) == 2


def test_a_required_store_without_a_service_is_named(
    ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    stores = stores_on(ground, lab, links=("basins",))
    with pytest.raises(NotLinked, match="gages"), stores_for_tests([lab], like=stores):
        pass
    assert ground.databases() == set()


def test_an_initializer_that_fails_is_told_and_nothing_is_left(ground: TestServer) -> None:
    def fail(engine: Engine, first_time: bool) -> None:
        raise ValueError("no gage like that")

    class Lab(App):
        package = "lab"
        gages = Database("Every gage.", metadata=Base.metadata, initializer=fail)

    with (
        pytest.raises(InitializerError, match="no gage like that"),
        stores_for_tests([Lab], service=ground.service),
    ):
        pass
    assert ground.databases() == set()


def test_e10_a_copy_has_a_record_of_its_own(ground: TestServer, lab: type[App]) -> None:
    read = "SELECT store_id, app, store, purpose, copied_from, initialised IS NOT NULL FROM penstock_store"
    with stores_for_tests([lab], service=ground.service) as copies, copies.fresh("other") as other:
        mine = copies.address(lab, "gages").database
        others = other.address(lab, "gages").database
        template = Copies(copies.copies.run, "template").database("lab", StoreName("gages"))
        records = [ground.run_sql(database, read)[0] for database in (template, mine, others)]
        ids = [record[0] for record in records]
        assert len(set(ids)) == 3
        assert [record[1:4] for record in records] == [
            ("lab", "gages", "template"),
            ("lab", "gages", "store"),
            ("lab", "gages", "store"),
        ]
        assert [record[4] for record in records[1:]] == [ids[0], ids[0]]
        assert [bool(record[5]) for record in records] == [True, True, True]


def test_a_template_is_made_once_for_all_workers(ground: TestServer) -> None:
    calls: list[bool] = []

    def seed_once(engine: Engine, first_time: bool) -> None:
        calls.append(first_time)

    class Lab(App):
        package = "lab"
        gages = Database("Every gage.", metadata=Base.metadata, initializer=seed_once)

    started = Barrier(4)

    def work(worker: int) -> tuple[str, int]:
        started.wait()
        with (
            stores_for_tests([Lab], service=ground.service, run="one", worker=f"gw{worker}") as copies,
            copies.begin(Lab, "gages") as session,
        ):
            session.add(Gage(number=f"{worker}", altitude=1))
            session.flush()
            return copies.address(Lab, "gages").database, session.query(Gage).count()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert len({database for database, _ in found}) == 4
    assert [rows for _, rows in found] == [1, 1, 1, 1]
    assert calls == [True]
    assert ground.databases() == set()


def test_fresh_copies_are_apart_and_gone_with_their_block(ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=ground.service) as copies, use(copies):
        before = ground.databases()
        with copies.fresh("tests/test_lab.py::test_it[1]") as fresh, use(fresh):
            with lab.gages.begin() as session:
                session.add(Gage(number="1", altitude=1))
            lab.basins.create("logan")
            assert count(lab.gages) == 3
        assert count(lab.gages) == 2
        assert ground.databases() == before


def test_without_a_service_copies_are_files_in_a_folder_of_the_users(
    lab: type[App], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stores_for_tests([lab]) as copies, use(copies):
        assert count(lab.gages) == 2
        [folder] = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.glob("*.sqlite*")) == []


def test_a_folder_of_somebody_elses_is_not_used(
    lab: type[App], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stores_for_tests([lab]):
        [folder] = tmp_path.iterdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigUnsafe, match="only you may write"), stores_for_tests([lab]):
        pass


def test_the_longest_names_are_told_apart(ground: TestServer) -> None:
    first, second = "g" * 150 + "1", "g" * 150 + "2"
    settings = {
        first: Database("One.", metadata=Base.metadata, initializer=seed),
        second: Database("Two.", metadata=Base.metadata),
    }
    lab = type("Lab", (App,), {"package": "lab" * 20, **settings})
    with stores_for_tests([lab], service=ground.service) as copies, use(copies):
        assert (count(getattr(lab, first)), count(getattr(lab, second))) == (2, 0)
        assert all(len(database) <= 63 for database in ground.databases())


def test_a_role_that_may_only_create_databases_makes_copies(
    postgresql: PostgreSQLServer, lab: type[App]
) -> None:
    with postgresql.connect() as connection:
        connection.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'it is'")
    service = Service(name="main", url=f"postgresql://maker:it%20is@127.0.0.1:{postgresql.port}")
    with stores_for_tests([lab], service=service) as copies, use(copies):
        assert count(lab.gages) == 2
    assert postgresql.databases() == set()


# --- what a killed run leaves ---------------------------------------------------------------------


def test_what_a_killed_run_left_is_removed_by_the_next_one(ground: TestServer, lab: type[App]) -> None:
    with start_a_run(ground) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
    assert process.returncode == -9
    assert [run_of_copy(database) for database in ground.databases()] == [run] * 4
    with stores_for_tests([lab], service=ground.service) as copies:
        assert {run_of_copy(database) for database in ground.databases()} == {copies.copies.run}
    assert ground.databases() == set()
    assert ground.directory is None or list(ground.directory.iterdir()) == []


def test_a_run_that_goes_on_is_left_alone(ground: TestServer, lab: type[App]) -> None:
    with start_a_run(ground) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        with stores_for_tests([lab], service=ground.service):
            assert [run_of_copy(database) for database in ground.databases()].count(run) == 4
        assert [run_of_copy(database) for database in ground.databases()] == [run] * 4


def test_what_is_not_ours_is_kept_whatever_its_name(ground: TestServer, lab: type[App]) -> None:
    for name in (f"{LEFT}_empty", f"{LEFT}_full", "penstock_test_of_mine"):
        ground.make_database(name)
    ground.run_sql(f"{LEFT}_full", "CREATE TABLE kept (id integer)")
    with stores_for_tests([lab], service=ground.service):
        pass
    assert ground.databases() == {f"{LEFT}_full", "penstock_test_of_mine"}


# --- several at once ------------------------------------------------------------------------------


def test_runs_of_two_projects_on_one_server_do_not_meet(ground: TestServer) -> None:
    first, second = make_lab(), make_lab()
    with ExitStack() as stack:
        one = stack.enter_context(stores_for_tests([first], service=ground.service))
        two = stack.enter_context(stores_for_tests([second], service=ground.service))
        with one.begin(first, "gages") as session:
            session.add(Gage(number="1", altitude=1))
        with two.session(second, "gages") as session:
            assert session.query(Gage).count() == 2


def test_a_copy_that_was_dropped_meanwhile_stops_nothing(ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=ground.service) as copies:
        ground.drop_database(copies.address(lab, "gages").database)
        with pytest.raises(StoreNotCreated), copies.session(lab, "gages") as session:
            session.query(Gage).count()
    assert ground.databases() == set()


def test_copies_need_no_registry_that_lasts(ground: TestServer, lab: type[App]) -> None:
    stores = Stores(MemoryRegistry(), apps=[lab])
    with stores, stores_for_tests([lab], service=ground.service, like=stores) as copies, use(copies):
        assert count(lab.gages) == 2
