"""Desks whose stores get roles of their own, on every PostgreSQL there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from fix_servers import ground_on, running_server, unavailable
from penstock import Stores, use
from penstock.backends import StoreRole
from penstock.embedded.binaries import places, usable
from penstock.registry import DatabaseRegistry
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fix_servers import Ground, PostgreSQLServer
    from penstock import App, EngineOptions, Service


@pytest.fixture(scope="session")
def _other_postgresql_server() -> Iterator[PostgreSQLServer]:
    """A server of another major version than the usual one: that of the wheel, beside the system's."""
    first, *others = usable(places(None))
    other = next((each for each in others if each.major != first.major), None)
    if other is None:
        unavailable(f"there is only PostgreSQL {first.major} here")
        return
    with running_server(other.directory) as server:
        yield server


@pytest.fixture
def other_postgresql_ground(_other_postgresql_server: PostgreSQLServer) -> Ground:
    """The other PostgreSQL as a ground to test on."""
    _other_postgresql_server.cluster.start()
    _other_postgresql_server.clean()

    def new_service(name: str) -> Service:
        raise NotImplementedError(name)

    return ground_on(_other_postgresql_server, new_service)


@pytest.fixture(params=["postgresql", "other_postgresql"])
def role_ground(request: pytest.FixtureRequest) -> Ground:
    """Every PostgreSQL there is: what a role may do with roles changed with version 16."""
    found: Ground = request.getfixturevalue(f"{request.param}_ground")
    return found


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """A keyring with a key."""
    made = Keyring(tmp_path / "key")
    made.make_file()
    return made


@pytest.fixture
def role_desk_on(tmp_path: Path, keyring: Keyring) -> Iterator[Callable[..., Stores]]:
    """Makes desks over one registry that lasts, with a key to seal with; closed after the test."""
    made: list[Stores] = []

    def make(ground: Ground, app: type[App], options: EngineOptions | None = None) -> Stores:
        registry = DatabaseRegistry.at(tmp_path / "registry.sqlite3")
        stores = Stores(registry, apps=[app], keyring=keyring, engine_options=options)
        made.append(stores)
        if not registry.services():
            registry.put_service(ground.service)
            for setting in app.declaration().settings:
                stores.link(ground.service.name, app, setting.name)
        return stores

    yield make
    for stores in made:
        stores.close()


@pytest.fixture
def role_desk(role_ground: Ground, lab: type[App], role_desk_on: Callable[..., Stores]) -> Iterator[Stores]:
    """A desk in use whose store `gages` is there, with roles of its own."""
    with use(role_desk_on(role_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].error is None
        yield stores


def log_in(
    desk: Stores, app: type[App], name: str, role: StoreRole = StoreRole.APP, **options: Any
) -> psycopg.Connection[Any]:
    """A connection with a store's own login, that does not go through Penstock's engines."""
    url = desk.url(app, name, role=role).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, **options)
