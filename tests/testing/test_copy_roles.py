"""Test copies log in with the rights of the real store's app and reader."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError

from fix_apps import Base, Gage, count, make_lab, seed, seed_with_tables
from fix_roles import denied, log_in, logged_in, roles_on
from fix_runs import start_a_run
from penstock import App, Database, Service, use
from penstock.backends import StoreRole
from penstock.declare import run_of_copy
from penstock.errors import NotSupported
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import PostgreSQLServer, TestServer
    from penstock import Stores


class Both(App):
    """An app with a store whose tables Penstock makes, one whose tables it makes itself, and a kind."""

    package = "both"
    ours = Database("Penstock's tables.", metadata=Base.metadata, initializer=seed)
    own = Database("The app's tables.", initializer=seed_with_tables)
    said = Database("The app's tables, too.", metadata=Base.metadata, tables="app")
    kinds = Database("Many.", metadata=Base.metadata, many=True)


def make_table(stores: Stores, name: str) -> None:
    """What apps do at run time: `metadata.create_all(engine)`."""
    with stores.engine(Both, name).begin() as connection:
        connection.execute(text("CREATE TABLE extra (id integer PRIMARY KEY)"))
        connection.execute(text("INSERT INTO extra VALUES (1)"))


def check_rights(stores: Stores) -> None:
    """What the app may do in each of its stores, and what its readers may."""
    with denied():
        make_table(stores, "ours")
    for name in ("own", "said"):
        make_table(stores, name)
        with log_in(stores, Both, name, StoreRole.READER) as reader:
            assert reader.execute("SELECT id FROM extra").scalar_one() == 1
            with pytest.raises(DBAPIError):
                reader.execute("INSERT INTO extra VALUES (2)")
    for name in ("ours", "own"):
        with stores.begin(Both, name) as session:
            session.add(Gage(number="by the app", altitude=3))
        with log_in(stores, Both, name, StoreRole.READER) as reader:
            assert reader.execute(f"SELECT COUNT(*) FROM {Gage.__tablename__}").scalar_one() == 3
            with pytest.raises(DBAPIError):
                reader.execute(f"DELETE FROM {Gage.__tablename__}")


def test_b2_an_app_may_do_in_a_copy_what_it_may_do_for_real(
    role_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    real = role_stores_on(role_ground, Both)
    assert [str(result.error) for result in real.sync(Both) if not result.ok] == []
    with use(real):
        check_rights(real)
    with stores_for_tests([Both], like=real) as copies, use(copies):
        check_rights(copies)
        with copies.fresh("one") as fresh, use(fresh):
            check_rights(fresh)
    real.drop(Both, "ours")


def test_b2_in_a_block_that_is_rolled_back_rights_are_the_same(role_ground: TestServer) -> None:
    with stores_for_tests([Both], service=role_ground.service) as copies:
        for _ in range(2):
            with copies.rolled_back() as stores, use(stores):
                with pytest.raises((DBAPIError, NotSupported)):
                    make_table(stores, "ours")
                with stores.begin(Both, "ours") as session:
                    session.add(Gage(number="by the app", altitude=3))


def test_b2_an_app_reaches_no_other_stores_copy_and_no_other_set_of_them(role_ground: TestServer) -> None:
    with stores_for_tests([Both], service=role_ground.service) as copies:
        for name, other in (("ours", "own"), ("own", "ours")):
            url = copies.url(Both, name).set(database=copies.address(Both, other).database)
            with pytest.raises(DBAPIError), logged_in(url):
                pass


def test_b2_copies_of_run_time_stores_have_the_rights_too(role_ground: TestServer) -> None:
    with stores_for_tests([Both], service=role_ground.service) as copies, use(copies):
        for member in ("one", "two"):
            Both.kinds.create(member)
            with denied():
                make_table(copies, f"kinds.{member}")
        Both.kinds.drop("one")
        with Both.kinds["two"].begin() as session:
            session.add(Gage(number="still there", altitude=1))


def test_b2_a_copy_can_be_made_again_and_synced_again(role_ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=role_ground.service) as copies, use(copies):
        for _ in range(2):
            copies.drop(lab, "gages", now=True)
            assert copies.sync(lab, ["gages"])[0].ok
            assert copies.sync(lab, ["gages"])[0].ok
            assert count(lab.gages) == 2


# --- nothing is left ------------------------------------------------------------------------------


def test_b2_the_roles_of_copies_go_with_the_run(role_ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab, Both], service=role_ground.service) as copies, use(copies):
        lab.basins.create("logan")
        with copies.fresh("one"):
            assert {run_of_copy(role) for role in roles_on(role_ground)} == {copies.copies.run}
        assert roles_on(role_ground)
    assert (roles_on(role_ground), role_ground.databases()) == (set(), set())


def test_b2_many_sets_of_copies_have_no_more_roles_than_one(role_ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=role_ground.service) as copies:
        before = roles_on(role_ground)
        for number in range(3):
            with copies.fresh(str(number)):
                assert roles_on(role_ground) == before
        assert roles_on(role_ground) == before


def test_b2_two_workers_share_templates_and_neither_the_other_ones_end(role_ground: TestServer) -> None:
    started = Barrier(2)

    def work(worker: int) -> int:
        with stores_for_tests([Both], service=role_ground.service, run="one", worker=f"gw{worker}") as copies:
            started.wait(60)
            check_rights(copies)
            for number in range(3 - 2 * worker):
                with copies.fresh(str(number)) as fresh, denied():
                    make_table(fresh, "ours")
            return 1

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, range(2))) == [1, 1]
    assert (roles_on(role_ground), role_ground.databases()) == (set(), set())


def test_b2_the_roles_of_a_killed_run_are_removed_by_the_next_one(
    role_ground: TestServer, lab: type[App]
) -> None:
    with start_a_run(role_ground) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
    assert process.returncode == -9
    assert {run_of_copy(role) for role in roles_on(role_ground)} == {run}
    with stores_for_tests([lab], service=role_ground.service) as copies:
        assert {run_of_copy(role) for role in roles_on(role_ground)} == {copies.copies.run}
    assert (roles_on(role_ground), role_ground.databases()) == (set(), set())


def test_b2_roles_whose_copies_are_gone_are_removed_by_the_next_one(
    role_ground: TestServer, lab: type[App]
) -> None:
    with start_a_run(role_ground) as process:
        assert process.stdout is not None
        process.stdout.readline()
    for database in role_ground.databases():
        role_ground.drop_database(database)
    assert roles_on(role_ground)
    with stores_for_tests([lab], service=role_ground.service):
        pass
    assert roles_on(role_ground) == set()


def test_b2_the_roles_of_real_stores_and_of_runs_that_go_on_are_left_alone(
    role_ground: TestServer, role_stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    real = role_stores_on(role_ground, lab)
    assert real.sync(lab, ["gages"])[0].ok
    own = roles_on(role_ground)
    with start_a_run(role_ground) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        with stores_for_tests([make_lab()], service=role_ground.service):
            pass
        assert {run_of_copy(role) for role in roles_on(role_ground) - own} == {run}
        assert own <= roles_on(role_ground)
    with stores_for_tests([make_lab()], service=role_ground.service):
        pass
    assert roles_on(role_ground) == own


def test_b2_a_service_that_may_make_no_roles_makes_copies_without_them(
    postgresql: PostgreSQLServer, lab: type[App]
) -> None:
    with postgresql.connect() as connection:
        connection.execute("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'it is'")
    before = postgresql.roles()
    service = Service(name="main", url=f"postgresql://maker:it%20is@127.0.0.1:{postgresql.port}")
    with stores_for_tests([lab], service=service) as stores, use(stores):
        assert count(lab.gages) == 2
        assert postgresql.roles() == before
        MetaData().create_all(lab.gages.engine)
