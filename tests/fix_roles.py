"""Stores that get roles of their own, on every server that has roles."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from fix_servers import ground_on, running_server, unavailable
from penstock import Stores, use
from penstock.backends import StoreRole
from penstock.embedded.binaries import places, usable
from penstock.registry import DatabaseRegistry
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, CursorResult

    from fix_servers import PostgreSQLServer, TestServer
    from penstock import App, EngineOptions, Service

_DENIED = ("42501", 1044, 1142, 1227)
"""What servers answer to those who may not do what they try."""


@dataclass(frozen=True)
class Words:
    """How a kind of server is asked about roles, and told.

    Args:
        home: A database that is always there.
        roles: Asks for the roles and logins that were made for stores.
        each: How many of them a store has.
        logins: Asks for those of them that somebody can log in with.
        sessions: Asks how many sessions are in the database `lab_gages`.
        drop: Drops a login.
        set_password: Gives the service's user a password.
    """

    home: str
    roles: str
    each: int
    logins: str
    sessions: str
    drop: str
    set_password: str


WORDS = {
    "postgresql": Words(
        home="postgres",
        roles="SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') LIKE 'penstock: %'",
        each=5,
        logins="""
            SELECT rolname FROM pg_roles
            WHERE rolcanlogin AND shobj_description(oid, 'pg_authid') LIKE 'penstock: %'""",
        sessions="SELECT count(*) FROM pg_stat_activity WHERE datname = 'lab_gages'",
        drop='DROP ROLE "{}"',
        set_password="ALTER ROLE penstock PASSWORD '{}'",
    ),
    "mariadb": Words(
        home="mysql",
        roles="SELECT user FROM mysql.user WHERE user REGEXP '_[0-9a-f]{8}_(app|reader)(_[0-9a-f]{6})?$'",
        each=4,
        logins="SELECT user FROM mysql.user WHERE user REGEXP '_[0-9a-f]{8}_(app|reader)_[0-9a-f]{6}$'",
        sessions="SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'lab_gages'",
        drop="DROP USER `{}`",
        set_password="SET PASSWORD FOR penstock = PASSWORD('{}')",
    ),
}


def password_of(ground: TestServer) -> str:
    """The password of the service's user, as long as nobody changed it."""
    assert ground.service.password is not None
    return Path(ground.service.password.locator).read_text().strip()


@contextmanager
def password_changed(ground: TestServer, password: str) -> Iterator[None]:
    """In the block, the service's user has another password."""
    words = WORDS[ground.kind]
    ground.run_sql(words.home, words.set_password.format(password))
    try:
        yield
    finally:
        ground.run_sql(words.home, words.set_password.format(password_of(ground)))


def roles_on(ground: TestServer) -> set[str]:
    """The roles and logins that Penstock made for stores."""
    words = WORDS[ground.kind]
    return {name for (name,) in ground.run_sql(words.home, words.roles)}


def logins_on(ground: TestServer) -> list[str]:
    """Those of them that somebody can log in with."""
    words = WORDS[ground.kind]
    return sorted(name for (name,) in ground.run_sql(words.home, words.logins))


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
def other_postgresql_ground(_other_postgresql_server: PostgreSQLServer) -> TestServer:
    """The other PostgreSQL as a ground to test on."""
    _other_postgresql_server.cluster.start()
    _other_postgresql_server.clean()

    def new_service(name: str) -> Service:
        raise NotImplementedError(name)

    return ground_on(_other_postgresql_server, new_service)


@pytest.fixture(params=["postgresql", "other_postgresql"])
def owner_ground(request: pytest.FixtureRequest) -> TestServer:
    """Every PostgreSQL there is: what a role may do with roles changed with version 16."""
    found: TestServer = request.getfixturevalue(f"{request.param}_ground")
    return found


@pytest.fixture(params=["postgresql", "other_postgresql", "mariadb"])
def role_ground(request: pytest.FixtureRequest) -> TestServer:
    """Every server that has roles."""
    found: TestServer = request.getfixturevalue(f"{request.param}_ground")
    return found


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """A keyring with a key."""
    made = Keyring(tmp_path / "key")
    made.make_file()
    return made


@pytest.fixture
def role_stores_on(tmp_path: Path, keyring: Keyring) -> Iterator[Callable[..., Stores]]:
    """Makes `Stores` over one registry that lasts, with a key to seal with; closed after the test."""
    made: list[Stores] = []

    def make(ground: TestServer, app: type[App], options: EngineOptions | None = None) -> Stores:
        registry = DatabaseRegistry.at(tmp_path / "registry.sqlite3")
        stores = Stores(registry, apps=[app], keyring=keyring, engine_options=options)
        made.append(stores)
        if not registry.services():
            registry.put_service(ground.service)
            for setting in app.declaration().settings:
                stores.links.add(ground.service.name, app, setting.name)
        return stores

    yield make
    for stores in made:
        stores.close()


@pytest.fixture
def role_stores(
    role_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> Iterator[Stores]:
    """`Stores` in use whose store `gages` is there, with roles of its own."""
    with use(role_stores_on(role_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].error is None
        yield stores


@pytest.fixture
def owner_stores(
    owner_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> Iterator[Stores]:
    """The same where a store has an owner of its own."""
    with use(role_stores_on(owner_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].error is None
        yield stores


@dataclass(frozen=True)
class LoggedIn:
    """Somebody's session, in autocommit."""

    connection: Connection

    def execute(self, statement: str, values: Sequence[str] = ()) -> CursorResult[Any]:
        """What the server answers."""
        return self.connection.exec_driver_sql(statement, tuple(values))


@contextmanager
def logged_in(url: URL) -> Iterator[LoggedIn]:
    """A session that does not go through Penstock's engines."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    connection = engine.connect()
    try:
        yield LoggedIn(connection)
    finally:
        connection.invalidate()  # Without a word to the server, which may have ended the session.
        connection.close()


def log_in(
    stores: Stores, app: type[App], name: str, role: StoreRole = StoreRole.APP
) -> AbstractContextManager[LoggedIn]:
    """A session of a store's own login, that does not go through Penstock's engines."""
    return logged_in(stores.url(app, name, role=role))


def code_of(error: DBAPIError) -> str | int | None:
    """The server's code of an error: an SQLSTATE, or a number."""
    first = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return first if isinstance(first, int) else getattr(error.orig, "sqlstate", None)


@contextmanager
def denied() -> Iterator[None]:
    """What is in the block is refused to whoever tries it."""
    with pytest.raises(DBAPIError) as caught:
        yield
    assert code_of(caught.value) in _DENIED


def steps_of(stores: Stores, app: type[App], name: str = "gages") -> list[str]:
    """What a sync would do."""
    plan = stores.plan(app, name)
    assert plan.refused is None
    return [str(step) for step in plan.steps]


def edit(stores: Stores, **changes: object) -> None:
    """Change the service `main`."""
    [service] = stores.registry.services()
    stores.services.edit(replace(service, **changes))
