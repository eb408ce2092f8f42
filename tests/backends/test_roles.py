"""Roles of a store's own: made, granted, taken over, dropped, on real servers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text

from fix_apps import Gage, all_ok, count
from fix_roles import log_in
from penstock import MemoryRegistry, Service, Stores
from penstock.backends import StoreRole
from penstock.errors import NotSupported, PermissionRefused, ServerError, StoreNotOurs
from penstock.registry import CredentialState, DatabaseRegistry, Roles
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import Ground
    from penstock import App
    from penstock.secrets import Keyring

OWNER = "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'lab_gages'"
OWNERS = """
    SELECT DISTINCT relowner::regrole::text FROM pg_class
    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND relnamespace::regnamespace::text NOT LIKE 'pg\\_%'"""


def steps_of(desk: Stores, app: type[App], name: str = "gages") -> list[str]:
    """What a sync would do."""
    plan = desk.plan(app, name)
    assert plan.refused is None
    return [str(step) for step in plan.steps]


def edit(desk: Stores, **changes: object) -> None:
    """Change the service `main`."""
    [service] = desk.registry.services()
    desk.operator.edit_service(replace(service, **changes))


# --- made -----------------------------------------------------------------------------------------


def test_a_store_has_an_owner_and_two_groups_that_nobody_logs_in_as_and_a_login_for_each_group(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    assert role_ground.server is not None
    roles = role_ground.server.roles()
    may = role_ground.run_sql("postgres", "SELECT rolname, rolcanlogin FROM pg_roles")
    kinds = sorted(name.split("_")[3] for name in roles)
    assert kinds == ["app", "app", "owner", "reader", "reader"]
    assert sorted(dict(may)[name] for name in roles) == [False, False, False, True, True]
    assert role_ground.run_sql("postgres", OWNER) == [(next(r for r in roles if r.endswith("_owner")),)]
    assert role_ground.run_sql("lab_gages", OWNERS) == role_ground.run_sql("postgres", OWNER)


def test_the_app_logs_in_as_itself_and_works_as_before(role_desk: Stores, lab: type[App]) -> None:
    with role_desk.begin(lab, "gages") as session:
        user = session.scalar(text("SELECT session_user"))
        session.add(Gage(number="1", altitude=1.0))
    assert user == role_desk.address(lab, "gages").place.login.url.username
    assert user.startswith("lab_gages_")
    assert count(lab.gages) == 3
    assert (role_desk.store_status(lab, "gages").roles, role_desk.store_status(lab, "gages").no_roles) == (
        "store",
        "",
    )


def test_a_second_sync_finds_the_roles_in_place(role_desk: Stores, lab: type[App]) -> None:
    before = role_desk.registry.credentials()
    assert not [step for step in steps_of(role_desk, lab) if "roles" in step]
    all_ok(role_desk, lab)
    assert role_desk.registry.credentials()[: len(before)] == before
    assert [each.state for each in before] == [CredentialState.CURRENT] * 2


def test_what_an_initializer_makes_is_the_owners_and_the_app_may_use_it(
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]
) -> None:
    def make(connection, first_time):
        if first_time:
            connection.execute(text("CREATE SCHEMA more"))
            connection.execute(text("CREATE TABLE more.note (id serial PRIMARY KEY, word text)"))

    lab.gages.initializer(make)
    desk = role_desk_on(role_ground, lab)
    all_ok(desk, lab)
    assert len(role_ground.run_sql("lab_gages", OWNERS)) == 1
    with desk.begin(lab, "gages") as session:
        session.execute(text("INSERT INTO more.note (word) VALUES ('wet')"))
    with log_in(desk, lab, "gages", StoreRole.READER) as reader:
        assert reader.execute("SELECT * FROM more.note").fetchall() == [(1, "wet")]


def test_an_app_can_read_its_stores_record_but_not_change_it(role_desk: Stores, lab: type[App]) -> None:
    with log_in(role_desk, lab, "gages") as app:
        assert app.execute("SELECT app, store FROM penstock_store").fetchall() == [("lab", "gages")]
        for change in ("UPDATE penstock_store SET app = 'mine'", "DELETE FROM penstock_store"):
            with pytest.raises(InsufficientPrivilege):
                app.execute(change)


def test_a_run_time_store_has_roles_of_its_own(role_desk: Stores, lab: type[App]) -> None:
    logan, bear = (lab.basins.create(name) for name in ("logan", "bear"))
    users = {role_desk.url(lab, store.name).username for store in (logan, bear, lab.gages)}
    assert len(users) == 3
    assert (count(logan), count(bear)) == (0, 0)


def test_a_database_with_any_name_gets_roles(role_desk: Stores, lab: type[App], role_ground: Ground) -> None:
    name = 'Old "Gages": 100% für\' immer'
    role_ground.make_database(name)
    role_desk.adopt(lab, "gages", name)
    all_ok(role_desk, lab)
    assert role_desk.store_status(lab, "gages").roles == "store"
    assert count(lab.gages) == 0


# --- where it can't be done -----------------------------------------------------------------------


def test_without_a_key_an_app_logs_in_as_the_services_role_and_status_says_why(
    postgresql_ground: Ground, lab: type[App], tmp_path: Path
) -> None:
    registry = DatabaseRegistry.at(tmp_path / "registry.sqlite3")
    with Stores(registry, apps=[lab]) as desk:
        registry.put_service(postgresql_ground.service)
        desk.link("main", lab, "gages")
        all_ok(desk, lab)
        status = desk.store_status(lab, "gages")
        [health] = desk.check()
    assert status.roles == "service"
    assert "no key" in status.no_roles
    assert (health.roles, type(health.no_roles).__name__) == (False, "KeyMissing")
    assert postgresql_ground.run_sql("postgres", OWNER) == [("penstock",)]


def test_a_registry_that_forgets_gives_no_roles_unless_they_are_asked_for(
    postgresql_ground: Ground, lab: type[App], keyring: Keyring
) -> None:
    with Stores(MemoryRegistry(), apps=[lab], keyring=keyring) as desk:
        desk.registry.put_service(postgresql_ground.service)
        desk.link("main", lab, "gages")
        assert not [step for step in steps_of(desk, lab) if "roles" in step]
        edit(desk, roles=Roles.STORE)
        all_ok(desk, lab)
        assert desk.store_status(lab, "gages").roles == "store"


def test_t20_a_role_that_may_only_create_databases_owns_the_stores_and_status_says_what_it_lacks(
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]
) -> None:
    desk = role_desk_on(limited(role_ground, "CREATEDB"), lab)
    all_ok(desk, lab)
    status = desk.store_status(lab, "gages")
    assert (status.roles, status.health.value) == ("service", "ready")
    assert "limited may not create roles" in status.no_roles
    [health] = desk.check()
    assert health.no_roles is not None
    assert "ALTER ROLE limited CREATEROLE" in health.no_roles.hint
    public = "SELECT has_database_privilege('public', 'lab_gages', 'CONNECT')"
    assert role_ground.run_sql("postgres", public) == [(False,)]


def test_t20_a_service_that_must_give_roles_and_cannot_makes_no_database(
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]
) -> None:
    desk = role_desk_on(limited(role_ground, "CREATEDB"), lab)
    edit(desk, roles=Roles.STORE)
    [result] = desk.sync(lab, ["gages"])
    assert isinstance(result.error, PermissionRefused)
    assert role_ground.databases() == set()


def test_t20_a_role_that_may_create_nothing_uses_databases_that_were_made_for_it(
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]
) -> None:
    desk = role_desk_on(limited(role_ground, ""), lab)
    [result] = desk.sync(lab, ["gages"])
    assert isinstance(result.error, PermissionRefused)
    assert 'CREATE DATABASE "lab_gages" OWNER "limited"' in result.error.hint
    role_ground.run_sql("postgres", 'CREATE DATABASE "lab_gages" OWNER "limited"')
    all_ok(desk, lab)
    assert desk.store_status(lab, "gages").health.value == "ready"


def test_a_role_of_the_same_name_that_is_somebody_elses_is_left_alone(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    [name] = [each for (each,) in role_ground.run_sql("postgres", OWNER)]
    role_ground.run_sql("postgres", f"COMMENT ON ROLE {name} IS 'the boss'")
    role_ground.run_sql("lab_gages", "ALTER TABLE gage OWNER TO penstock")
    try:
        [result] = role_desk.sync(lab, ["gages"])
        assert isinstance(result.error, StoreNotOurs)
        assert name in result.error.what
    finally:
        role_ground.run_sql("postgres", f"COMMENT ON ROLE {name} IS 'penstock: lab_gages'")


def test_a_store_without_roles_has_no_address_for_readers(
    desk_on: Callable[..., Stores], lab: type[App], ground: Ground
) -> None:
    with pytest.raises(NotSupported, match="no login for readers"):
        desk_on(ground, lab).url(lab, "gages", role=StoreRole.READER)


def limited(ground: Ground, may: str) -> Ground:
    """The same server, on which the service's role has the attributes named, and no others."""
    ground.run_sql("postgres", f"DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN {may} PASSWORD 'pw'")
    return replace(ground, service=service_of(ground, "limited"))


