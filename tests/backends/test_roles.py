"""Roles of a store's own: made, granted, taken over, dropped, on real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from fix_apps import Gage, all_ok, count
from fix_roles import WORDS, denied, edit, log_in, logged_in, roles_on, steps_of
from penstock import MemoryRegistry, Stores
from penstock.backends import StoreRole
from penstock.errors import NotSupported
from penstock.registry import CredentialState, DatabaseRegistry, RoleMode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer
    from penstock import App
    from penstock.secrets import Keyring


# --- made -----------------------------------------------------------------------------------------


def test_the_app_logs_in_as_itself_and_works_as_before(role_stores: Stores, lab: type[App]) -> None:
    with role_stores.begin(lab, "gages") as session:
        user = session.scalar(text("SELECT CURRENT_USER")).partition("@")[0]
        session.add(Gage(number="1", altitude=1.0))
    assert user == role_stores.address(lab, "gages").database_address.login.url.username
    assert user.startswith("lab_gages_")
    assert count(lab.gages) == 3
    assert (
        role_stores.store_status(lab, "gages").roles,
        role_stores.store_status(lab, "gages").no_roles,
    ) == (
        "store",
        "",
    )


def test_a_second_sync_finds_the_roles_in_place(role_stores: Stores, lab: type[App]) -> None:
    before = role_stores.registry.credentials()
    assert not [step for step in steps_of(role_stores, lab) if "roles" in step]
    all_ok(role_stores, lab)
    assert role_stores.registry.credentials()[: len(before)] == before
    assert [each.state for each in before] == [CredentialState.CURRENT] * 2


def test_the_app_may_use_what_an_initializer_made_at_the_first_sync_and_at_a_later_one(
    role_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    made = iter(["note", "more"])

    def make(connection, first_time):
        connection.execute(text(f"CREATE TABLE {next(made)} (word varchar(9))"))

    lab.gages.initializer(make)
    stores = role_stores_on(role_ground, lab)
    for table in ("note", "more"):
        all_ok(stores, lab)
        with stores.begin(lab, "gages") as session:
            session.execute(text(f"INSERT INTO {table} VALUES ('wet')"))
        with log_in(stores, lab, "gages", StoreRole.READER) as reader:
            assert reader.execute(f"SELECT * FROM {table}").fetchall() == [("wet",)]


def test_an_app_can_read_its_stores_record_but_not_change_it(role_stores: Stores, lab: type[App]) -> None:
    with log_in(role_stores, lab, "gages") as app:
        assert app.execute("SELECT app, store FROM penstock_store").fetchall() == [("lab", "gages")]
        for change in ("UPDATE penstock_store SET app = 'mine'", "DELETE FROM penstock_store"):
            with denied():
                app.execute(change)


def test_a_run_time_store_has_roles_of_its_own(role_stores: Stores, lab: type[App]) -> None:
    logan, bear = (lab.basins.create(name) for name in ("logan", "bear"))
    users = {role_stores.url(lab, store.name).username for store in (logan, bear, lab.gages)}
    assert len(users) == 3
    assert (count(logan), count(bear)) == (0, 0)


def test_a_database_with_any_name_gets_roles(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    name = 'Old "Gages": 100% für\' immer'
    role_ground.make_database(name)
    role_stores.adopt(lab, "gages", name)
    all_ok(role_stores, lab)
    assert role_stores.store_status(lab, "gages").roles == "store"
    assert count(lab.gages) == 0


# --- where it can't be done -----------------------------------------------------------------------


def test_without_a_key_an_app_logs_in_as_the_services_role_and_status_says_why(
    role_ground: TestServer, lab: type[App], tmp_path: Path
) -> None:
    registry = DatabaseRegistry.at(tmp_path / "registry.sqlite3")
    with Stores(registry, apps=[lab]) as stores:
        registry.put_service(role_ground.service)
        stores.links.add("main", lab, "gages")
        all_ok(stores, lab)
        status = stores.store_status(lab, "gages")
        [health] = stores.services.check()
    assert status.roles == "service"
    assert "no key" in status.no_roles
    assert (health.roles, type(health.no_roles).__name__) == (False, "KeyMissing")
    assert roles_on(role_ground) == set()


def test_a_registry_that_forgets_gives_no_roles_unless_they_are_asked_for(
    role_ground: TestServer, lab: type[App], keyring: Keyring
) -> None:
    with Stores(MemoryRegistry(), apps=[lab], keyring=keyring) as stores:
        stores.registry.put_service(role_ground.service)
        stores.links.add("main", lab, "gages")
        assert not [step for step in steps_of(stores, lab) if "roles" in step]
        edit(stores, roles=RoleMode.STORE)
        all_ok(stores, lab)
        assert stores.store_status(lab, "gages").roles == "store"


def test_a_store_without_roles_has_no_address_for_readers(
    stores_on: Callable[..., Stores], lab: type[App], ground: TestServer
) -> None:
    with pytest.raises(NotSupported, match="no login for readers"):
        stores_on(ground, lab).url(lab, "gages", role=StoreRole.READER)


# --- taken over -----------------------------------------------------------------------------------


def test_a_store_made_without_roles_gets_them_by_the_next_sync(
    role_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(role_ground, lab)
    edit(stores, roles=RoleMode.SERVICE)
    all_ok(stores, lab)
    with stores.begin(lab, "gages") as session:
        session.execute(text("CREATE TABLE note (word varchar(9))"))
        session.execute(text("CREATE VIEW seen AS SELECT * FROM note"))
    edit(stores, roles=RoleMode.AUTO)
    assert "give lab_gages roles of its own" in steps_of(stores, lab)
    assert stores.store_status(lab, "gages").no_roles == "The next sync gives it its own."
    all_ok(stores, lab)
    with log_in(stores, lab, "gages") as app, log_in(stores, lab, "gages", StoreRole.READER) as reader:
        app.execute("INSERT INTO note VALUES ('wet')")
        assert reader.execute("SELECT * FROM seen").fetchall() == [("wet",)]
        with denied():
            app.execute("DROP TABLE note")


def test_a_store_of_another_deployment_is_taken_over_and_its_logins_get_in_no_more(
    role_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
    tmp_path: Path,
    keyring: Keyring,
) -> None:
    with Stores(DatabaseRegistry.at(tmp_path / "other.sqlite3"), apps=[lab], keyring=keyring) as other:
        other.registry.put_service(role_ground.service)
        other.links.add("main", lab, "basins")
        assert other.create(lab, "basins.logan")
        theirs = other.url(lab, "basins.logan")
    stores = role_stores_on(role_ground, lab)
    stores.adopt(lab, "gages", "lab_basins_logan")
    all_ok(stores, lab)
    with log_in(stores, lab, "gages") as app:
        app.execute("INSERT INTO gage VALUES ('1', 1.0)")
    with pytest.raises(OperationalError), logged_in(theirs):
        pass


def test_logins_that_are_gone_from_the_server_are_made_again_with_the_same_password(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    before = role_stores.url(lab, "gages")
    role_stores.engine(lab, "gages").dispose()
    words = WORDS[role_ground.kind]
    role_ground.run_sql(words.home, words.drop.format(before.username))
    with pytest.raises(OperationalError), log_in(role_stores, lab, "gages"):
        pass
    all_ok(role_stores, lab)
    assert role_stores.url(lab, "gages") == before
    assert count(lab.gages) == 2


def test_what_an_operator_took_from_the_app_is_not_given_back(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    group = role_stores.url(lab, "gages").username.rpartition("_")[0]
    role_ground.run_sql("lab_gages", f"REVOKE DELETE ON gage FROM {group}")
    all_ok(role_stores, lab)
    with log_in(role_stores, lab, "gages") as app, denied():
        app.execute("DELETE FROM gage")


# --- dropped --------------------------------------------------------------------------------------


def test_after_a_change_to_no_roles_apps_log_in_as_the_service_and_a_drop_leaves_none(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    edit(role_stores, roles=RoleMode.SERVICE)
    assert role_stores.url(lab, "gages").username == "penstock"
    all_ok(role_stores, lab)
    with role_stores.begin(lab, "gages") as session:
        session.execute(text("CREATE TABLE mine (id int)"))
        assert session.query(Gage).count() == 2
    assert len(roles_on(role_ground)) == WORDS[role_ground.kind].each
    role_stores.drop(lab, "gages", now=True)
    assert roles_on(role_ground) == set()


def test_roles_go_with_their_store_while_the_app_and_a_reader_are_connected(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    lab.basins.create("logan")
    before = roles_on(role_ground)
    with (
        log_in(role_stores, lab, "basins.logan"),
        log_in(role_stores, lab, "basins.logan", StoreRole.READER),
        lab.basins["logan"].engine.connect(),
    ):
        role_stores.drop(lab, "basins.logan", now=True)
    after = roles_on(role_ground)
    assert {name for name in before if "logan" in name} == before - after
    assert len(before - after) == WORDS[role_ground.kind].each
    assert {each.database for each in role_stores.registry.credentials()} == {"lab_gages"}


def test_roles_of_a_store_whose_database_is_gone_are_dropped_too(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    role_ground.drop_database("lab_gages")
    role_stores.drop(lab, "gages")
    assert roles_on(role_ground) == set()
    assert role_stores.registry.credentials() == []


def test_a_refreshed_store_has_new_roles_and_its_engine_finds_them(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    before, engine = roles_on(role_ground), lab.gages.engine
    assert count(lab.gages) == 2
    all_ok(role_stores, lab, refresh=True)
    after = roles_on(role_ground)
    assert before & after == set()
    assert len([name for name in after if name.startswith("lab_gages")]) == WORDS[role_ground.kind].each
    assert lab.gages.engine is engine
    assert count(lab.gages) == 2


def test_a_store_whose_database_went_gets_new_roles_and_the_old_ones_go(
    role_stores: Stores, lab: type[App], role_ground: TestServer
) -> None:
    before = roles_on(role_ground)
    role_ground.drop_database("lab_gages")
    all_ok(role_stores, lab)
    assert count(lab.gages) == 2
    assert before & roles_on(role_ground) == set()
    assert {each.login for each in role_stores.registry.credentials()} <= roles_on(role_ground)
