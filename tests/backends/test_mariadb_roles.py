"""Roles of a store's own on MariaDB: table by table, for exactly one database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError

from fix_apps import all_ok, count
from fix_mariadb import SERVICE_RIGHTS, limited
from fix_roles import code_of, denied, edit, log_in, logged_in, roles_on, steps_of
from penstock import App, Database, Stores, use
from penstock.backends import StoreRole
from penstock.backends.mysql.roles import make_verifier
from penstock.connect import ServiceAccount, seal_password
from penstock.errors import PermissionRefused, ServerError, StoreNotOurs
from penstock.registry import RoleMode
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

    from fix_mariadb import MariaDBServer
    from fix_servers import TestServer
    from penstock.secrets import Keyring

NO_ENTRY, LOCKED = 1044, 4151


@pytest.fixture
def stores(
    mariadb_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> Iterator[Stores]:
    """`Stores` in use whose store `gages` is there, with roles of its own."""
    with use(role_stores_on(mariadb_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].error is None
        yield stores


def refused_with(url: URL) -> object:
    """The number with which a login is refused."""
    with pytest.raises(OperationalError) as caught, logged_in(url):
        pass
    return code_of(caught.value)


def test_a_store_has_two_roles_and_a_login_that_begins_with_each(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    found = mariadb.run(
        "SELECT user, is_role, default_role FROM mysql.user WHERE user LIKE 'lab%' ORDER BY 1"
    )
    assert [(name.split("_")[3], is_role) for name, is_role, _ in found] == [
        ("app", "Y"),
        ("app", "N"),
        ("reader", "Y"),
        ("reader", "N"),
    ]
    assert [begins for _, is_role, begins in found if is_role == "N"] == [
        name for name, is_role, _ in found if is_role == "Y"
    ]


def test_the_name_of_a_store_is_no_pattern_for_those_of_other_databases(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    mariadb.run("CREATE DATABASE labXgages")
    mariadb.run("CREATE TABLE labXgages.gage (number int)")
    mariadb.run("CREATE FUNCTION labXgages.one() RETURNS int DETERMINISTIC RETURN 1")
    mariadb.run("CREATE FUNCTION lab_gages.one() RETURNS int DETERMINISTIC RETURN 1")
    with log_in(stores, lab, "gages") as app:
        assert app.execute("SELECT lab_gages.one()").fetchone() == (1,)
        assert ("labXgages",) not in app.execute("SHOW DATABASES").fetchall()
        for attempt in (
            "USE labXgages",
            "SELECT * FROM labXgages.gage",
            "CREATE TEMPORARY TABLE labXgages.t (a int)",
        ):
            with denied():
                app.execute(attempt)
        with pytest.raises(OperationalError, match="1370"):
            app.execute("SELECT labXgages.one()")
    assert refused_with(stores.url(lab, "gages").set(database="labXgages")) == NO_ENTRY


def test_a_table_that_somebody_made_by_hand_is_the_apps_after_the_next_sync(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    mariadb.run("CREATE TABLE lab_gages.note (word varchar(9))")
    with log_in(stores, lab, "gages") as app:
        with denied():
            app.execute("INSERT INTO note VALUES ('wet')")
        assert "give lab_gages roles of its own" in steps_of(stores, lab)
        all_ok(stores, lab)
        app.execute("INSERT INTO note VALUES ('wet')")


def test_sequences_and_temporary_tables_are_the_apps_and_not_the_readers(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    mariadb.run("CREATE SEQUENCE lab_gages.counter")
    all_ok(stores, lab)
    with log_in(stores, lab, "gages") as app, log_in(stores, lab, "gages", StoreRole.READER) as reader:
        app.execute("CREATE TEMPORARY TABLE staged LIKE gage")
        app.execute("INSERT INTO staged VALUES ('1', 1.0)")
        app.execute("DROP TEMPORARY TABLE staged")
        assert app.execute("SELECT NEXTVAL(counter)").fetchone() == (1,)
        for attempt in ("SELECT NEXTVAL(counter)", "CREATE TEMPORARY TABLE staged (a int)"):
            with denied():
                reader.execute(attempt)


def test_a_store_whose_name_is_too_long_for_a_pattern_has_all_but_temporary_tables(
    mariadb_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    class Long(App):
        package = "a_b_c_d_e_f_g_h_i_j_k_l_m_n_o_p_q_r_s_t_u_v_w"
        gages = Database("Every gage.", metadata=lab.gages.setting.metadata)

    with use(role_stores_on(mariadb_ground, Long)) as stores:
        all_ok(stores, Long)
        assert not [step for step in steps_of(stores, Long) if "roles" in step]
        with log_in(stores, Long, "gages") as app:
            app.execute("INSERT INTO gage VALUES ('1', 1.0)")
            with denied():
                app.execute("CREATE TEMPORARY TABLE staged (a int)")
    assert len(roles_on(mariadb_ground)) == 4


# --- whose they are -------------------------------------------------------------------------------


def test_a_role_that_somebody_else_made_is_left_alone_until_the_service_may_give_it_to_others(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    role = stores.url(lab, "gages").username.rpartition("_")[0]
    mariadb.run(f"DROP ROLE {role}")
    mariadb.run(f"CREATE ROLE {role}")
    [result] = stores.sync(lab, ["gages"])
    assert isinstance(result.error, StoreNotOurs)
    assert role in result.error.what
    mariadb.run(result.error.hint.partition("do: ")[2])
    [result] = stores.sync(lab, ["gages"])
    assert isinstance(result.error, StoreNotOurs)  # The login has been a stranger's since.
    mariadb.run(f"DROP USER {stores.url(lab, 'gages').username}")
    all_ok(stores, lab)
    assert count(lab.gages) == 2


def test_a_person_who_was_given_a_stores_role_by_hand_is_not_dropped_with_it(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    role = stores.url(lab, "gages", role=StoreRole.READER).username.rpartition("_")[0]
    mariadb.run("CREATE USER ann IDENTIFIED BY 'pw'")
    with mariadb.connect(user="penstock") as service, service.cursor() as cursor:
        cursor.execute(f"GRANT {role} TO ann")
    stores.drop(lab, "gages", now=True)
    assert mariadb.users() == {"ann"}


def test_sessions_of_a_login_that_is_dropped_are_ended(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    with log_in(stores, lab, "gages") as old:
        old.execute("SELECT 1")
        stores.logins.renew(lab, "gages")
        assert stores.logins.retire(lab, "gages", grace=0).left == ()
        with pytest.raises(OperationalError):
            old.execute("SELECT 1")


# --- kept after a drop ----------------------------------------------------------------------------


def test_while_a_store_is_kept_its_logins_reach_neither_it_nor_what_has_its_name_next(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    old = stores.url(lab, "gages")
    stores.drop(lab, "gages")
    [kept] = stores.kept.entries()
    mariadb.run("CREATE DATABASE lab_gages")
    mariadb.run("CREATE TABLE lab_gages.gage (number int)")
    for database in ("lab_gages", kept.database, "information_schema"):
        assert refused_with(old.set(database=database)) == LOCKED
    mariadb.run("DROP DATABASE lab_gages")
    stores.kept.undrop(lab, "gages")
    assert stores.url(lab, "gages") == old
    assert count(lab.gages) == 2


def test_a_store_that_comes_back_after_another_had_its_name_has_its_logins(
    stores: Stores, lab: type[App], mariadb_ground: TestServer
) -> None:
    old = stores.url(lab, "gages")
    stores.drop(lab, "gages")
    [first] = stores.kept.entries()
    all_ok(stores, lab)
    assert stores.url(lab, "gages").username != old.username
    assert refused_with(old) == LOCKED
    stores.drop(lab, "gages")
    stores.kept.undrop(lab, "gages", first.database)
    assert stores.url(lab, "gages") == old
    assert count(lab.gages) == 2
    stores.kept.purge(every=True)
    assert len(roles_on(mariadb_ground)) == 4
    assert count(lab.gages) == 2


def test_a_store_that_cannot_be_set_aside_goes_on_as_it_was(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    mariadb.run("CREATE VIEW lab_gages.seen AS SELECT 1 AS one")
    with pytest.raises(Exception, match="view seen"):
        stores.drop(lab, "gages")
    assert count(lab.gages) == 2


# --- what the service may do ----------------------------------------------------------------------


def test_t20_a_user_that_may_not_make_users_uses_its_own_rights_until_an_administrator_did_what_is_said(
    mariadb: MariaDBServer, mariadb_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    may = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES ON `lab\\_%`.*"
    ground = limited(mariadb, mariadb_ground, may)
    with use(role_stores_on(ground, lab)) as stores:
        all_ok(stores, lab)
        status = stores.store_status(lab, "gages")
        assert (status.roles, status.health.value) == ("service", "ready")
        assert "limited@% may not do" in status.no_roles
        [health] = stores.services.check()
        assert isinstance(health.no_roles, PermissionRefused)
        hint = health.no_roles.hint.partition("do: ")[2]
        mariadb.run("DROP DATABASE lab_gages")
        stores.drop(lab, "gages")
    mariadb.run(hint)
    with use(role_stores_on(ground, lab)) as stores:
        all_ok(stores, lab)
        assert stores.store_status(lab, "gages").roles == "store"
        assert count(lab.gages) == 2


def test_t20_a_user_that_must_give_roles_and_cannot_makes_no_database(
    mariadb: MariaDBServer, mariadb_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(limited(mariadb, mariadb_ground, "CREATE ON *.*"), lab)
    edit(stores, roles=RoleMode.STORE)
    [result] = stores.sync(lab, ["gages"])
    assert isinstance(result.error, PermissionRefused)
    assert mariadb.databases() == set()


def test_z1_nobody_but_those_who_need_it_may_connect(
    stores: Stores, lab: type[App], mariadb: MariaDBServer
) -> None:
    mariadb.run("CREATE USER stranger IDENTIFIED BY 'pw'")
    lab.basins.create("logan")
    stranger = stores.url(lab, "gages").set(username="stranger", password="pw")
    for database in ("lab_gages", "lab_basins_logan"):
        assert refused_with(stranger.set(database=database)) == NO_ENTRY
    with logged_in(stranger.set(database="")) as session:
        assert session.execute("SHOW DATABASES").fetchall() == [("information_schema",)]


def test_logins_may_come_from_where_the_services_user_may(
    mariadb: MariaDBServer, mariadb_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, EXECUTE, PROCESS, CREATE TEMPORARY TABLES"
    mariadb.run("CREATE USER near@'127.0.0.%' IDENTIFIED BY 'pw'")
    mariadb.run(f"GRANT {rights}, CREATE USER, CONNECTION ADMIN ON *.* TO near@'127.0.0.%' WITH GRANT OPTION")
    (mariadb.folder / "pw").write_text("pw\n")
    url = mariadb_ground.service.url.replace("penstock@", "near@")
    service = replace(mariadb_ground.service, url=url, password=SecretRef("file", str(mariadb.folder / "pw")))
    with use(role_stores_on(replace(mariadb_ground, service=service), lab)) as stores:
        all_ok(stores, lab)
        assert count(lab.gages) == 2
        user = stores.url(lab, "gages").username
        assert mariadb.run(f"SELECT host FROM mysql.user WHERE user = '{user}'") == [("127.0.0.%",)]
        stores.drop(lab, "gages", now=True)
    assert mariadb.users() == {"near"}


def test_what_the_documentation_tells_an_administrator_to_grant_is_what_these_tests_have() -> None:
    page = Path(__file__).parents[2] / "docs" / "explanation" / "who-may-do-what.md"
    assert f"GRANT {SERVICE_RIGHTS} ON *.* TO" in " ".join(page.read_text().split())


# --- passwords ------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["secret", "p@ss/word:%41", "für immer"])
def test_a_verifier_is_what_the_server_would_make(password: str, mariadb: MariaDBServer) -> None:
    assert mariadb.run(f"SELECT PASSWORD('{password}')") == [(make_verifier(password),)]


def test_the_password_of_a_user_that_does_not_log_in_by_it_alone_stays_as_it_is(
    mariadb: MariaDBServer,
    mariadb_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
    keyring: Keyring,
) -> None:
    ways = "unix_socket OR mysql_native_password USING PASSWORD('pw')"
    ground = limited(mariadb, mariadb_ground, "CREATE ON *.*")
    mariadb.run(f"ALTER USER limited IDENTIFIED VIA {ways}")
    sealed = seal_password(ground.service, ServiceAccount.SERVICE, "pw", keyring)
    stores = role_stores_on(replace(ground, service=sealed), lab)
    with pytest.raises(ServerError, match="1699"):
        stores.services.rotate("main")
    assert stores.services.version("main")
