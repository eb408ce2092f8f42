"""Stores on services that a platform hands out: made, used, rotated, taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg import sql
from sqlalchemy import make_url

from fix_apps import all_ok, count
from fix_bindings import vcap
from penstock import App, Stores, use
from penstock.errors import LoginRefused, PermissionRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_bindings import Mounted
    from fix_servers import PostgreSQLServer, TestServer


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration file that links service `main`, which it does not define, into the store."""
    config = tmp_path / "penstock.toml"
    config.write_text('[links]\n"lab:gages" = "main"\n')
    return config


@pytest.fixture
def tenant(postgresql: PostgreSQLServer) -> Iterator[PostgreSQLServer]:
    """A server with a role that has one database and may make none."""
    with postgresql.connect() as connection:
        connection.execute("CREATE ROLE tenant LOGIN PASSWORD 'first'")
        connection.execute("CREATE DATABASE given OWNER tenant")
    yield postgresql
    postgresql.clean()


def parts_of(ground: TestServer) -> dict[str, str]:
    """What a platform would say of a ground's service."""
    if ground.kind == "sqlite":
        return {"type": "sqlite", "uri": ground.url}
    url = make_url(ground.address_of("any"))
    return {
        "type": ground.kind, "host": "127.0.0.1", "port": str(url.port),
        "username": "penstock", "password": str(url.password),
    }  # fmt: skip


def use_it(config: Path, lab: type[App]) -> str:
    """Make the store and read from it; where its address came from."""
    with Stores.from_config(config) as stores, use(stores):
        stores.register(lab)
        assert [str(r.error) for r in stores.sync(lab, ["gages"]) if not r.ok] == []
        assert count(lab.gages) == 2
        return str(stores.address(lab, "gages").source)


def test_a_store_lives_on_a_service_that_kubernetes_mounts(
    ground: TestServer, lab: type[App], mounted: Mounted, site: Path
) -> None:
    mounted.put("main", **parts_of(ground))
    assert use_it(site, lab) == "SERVICE_BINDING_ROOT/main"
    assert ground.databases() == {"lab_gages"}


def test_a_store_lives_on_a_service_of_cloud_foundry(
    postgresql_ground: TestServer, lab: type[App], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(postgresql_ground)
    uri = f"postgres://penstock:{parts['password']}@127.0.0.1:{parts['port']}/postgres"
    monkeypatch.setenv("VCAP_SERVICES", vcap({"name": "main", "credentials": {"uri": uri}}))
    assert use_it(site, lab) == "VCAP_SERVICES/main"
    assert postgresql_ground.databases() == {"lab_gages"}


def test_a_rotated_password_is_used_by_the_next_connection_of_the_same_engine(
    tenant: PostgreSQLServer, lab: type[App], mounted: Mounted, site: Path
) -> None:
    parts = {"type": "postgresql", "host": "127.0.0.1", "port": str(tenant.port), "username": "tenant"}
    mounted.put("main", **parts, database="given", password="first")
    with Stores.from_config(site) as stores, use(stores):
        stores.register(lab)
        stores.adopt(lab, "gages", "given")
        all_ok(stores, lab)
        engine = lab.gages.engine
        assert count(lab.gages) == 0
        with tenant.connect() as connection:
            connection.execute("ALTER ROLE tenant PASSWORD 'second'")
        engine.dispose()
        with pytest.raises(LoginRefused):
            stores.exists(lab, "gages")
        mounted.put("main", **parts, database="given", password="second")
        assert count(lab.gages) == 0
        assert lab.gages.engine is engine


def test_a_role_that_may_make_no_database_gives_the_one_it_has(
    tenant: PostgreSQLServer, lab: type[App], mounted: Mounted, site: Path
) -> None:
    address = f"postgresql://tenant:first@127.0.0.1:{tenant.port}/given"
    mounted.put("main", type="postgresql", uri=address)
    with Stores.from_config(site) as stores, use(stores):
        stores.register(lab)
        (refused, *_) = stores.sync(lab, ["gages"])
        assert isinstance(refused.error, PermissionRefused)
        adopted = stores.adopt(lab, "gages", "given")
        assert adopted.database == "given"
        all_ok(stores, lab)
        assert count(lab.gages) == 0
    assert tenant.databases() == {"given"}


def test_a_new_user_of_a_rotated_binding_is_used_after_the_first_refused_login(
    tenant: PostgreSQLServer, lab: type[App], mounted: Mounted, site: Path
) -> None:
    parts = {"type": "postgresql", "host": "127.0.0.1", "port": str(tenant.port), "password": "first"}
    mounted.put("main", **parts, username="tenant", database="given")
    with Stores.from_config(site) as stores, use(stores):
        stores.register(lab)
        stores.adopt(lab, "gages", "given")
        all_ok(stores, lab)
        assert count(lab.gages) == 0
        with tenant.connect() as connection:
            connection.execute("CREATE ROLE second LOGIN PASSWORD 'first' IN ROLE tenant")
            connection.execute("ALTER ROLE tenant NOLOGIN")
        try:
            lab.gages.engine.dispose()
            mounted.put("main", **parts, username="second", database="given")
            assert count(lab.gages) == 0
        finally:
            stores.close()
            with tenant.connect() as connection:
                connection.execute(sql.SQL("DROP ROLE second"))
