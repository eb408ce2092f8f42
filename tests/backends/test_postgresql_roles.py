"""Roles of a store's own on PostgreSQL: who owns what, and what the role lacks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import text

from fix_apps import all_ok
from fix_roles import denied, edit, log_in, roles_on, steps_of
from penstock import Service, Stores
from penstock.backends import StoreRole
from penstock.errors import PermissionRefused, ServerError, StoreNotOurs
from penstock.registry import DatabaseRegistry, RoleMode
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer
    from penstock import App
    from penstock.secrets import Keyring

OWNER = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'lab_gages'"
OWNERS = """
    SELECT DISTINCT relowner::regrole::text FROM pg_class
    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'"""


def test_a_store_has_an_owner_and_two_groups_that_nobody_logs_in_as_and_a_login_for_each_group(
    owner_stores: Stores, lab: type[App], owner_ground: TestServer
) -> None:
    roles = roles_on(owner_ground)
    may = owner_ground.run_sql("postgres", "SELECT rolname, rolcanlogin FROM pg_roles")
    kinds = sorted(name.split("_")[3] for name in roles)
    assert kinds == ["app", "app", "owner", "reader", "reader"]
    assert sorted(dict(may)[name] for name in roles) == [False, False, False, True, True]
    assert owner_ground.run_sql("postgres", OWNER) == [(next(r for r in roles if r.endswith("_owner")),)]
    assert owner_ground.run_sql("lab_gages", OWNERS) == owner_ground.run_sql("postgres", OWNER)


