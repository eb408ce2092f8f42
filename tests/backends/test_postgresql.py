"""PostgreSQL's own: who may connect, where names resolve, what a refusal means."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import InternalError, OperationalError

from fix_apps import Gage
from penstock import App, Database, EngineOptions, MemoryRegistry, Service, Stores, use
from penstock.backends import backend_for
from penstock.errors import LoginRefused, NotSupported, PermissionRefused, ServerUnreachable
from penstock.provision.status import Health
from penstock.registry import DatabaseRegistry
from penstock.secrets import SecretRef
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import PostgreSQLServer, TestServer


@pytest.fixture
def role(postgresql: PostgreSQLServer, tmp_path: Path) -> Callable[..., Service]:
    """Makes a role with the given options, and a service that logs in as it."""

    def make(name: str, options: str, database: str = "") -> Service:
        secret = tmp_path / name
        secret.write_text("pw")
        with postgresql.connect() as connection:
            identifier = sql.Identifier(name)
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(identifier))
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'pw' " + options).format(identifier))
        url = f"postgresql://{name}@127.0.0.1:{postgresql.port}/{database}"
        return Service(name="main", url=url, password=SecretRef("file", str(secret)))

    return make


def test_z1_nobody_else_may_connect_to_a_store(
    postgresql_ground: TestServer,
    role: Callable[..., Service],
    lab: type[App],
    stores_on: Callable[..., Stores],
) -> None:
    role("stranger", "")
    stores = stores_on(postgresql_ground, lab)
    assert all(result.ok for result in stores.sync(lab))
    server = postgresql_ground.server
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(
            host="127.0.0.1", port=server.port, user="stranger", password="pw", dbname="lab_gages"
        )
    with server.connect() as connection:
        connection.execute("DROP ROLE stranger")


def test_z1_no_database_that_is_made_is_open_to_everybody(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    open_to_all = "SELECT datname FROM pg_database WHERE has_database_privilege('public', oid, 'CONNECT')"
    service = postgresql_ground.service
    registry = DatabaseRegistry(f"{service.url}/registry", password=service.password)
    registry.put_service(service)
    registry.close()
    stores = stores_on(postgresql_ground, lab)
    assert stores.sync(lab)[0].ok
    stores.create(lab, "basins.logan")
    assert stores.drop(lab, "gages")
    with stores_for_tests([lab], like=stores) as copies, copies.fresh("other"):
        copies.create(lab, "basins.provo")
        found = {name for (name,) in postgresql_ground.run_sql("postgres", open_to_all)}
        made = postgresql_ground.databases()
    assert len(made) >= 6
    assert found & made == set()


def test_z2_names_planted_in_a_store_are_not_run_by_our_own_connections(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(postgresql_ground, lab)
    with use(stores):
        assert all(result.ok for result in stores.sync(lab))
        with lab.gages.engine.begin() as connection:
            connection.execute(text("CREATE SEQUENCE trapped"))
            connection.execute(text(_TRAP))
            for signature in ("name, name", "text, text", "name, text", '"char", "char"'):
                left, right = signature.split(", ")
                connection.execute(text(_TRAP_OPERATOR.format(left=left, right=right)))
            connection.execute(
                text(
                    "CREATE FUNCTION pg_database_size(name) RETURNS bigint AS "
                    "'SELECT public.spring(0)' LANGUAGE sql"
                )
            )
        stores.status()
        assert all(result.ok for result in stores.sync(lab))
        with postgresql_ground.server.connect("lab_gages") as connection:
            assert connection.execute("SELECT is_called FROM trapped").fetchone() == (False,)


_TRAP = """
CREATE FUNCTION public.spring(bigint) RETURNS bigint LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_catalog.nextval('public.trapped'); RETURN 1; END $$"""
_TRAP_OPERATOR = """
CREATE FUNCTION public.trap_eq({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_catalog.nextval('public.trapped'); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.trap_eq)"""


def test_z2_a_view_in_the_records_place_is_not_read(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    postgresql_ground.make_database("lab_gages")
    run = postgresql_ground.run_sql
    run("lab_gages", "CREATE SEQUENCE trapped")
    run("lab_gages", _TRAP)
    run("lab_gages", "CREATE VIEW penstock_store AS SELECT public.spring(1)")
    with use(stores_on(postgresql_ground, lab)) as stores:
        assert [s.health for s in stores.status(lab)] == [Health.NOT_OURS]
    assert run("lab_gages", "SELECT is_called FROM trapped") == [(False,)]


def test_an_app_finds_its_tables_in_public_whatever_its_roles_search_path(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(postgresql_ground, lab)) as stores:
        postgresql_ground.run_sql("postgres", "ALTER ROLE penstock SET search_path = elsewhere")
        try:
            assert all(result.ok for result in stores.sync(lab))
            with lab.gages.engine.connect() as connection:
                assert connection.scalar(text("SHOW search_path")) == "public"
                assert connection.scalar(text("SHOW application_name")) == "penstock lab:gages"
        finally:
            postgresql_ground.run_sql("postgres", "ALTER ROLE penstock RESET search_path")


def test_t5_a_role_without_a_database_of_its_name_can_be_used(
    postgresql: PostgreSQLServer, role: Callable[..., Service], lab: type[App]
) -> None:
    _syncs(role("maker", "CREATEDB"), lab)
    with postgresql.connect() as connection:
        connection.execute("DROP ROLE maker")


def test_t5_the_maintenance_database_can_be_named(
    postgresql: PostgreSQLServer, role: Callable[..., Service], lab: type[App]
) -> None:
    with postgresql.connect() as connection:
        connection.execute("CREATE DATABASE upkeep TEMPLATE template0")
        connection.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    try:
        _syncs(role("maker", "CREATEDB", "upkeep"), lab)
    finally:
        with postgresql.connect() as connection:
            connection.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
            connection.execute("DROP ROLE maker")


def test_t5_the_users_own_database_is_tried_after_postgres(
    postgresql: PostgreSQLServer, role: Callable[..., Service], lab: type[App]
) -> None:
    with postgresql.connect() as connection:
        connection.execute("CREATE DATABASE maker TEMPLATE template0")
        connection.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    try:
        _syncs(role("maker", "CREATEDB"), lab)
    finally:
        with postgresql.connect() as connection:
            connection.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
            connection.execute("DROP ROLE maker")


def _syncs(service: Service, lab: type[App]) -> None:
    with use(_stores(service, lab)) as stores:
        assert [str(r.error) for r in stores.sync(lab) if not r.ok] == []
        assert lab.gages.exists()
        assert lab.drop_persistent_store("gages")
        stores.close()


def _stores(service: Service, lab: type[App]) -> Stores:
    registry = MemoryRegistry()
    registry.put_service(service)
    stores = Stores(registry, apps=[lab])
    stores.links.add("main", lab, "gages")
    return stores


def test_t17_a_missing_privilege_and_other_refusals_are_told_apart_by_sqlstate(
    postgresql: PostgreSQLServer, role: Callable[..., Service], lab: type[App]
) -> None:
    (result,) = _stores(role("plain", ""), lab).sync(lab)
    assert isinstance(result.error, PermissionRefused)
    assert "role plain of service main may not create databases" in result.error.why

    full = role("full", "CREATEDB CONNECTION LIMIT 0")
    (result,) = _stores(full, lab).sync(lab)
    assert not isinstance(result.error, PermissionRefused)
    assert "too many connections for role" in result.error.why
    with postgresql.connect() as connection:
        connection.execute("DROP ROLE plain")
        connection.execute("DROP ROLE full")


def test_t17_the_servers_own_words_are_kept_in_its_own_language(
    postgresql: PostgreSQLServer, lab: type[App], tmp_path: Path, postgresql_ground: TestServer
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password")
    service = replace(postgresql_ground.service, password=SecretRef("file", str(wrong)))
    (result,) = _stores(service, lab).sync(lab)
    assert isinstance(result.error, LoginRefused)
    assert "password authentication failed" in result.error.why
    assert "not the password" not in str(result.error)

    (result,) = _stores(replace(service, url="postgresql://penstock@127.0.0.1:1"), lab).sync(lab)
    assert isinstance(result.error, ServerUnreachable)
    assert "refused" in result.error.why

    (result,) = _stores(replace(service, url="postgresql://penstock@nowhere.invalid"), lab).sync(lab)
    assert isinstance(result.error, ServerUnreachable)
    assert "resolve host" in result.error.why


def test_t20_a_database_made_by_somebody_else_for_us_is_finished(
    postgresql: PostgreSQLServer, role: Callable[..., Service], lab: type[App]
) -> None:
    service = role("plain", "")
    with postgresql.connect() as connection:
        connection.execute("CREATE DATABASE lab_gages OWNER plain TEMPLATE template0")
    try:
        with use(_stores(service, lab)) as stores:
            assert all(result.ok for result in stores.sync(lab))
            assert lab.gages.exists()
            stores.close()
    finally:
        with postgresql.connect() as connection:
            connection.execute("DROP DATABASE lab_gages WITH (FORCE)")
            connection.execute("DROP ROLE plain")


def test_a_connection_setting_is_an_engine_on_the_server(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(postgresql_ground, lab)):
        engine = lab.get_persistent_store_connection("servers")
        assert engine is lab.servers.engine
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_user")) == "penstock"
        with lab.get_persistent_store_connection("servers", as_sessionmaker=True)() as session:
            assert session.scalar(text("SELECT 1")) == 1
        assert lab.get_persistent_store_connection("servers", as_url=True).password


def test_an_interrupted_preparation_is_finished_by_the_next_sync(
    postgresql_ground: TestServer,
    role: Callable[..., Service],
    lab: type[App],
    stores_on: Callable[..., Stores],
) -> None:
    postgresql_ground.make_database("lab_gages")
    stores = stores_on(postgresql_ground, lab)
    assert all(result.ok for result in stores.sync(lab))
    (acl,) = postgresql_ground.run_sql(
        "postgres", "SELECT has_database_privilege('public', 'lab_gages', 'CONNECT')"
    )
    assert acl == (False,)


def test_a_spatial_store_on_a_server_without_postgis_fails_before_anything_is_made(
    postgresql_ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    class Lab(App):
        package = "lab"
        gages = Database(metadata=Gage.metadata, spatial=True)

    has = postgresql_ground.run_sql(
        "postgres", "SELECT 1 FROM pg_available_extensions WHERE name = 'postgis'"
    )
    with use(stores_on(postgresql_ground, Lab)) as stores:
        (result,) = stores.sync(Lab)
        if has:
            assert result.ok
            with Lab.gages.engine.connect() as connection:
                point = connection.scalar(text("SELECT ST_AsText(ST_Point(1, 2))"))
            assert point == "POINT(1 2)"
        else:
            assert isinstance(result.error, NotSupported)
            assert "postgresql-" in result.error.hint
            assert postgresql_ground.databases() == set()


def test_a_session_that_is_cut_while_it_is_set_up_is_told_from_one_that_was_never_there(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(postgresql_ground, lab)
    assert stores.sync(lab, ["gages"])[0].ok
    backend = backend_for(stores.address(lab, "gages").database_address.server.login.url)
    url = make_url(stores.url(lab, "gages").render_as_string(hide_password=False))

    def cut(raw: psycopg.Connection[Any], record: object) -> None:
        with socket.socket(fileno=os.dup(raw.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
        raw.execute("SELECT 1")

    for address, gone in ((url, True), (url.set(port=1), False)):
        engine = create_engine(address)
        event.listen(engine, "connect", cut)
        with pytest.raises(OperationalError) as caught:
            engine.connect()
        assert caught.value.statement is None
        assert backend.is_disconnect(caught.value) == gone
        engine.dispose()


def test_a_connection_that_was_read_only_is_read_write_for_the_next_one_and_the_other_way_round(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    stores = stores_on(postgresql_ground, lab, options=EngineOptions(max_connections=4))
    assert stores.sync(lab, ["gages"])[0].ok
    engine = stores.engine(lab, "gages")
    for _ in range(2):
        reading = engine.execution_options(postgresql_readonly=True)
        with reading.connect() as connection, pytest.raises(InternalError, match="read-only"):
            connection.execute(text("DELETE FROM gage"))
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("UPDATE gage SET altitude = 1"))
        with engine.connect() as connection:
            connection.execute(text("DELETE FROM gage"))
            connection.rollback()
            assert connection.scalar(text("SELECT count(*) FROM gage")) == 2