def service_of(ground: Ground, user: str) -> Service:
    """The service, for another user whose password is `pw`, in a file."""
    assert ground.server is not None
    file = ground.server.owner_password_file.with_name("pw")
    file.write_text("pw\n")
    url = f"postgresql://{user}@127.0.0.1:{ground.server.port}"
    return Service(name="main", url=url, password=SecretRef("file", str(file)))


# --- taken over -----------------------------------------------------------------------------------


def test_a_store_made_without_roles_gets_them_by_the_next_sync_with_all_that_is_in_it(
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]
) -> None:
    desk = role_desk_on(role_ground, lab)
    edit(desk, roles=Roles.SERVICE)
    all_ok(desk, lab)
    with desk.begin(lab, "gages") as session:
        for statement in _EVERYTHING:
            session.execute(text(statement))
    edit(desk, roles=Roles.AUTO)
    assert "give lab_gages roles of its own" in steps_of(desk, lab)
    assert desk.store_status(lab, "gages").no_roles == "The next sync gives it its own."
    all_ok(desk, lab)
    assert role_ground.run_sql("lab_gages", _LEFT) == []
    with log_in(desk, lab, "gages") as app:
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
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]
) -> None:
    desk = role_desk_on(role_ground, lab)
    role_ground.make_database("legacy-gages")
    make = "SET ROLE penstock; CREATE TABLE gage (number text PRIMARY KEY, altitude float); RESET ROLE"
    role_ground.run_sql("legacy-gages", f"{make}; INSERT INTO gage VALUES ('7', 7.5)")
    desk.adopt(lab, "gages", "legacy-gages")
    all_ok(desk, lab)
    with log_in(desk, lab, "gages") as app:
        assert app.execute("SELECT number FROM gage").fetchall() == [("7",)]
        with pytest.raises(InsufficientPrivilege):
            app.execute("ALTER TABLE gage ADD more text")


