"""Real servers: a PostgreSQL of the test run's own, and directories for SQLite."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from penstock.backends import Capabilities, DatabaseAddress, backend_for
from penstock.connect import server_of
from penstock.embedded import Cluster, ServerState, find_binaries
from penstock.errors import BinariesNotFound
from penstock.registry import Service
from penstock.secrets import Keyring, SecretRef

GROUNDS = ("sqlite", "postgresql", "mariadb")
"""Every kind of server that the tests can start."""

SERVERS = ("postgresql", "mariadb")
"""Those of them that are servers."""

_MEMORY, _PLENTY = Path("/dev/shm"), 8 * 2**30

_KEPT = ("postgres", "template0", "template1")
_OWN_ROLES = ("penstock", "penstock_admin")


def open_files() -> list[str]:
    """The paths of the files that this process has open; other threads may open and close some meanwhile."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


def unavailable(reason: str) -> None:
    """Skip, or fail where every server is required."""
    if os.environ.get("PENSTOCK_TEST_REQUIRE") == "all":
        pytest.fail(f"required by PENSTOCK_TEST_REQUIRE=all: {reason}")
    pytest.skip(reason)


def require_program(name: str) -> None:
    """Skip, or fail, where a program is not installed."""
    if shutil.which(name) is None:
        unavailable(f"{name} is not installed")


@dataclass(frozen=True)
class PostgreSQLServer:
    """A running server, and ways in that do not go through Penstock."""

    cluster: Cluster
    port: int
    owner_password_file: Path
    admin_password_file: Path

    @property
    def url(self) -> str:
        """The address of the role that owns stores."""
        return f"postgresql://penstock@127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The address of the administrator."""
        return f"postgresql://penstock_admin@127.0.0.1:{self.port}"

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        """A connection of the administrator's, in autocommit."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="penstock_admin",
            password=self.admin_password_file.read_text().strip(),
            dbname=database,
            autocommit=True,
            **options,
        )

    def databases(self) -> set[str]:
        """The databases on the server that are not its own."""
        with self.connect() as connection:
            rows = connection.execute("SELECT datname FROM pg_database").fetchall()
        return {name for (name,) in rows} - set(_KEPT)

    def start(self) -> None:
        """Start it, unless it runs."""
        self.cluster.start()

    def stop(self, *, kill: bool = False) -> None:
        """Stop it as its administrator does, or kill its first process and wait until the others notice."""
        pid = self.cluster.status().pid
        if kill and pid is not None:
            os.kill(pid, signal.SIGKILL)
        assert self.cluster.stop().state is ServerState.STOPPED

    def address_of(self, database: str) -> str:
        """A database's full address, with the password of the role that owns stores."""
        password = self.owner_password_file.read_text().strip()
        return f"postgresql://penstock:{password}@127.0.0.1:{self.port}/{database}"

    def copy(self, old: str, new: str) -> None:
        """Make a database as a copy of another one."""
        made = sql.SQL("CREATE DATABASE {} OWNER penstock TEMPLATE {}")
        with self.connect() as connection:
            connection.execute(made.format(sql.Identifier(new), sql.Identifier(old)))

    def sessions(self, database: str) -> set[int]:
        """The processes that serve a database."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        with self.connect() as connection:
            return {pid for (pid,) in connection.execute(query, [database]).fetchall()}

    def connections(self, database: str) -> int:
        """How many sessions of the role that owns stores there are in a database."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = 'penstock'"
        with self.connect() as connection:
            return len(connection.execute(query, [database]).fetchall())

    @contextmanager
    def counting(self) -> Iterator[Callable[[], int]]:
        """What is given counts all sessions of that role, on one connection."""
        query = "SELECT pid FROM pg_stat_activity WHERE usename = 'penstock'"
        with self.connect() as connection:
            yield lambda: len(connection.execute(query).fetchall())

    def roles(self) -> set[str]:
        """The roles that Penstock made for stores."""
        made = "SELECT rolname FROM pg_roles WHERE shobj_description(oid, 'pg_authid') LIKE 'penstock: %'"
        with self.connect() as connection:
            return {name for (name,) in connection.execute(made).fetchall()}

    def hurry(self) -> None:
        """Do without what is for machines that fail; a process that is killed loses nothing by it."""
        with self.connect() as connection:
            for setting in ("fsync", "full_page_writes", "jit"):
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")

    def clean(self) -> None:
        """Drop every database and every role that is not the server's own."""
        with self.connect() as connection:
            databases = connection.execute("SELECT datname FROM pg_database").fetchall()
            for name in {name for (name,) in databases}.difference(_KEPT):
                drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                connection.execute(drop)
            roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'").fetchall()
            for role in (sql.Identifier(name) for (name,) in roles if name not in _OWN_ROLES):
                connection.execute(sql.SQL("DROP OWNED BY {role}; DROP ROLE {role}").format(role=role))