def test_what_an_initializer_makes_is_the_owners_and_the_app_may_use_it(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    def make(connection, first_time):
        if first_time:
            connection.execute(text("CREATE SCHEMA more"))
            connection.execute(text("CREATE TABLE more.note (id serial PRIMARY KEY, word text)"))

    lab.gages.initializer(make)
    stores = role_stores_on(owner_ground, lab)
    all_ok(stores, lab)
    assert len(owner_ground.run_sql("lab_gages", OWNERS)) == 1
    with stores.begin(lab, "gages") as session:
        session.execute(text("INSERT INTO more.note (word) VALUES ('wet')"))
    with log_in(stores, lab, "gages", StoreRole.READER) as reader:
        assert reader.execute("SELECT * FROM more.note").fetchall() == [(1, "wet")]


def test_t20_a_role_that_may_only_create_databases_owns_the_stores_and_status_says_what_it_lacks(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(limited(owner_ground, "CREATEDB"), lab)
    all_ok(stores, lab)
    status = stores.store_status(lab, "gages")
    assert (status.roles, status.health.value) == ("service", "ready")
    assert "limited may not create roles" in status.no_roles
    [health] = stores.services.check()
    assert health.no_roles is not None
    assert "ALTER ROLE limited CREATEROLE" in health.no_roles.hint
    public = "SELECT has_database_privilege('public', 'lab_gages', 'CONNECT')"
    assert owner_ground.run_sql("postgres", public) == [(False,)]


def test_t20_a_service_that_must_give_roles_and_cannot_makes_no_database(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(limited(owner_ground, "CREATEDB"), lab)
    edit(stores, roles=RoleMode.STORE)
    [result] = stores.sync(lab, ["gages"])
    assert isinstance(result.error, PermissionRefused)
    assert owner_ground.databases() == set()


def test_t20_a_role_that_may_create_nothing_uses_databases_that_were_made_for_it(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(limited(owner_ground, ""), lab)
    [result] = stores.sync(lab, ["gages"])
    assert isinstance(result.error, PermissionRefused)
    assert 'CREATE DATABASE "lab_gages" OWNER "limited"' in result.error.hint
    owner_ground.run_sql("postgres", 'CREATE DATABASE "lab_gages" OWNER "limited"')
    all_ok(stores, lab)
    assert stores.store_status(lab, "gages").health.value == "ready"


def test_a_role_of_the_same_name_that_is_somebody_elses_is_left_alone(
    owner_stores: Stores, lab: type[App], owner_ground: TestServer
) -> None:
    [name] = [each for (each,) in owner_ground.run_sql("postgres", OWNER)]
    owner_ground.run_sql("postgres", f"COMMENT ON ROLE {name} IS 'the boss'")
    owner_ground.run_sql("lab_gages", "ALTER TABLE gage OWNER TO penstock")
    try:
        [result] = owner_stores.sync(lab, ["gages"])
        assert isinstance(result.error, StoreNotOurs)
        assert name in result.error.what
    finally:
        owner_ground.run_sql("postgres", f"COMMENT ON ROLE {name} IS 'penstock: lab_gages'")


def limited(ground: TestServer, may: str) -> TestServer:
    """The same server, on which the service's role has the attributes named, and no others."""
    ground.run_sql("postgres", f"DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN {may} PASSWORD 'pw'")
    return replace(ground, service=service_of(ground, "limited"))


def service_of(ground: TestServer, user: str) -> Service:
    """The service, for another user whose password is `pw`, in a file."""
    assert ground.server is not None
    file = ground.server.owner_password_file.with_name("pw")
    file.write_text("pw\n")
    url = f"postgresql://{user}@127.0.0.1:{ground.server.port}"
    return Service(name="main", url=url, password=SecretRef("file", str(file)))


def test_a_store_made_without_roles_gets_them_by_the_next_sync_with_all_that_is_in_it(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(owner_ground, lab)
    edit(stores, roles=RoleMode.SERVICE)
    all_ok(stores, lab)
    with stores.begin(lab, "gages") as session:
        for statement in _EVERYTHING:
            session.execute(text(statement))
    edit(stores, roles=RoleMode.AUTO)
    assert "give lab_gages roles of its own" in steps_of(stores, lab)
    assert stores.store_status(lab, "gages").no_roles == "The next sync gives it its own."
    all_ok(stores, lab)
    assert owner_ground.run_sql("lab_gages", _LEFT) == []
    with log_in(stores, lab, "gages") as app:
        app.execute("INSERT INTO more.counted (word) VALUES ('wet')")
        assert app.execute("SELECT * FROM more.seen").fetchall() == [(1, "wet")]
        assert app.execute("SELECT more.twice(2)").fetchone() == (4,)
        assert app.execute("SELECT count(*) FROM gage").fetchone() == (2,)


_EVERYTHING = (
    "CREATE SCHEMA more",
    "CREATE TYPE more.mood AS ENUM ('wet', 'dry')",
    "CREATE TYPE more.pair AS (a int, b int)",
    "CREATE DOMAIN more.depth AS int CHECK (VALUE > 0)",
    "CREATE TABLE more.counted (id serial PRIMARY KEY, word text)",
    "CREATE TABLE more.parted (id int) PARTITION BY RANGE (id)",
    "CREATE TABLE more.part PARTITION OF more.parted FOR VALUES FROM (1) TO (9)",
    "CREATE SEQUENCE more.\"Odd 100% 'name'\"",
    "CREATE VIEW more.seen AS SELECT * FROM more.counted",
    "CREATE MATERIALIZED VIEW more.kept AS SELECT 1 AS one",
    "CREATE FUNCTION more.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'",
    "CREATE PROCEDURE more.nothing(word text DEFAULT '') LANGUAGE sql AS ''",
    "CREATE AGGREGATE more.total(int) (SFUNC = int4pl, STYPE = int)",
)
_LEFT = """
    SELECT classid::regclass, objid FROM pg_shdepend
    WHERE refobjid = 'penstock'::regrole AND deptype = 'o'
      AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def test_a_database_with_tables_is_adopted_and_its_app_gets_no_more_than_rows(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(owner_ground, lab)
    owner_ground.make_database("legacy-gages")
    make = "SET ROLE penstock; CREATE TABLE gage (number text PRIMARY KEY, altitude float); RESET ROLE"
    owner_ground.run_sql("legacy-gages", f"{make}; INSERT INTO gage VALUES ('7', 7.5)")
    stores.adopt(lab, "gages", "legacy-gages")
    all_ok(stores, lab)
    with log_in(stores, lab, "gages") as app:
        assert app.execute("SELECT number FROM gage").fetchall() == [("7",)]
        with denied():
            app.execute("ALTER TABLE gage ADD more text")


def test_a_store_of_another_deployment_is_taken_over_and_its_roles_may_do_nothing_in_it_any_more(
    owner_ground: TestServer,
    lab: type[App],
    role_stores_on: Callable[..., Stores],
    tmp_path: Path,
    keyring: Keyring,
) -> None:
    with Stores(DatabaseRegistry.at(tmp_path / "other.sqlite3"), apps=[lab], keyring=keyring) as other:
        other.registry.put_service(owner_ground.service)
        other.links.add("main", lab, "basins")
        assert other.create(lab, "basins.logan")
        theirs = other.url(lab, "basins.logan")
    stores = role_stores_on(owner_ground, lab)
    stores.adopt(lab, "gages", "lab_basins_logan")
    all_ok(stores, lab)
    assert len(owner_ground.run_sql("lab_basins_logan", OWNERS)) == 1
    with log_in(stores, lab, "gages") as app:
        app.execute("INSERT INTO gage VALUES ('1', 1.0)")
    address = theirs.set(drivername="postgresql").render_as_string(hide_password=False)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(address)


HOSTILE = {
    "a trigger": "CREATE TRIGGER t BEFORE UPDATE ON penstock_store FOR EACH ROW EXECUTE FUNCTION spy()",
    "a rule": "CREATE RULE r AS ON UPDATE TO penstock_store DO ALSO SELECT peek()",
    "a policy": "ALTER TABLE penstock_store ENABLE ROW LEVEL SECURITY; "
    "CREATE POLICY p ON penstock_store USING (peek() > 0)",
    "a constraint": "ALTER TABLE penstock_store ADD CHECK (peek() > 0) NOT VALID",
    "a default": "ALTER TABLE penstock_store ALTER COLUMN copied_by SET DEFAULT peek()::text",
    "an index": "CREATE INDEX i ON penstock_store ((calm()))",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_z2_a_record_at_which_somebodys_code_would_run_is_none_and_the_code_is_not_run(
    what: str, owner_stores: Stores, lab: type[App], owner_ground: TestServer
) -> None:
    owner_ground.run_sql(
        "lab_gages",
        """
        CREATE TABLE ran (what text);
        CREATE FUNCTION calm() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION peek() RETURNS int LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO ran VALUES ('peek'); RETURN 1; END $$;
        CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO ran VALUES ('spy'); RETURN NEW; END $$;""",
    )
    owner_ground.run_sql("lab_gages", f"{HOSTILE[what]}; DELETE FROM ran")
    assert owner_stores.store_status(lab, "gages").health.value == "not ours"
    [result] = owner_stores.sync(lab, ["gages"])
    assert isinstance(result.error, StoreNotOurs)
    with pytest.raises(ServerError):
        owner_stores.adopt(lab, "gages")
    with pytest.raises(StoreNotOurs):
        owner_stores.drop(lab, "gages", now=True)
    assert owner_ground.run_sql("lab_gages", "SELECT * FROM ran") == []