def test_a_store_of_another_deployment_is_taken_over_and_its_roles_may_do_nothing_in_it_any_more(
    role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores], tmp_path: Path, keyring: Keyring
) -> None:
    with Stores(DatabaseRegistry.at(tmp_path / "other.sqlite3"), apps=[lab], keyring=keyring) as other:
        other.registry.put_service(role_ground.service)
        other.link("main", lab, "basins")
        assert other.create(lab, "basins.logan")
        theirs = other.url(lab, "basins.logan")
    desk = role_desk_on(role_ground, lab)
    desk.adopt(lab, "gages", "lab_basins_logan")
    all_ok(desk, lab)
    assert len(role_ground.run_sql("lab_basins_logan", OWNERS)) == 1
    with log_in(desk, lab, "gages") as app:
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
    what: str, role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    role_ground.run_sql(
        "lab_gages",
        """
        CREATE TABLE ran (what text);
        CREATE FUNCTION calm() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION peek() RETURNS int LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO ran VALUES ('peek'); RETURN 1; END $$;
        CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN INSERT INTO ran VALUES ('spy'); RETURN NEW; END $$;""",
    )
    role_ground.run_sql("lab_gages", f"{HOSTILE[what]}; DELETE FROM ran")
    assert role_desk.store_status(lab, "gages").health.value == "not ours"
    [result] = role_desk.sync(lab, ["gages"])
    assert isinstance(result.error, StoreNotOurs)
    with pytest.raises(ServerError):
        role_desk.adopt(lab, "gages")
    with pytest.raises(StoreNotOurs):
        role_desk.drop(lab, "gages", now=True)
    assert role_ground.run_sql("lab_gages", "SELECT * FROM ran") == []