def server_folder() -> Path:
    """A folder for a server's data: in memory if there is plenty, for servers mostly wait for disks."""
    there = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _PLENTY
    return Path(tempfile.mkdtemp(prefix="penstock-test-", dir=_MEMORY if there else None))


@contextmanager
def running_server(binaries: Path | None = None) -> Iterator[PostgreSQLServer]:
    """A server in a folder of its own, removed with everything it made."""
    folder = server_folder()
    folder.chmod(0o711)
    cluster = Cluster(folder / "home", secrets=folder / "secrets")
    try:
        made = cluster.configure(binaries=binaries)
        server = PostgreSQLServer(
            cluster, made.port, made.owner_password_file, made.administrator_password_file
        )
        server.hurry()
        yield server
    finally:
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgresql_server() -> Iterator[PostgreSQLServer]:
    try:
        find_binaries()
    except BinariesNotFound as error:
        unavailable(str(error))
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def _second_postgresql_server() -> Iterator[PostgreSQLServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def postgresql(_postgresql_server: PostgreSQLServer) -> PostgreSQLServer:
    """A running PostgreSQL server without anybody's databases; what a test leaves, the next one removes."""
    try:
        _postgresql_server.clean()
    except psycopg.OperationalError:  # A test has stopped it, or killed it.
        _postgresql_server.cluster.start()
        _postgresql_server.clean()
    return _postgresql_server


def files() -> int:
    """How many databases of SQLite this process has open; a log and its index come with each."""
    return sum(path.endswith(".sqlite") for path in open_files())


class Running(Protocol):
    """A server that a test may stop."""

    def start(self) -> None:
        """Start it, unless it runs."""

    def stop(self, *, kill: bool = False) -> None:
        """Stop it, as an administrator would, or as a crash would."""


@dataclass(frozen=True)
class TestServer:
    """One kind of server that a test runs on, and what only a test may do to it.

    Attributes:
        kind: What it is called in the names of tests.
        service: Leads to it.
        databases: Those that are there.
        run_sql: What a statement in a database finds.
        make_database: Makes one, past Penstock.
        drop_database: Drops one.
        copy_database: Makes a second one as a copy of a first.
        address_of: A database's full address, with the password, as a variable holds it.
        connections: How many connections of Penstock's or of an app's there are to a database.
        sessions: The numbers of a server's sessions in a database.
        counting: In its block, what it gives counts all connections of Penstock's to the server.
        fingerprint: A database to the last byte, or to the last version of every row and right.
        nowhere: A service's address where nothing answers.
        new_service: Another service on another server of the kind.
        clean: Removes every database, and every user that was made for one.
        running: The server, to be stopped and started; None for files.
        directory: Where the files are; None on a server.
        server: The server, if it is PostgreSQL.
    """

    __test__ = False  # pytest shall not look for tests in it.

    kind: str
    service: Service
    databases: Callable[[], set[str]]
    run_sql: Callable[[str, str], list[tuple[Any, ...]]]
    make_database: Callable[[str], None]
    drop_database: Callable[[str], None]
    copy_database: Callable[[str, str], None]
    address_of: Callable[[str], str]
    connections: Callable[[str], int]
    sessions: Callable[[str], set[int]]
    counting: Callable[[], AbstractContextManager[Callable[[], int]]]
    fingerprint: Callable[[str], Any]
    nowhere: str
    new_service: Callable[[str], Service]
    clean: Callable[[], None]
    running: Running | None = None
    directory: Path | None = None
    server: PostgreSQLServer | None = None

    @property
    def url(self) -> str:
        """The service's address."""
        return self.service.url

    @property
    def can(self) -> Capabilities:
        """What servers of this kind can do."""
        return backend_for(make_url(self.url)).capabilities


def _service_on(server: PostgreSQLServer, name: str) -> Service:
    return Service(
        name=name,
        url=server.url,
        password=SecretRef("file", str(server.owner_password_file)),
        admin_url=server.admin_url,
        admin_password=SecretRef("file", str(server.admin_password_file)),
    )


@pytest.fixture
def postgresql_ground(postgresql: PostgreSQLServer, request: pytest.FixtureRequest) -> TestServer:
    """PostgreSQL as a ground to test on; its other services are on a second server."""

    def new_service(name: str) -> Service:
        second: PostgreSQLServer = request.getfixturevalue("_second_postgresql_server")
        second.clean()
        return _service_on(second, name)

    return ground_on(postgresql, new_service)


def ground_on(server: PostgreSQLServer, new_service: Callable[[str], Service]) -> TestServer:
    """A server of PostgreSQL as a ground to test on."""

    def run_sql(database: str, statement: str) -> list[tuple[Any, ...]]:
        with server.connect(database) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def do(template: str) -> Callable[[str], None]:
        def run(name: str) -> None:
            with server.connect() as connection:
                connection.execute(sql.SQL(template).format(sql.Identifier(name)))

        return run

    return TestServer(
        kind="postgresql",
        service=_service_on(server, "main"),
        copy_database=server.copy,
        address_of=server.address_of,
        connections=server.connections,
        sessions=server.sessions,
        counting=server.counting,
        fingerprint=lambda database: _versions(run_sql, database),
        nowhere="postgresql://penstock@127.0.0.1:1",
        clean=server.clean,
        running=server,
        databases=server.databases,
        run_sql=run_sql,
        make_database=do("CREATE DATABASE {} OWNER penstock TEMPLATE template0"),
        drop_database=do("DROP DATABASE {} WITH (FORCE)"),
        new_service=new_service,
        server=server,
    )


def _versions(run_sql: Callable[[str, str], list[tuple[Any, ...]]], name: str) -> Any:
    """A database to the last version of every row and right."""
    relations = run_sql(
        name,
        "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, c.relacl::text, c.xmin::text"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1",
    )
    tables = [(schema, table) for _, schema, table, kind, *_ in relations if kind == "r"]
    rows = [
        run_sql(name, f'SELECT xmin::text, ctid::text, t::text FROM "{schema}"."{table}" t ORDER BY 2')
        for schema, table in tables
    ]
    catalog = "SELECT oid, datacl::text, datdba FROM pg_database WHERE datname ="
    return [relations, rows, run_sql(name, f"{catalog} '{name}'")]


@pytest.fixture
def sqlite_ground(tmp_path: Path) -> TestServer:
    """SQLite as a ground to test on."""
    import sqlite3

    folder = tmp_path / "stores"
    folder.mkdir()

    def file(name: str) -> Path:
        return folder / f"{name}.sqlite"

    def run_sql(database: str, statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{file(database)}?mode=rw", uri=True, isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def new_service(name: str) -> Service:
        other = tmp_path / f"stores-{name}"
        other.mkdir(exist_ok=True)
        return Service(name=name, url=f"sqlite:///{other}")

    def fingerprint(database: str) -> list[tuple[str, str]]:
        files = sorted(path for path in folder.iterdir() if path.name.startswith(database))
        return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

    def clean() -> None:
        shutil.rmtree(folder)
        folder.mkdir()

    return TestServer(
        kind="sqlite",
        copy_database=lambda old, new: file(new).write_bytes(file(old).read_bytes()) and None,
        address_of=lambda database: f"sqlite:///{file(database)}",
        connections=lambda database: open_files().count(str(file(database))),
        sessions=lambda database: set(),
        counting=lambda: nullcontext(files),
        fingerprint=fingerprint,
        nowhere=f"sqlite:///{folder}/missing",
        clean=clean,
        service=Service(name="main", url=f"sqlite:///{folder}"),
        databases=lambda: {path.stem for path in folder.glob("*.sqlite")},
        run_sql=run_sql,
        make_database=lambda name: sqlite3.connect(file(name)).close() or file(name).touch(),
        drop_database=lambda name: file(name).unlink(),
        new_service=new_service,
        directory=folder,
    )


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest) -> TestServer:
    """Every kind of server, one after the other."""
    found: TestServer = request.getfixturevalue(f"{request.param}_ground")
    return found


@pytest.fixture(params=SERVERS)
def server_ground(request: pytest.FixtureRequest) -> TestServer:
    """Every kind of server that is one, and no folder of files."""
    found: TestServer = request.getfixturevalue(f"{request.param}_ground")
    return found


def require_spatial(ground: TestServer) -> TestServer:
    """The ground, if it can have spatial stores."""
    server = server_of(ground.service, Keyring())
    database_address = DatabaseAddress(server=server, database="dams", label="dams")
    problem = backend_for(server.login.url).spatial_problem(database_address, exists=False)
    if problem is not None:
        unavailable(str(problem))
    return ground