def test_logins_that_are_gone_from_the_server_are_made_again_with_the_same_password(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    before = role_desk.url(lab, "gages")
    role_desk.engine(lab, "gages").dispose()
    role_ground.run_sql("postgres", f'DROP ROLE "{before.username}"')
    with pytest.raises(psycopg.OperationalError):
        log_in(role_desk, lab, "gages")
    all_ok(role_desk, lab)
    assert role_desk.url(lab, "gages") == before
    assert count(lab.gages) == 2


def test_what_an_operator_took_from_the_app_is_not_given_back(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    group = role_desk.url(lab, "gages").username.rpartition("_")[0]
    role_ground.run_sql("lab_gages", f"REVOKE DELETE ON gage FROM {group}")
    all_ok(role_desk, lab)
    with log_in(role_desk, lab, "gages") as app, pytest.raises(InsufficientPrivilege):
        app.execute("DELETE FROM gage")


# --- dropped --------------------------------------------------------------------------------------


def test_after_a_change_to_no_roles_apps_log_in_as_the_service_and_a_drop_leaves_none(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    assert role_ground.server is not None
    edit(role_desk, roles=Roles.SERVICE)
    assert role_desk.url(lab, "gages").username == "penstock"
    all_ok(role_desk, lab)
    with role_desk.begin(lab, "gages") as session:
        session.execute(text("CREATE TABLE mine (id int)"))
        assert session.query(Gage).count() == 2
    assert len(role_ground.server.roles()) == 5
    role_desk.drop(lab, "gages", now=True)
    assert role_ground.server.roles() == set()


def test_roles_go_with_their_store_while_the_app_and_a_reader_are_connected(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    assert role_ground.server is not None
    lab.basins.create("logan")
    before = role_ground.server.roles()
    with (
        log_in(role_desk, lab, "basins.logan"),
        log_in(role_desk, lab, "basins.logan", StoreRole.READER),
        lab.basins["logan"].engine.connect(),
    ):
        role_desk.drop(lab, "basins.logan", now=True)
    after = role_ground.server.roles()
    assert {name for name in before if "logan" in name} == before - after
    assert len(before - after) == 5
    assert {each.database for each in role_desk.registry.credentials()} == {"lab_gages"}


def test_roles_of_a_store_whose_database_is_gone_are_dropped_too(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    assert role_ground.server is not None
    role_ground.drop_database("lab_gages")
    role_desk.drop(lab, "gages")
    assert role_ground.server.roles() == set()
    assert role_desk.registry.credentials() == []


def test_a_refreshed_store_has_new_roles_and_its_engine_finds_them(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    assert role_ground.server is not None
    before, engine = role_ground.server.roles(), lab.gages.engine
    assert count(lab.gages) == 2
    all_ok(role_desk, lab, refresh=True)
    after = role_ground.server.roles()
    assert before & after == set()
    assert len([name for name in after if name.startswith("lab_gages")]) == 5
    assert lab.gages.engine is engine
    assert count(lab.gages) == 2


def test_a_store_whose_database_went_gets_new_roles_and_the_old_ones_go(
    role_desk: Stores, lab: type[App], role_ground: Ground
) -> None:
    assert role_ground.server is not None
    before = role_ground.server.roles()
    role_ground.drop_database("lab_gages")
    all_ok(role_desk, lab)
    assert count(lab.gages) == 2
    assert before & role_ground.server.roles() == set()
    assert {each.login for each in role_desk.registry.credentials()} <= role_ground.server.roles()
