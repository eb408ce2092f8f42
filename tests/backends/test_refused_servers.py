"""Why a server refuses a connection is told by its own code, for every driver."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest
from sqlalchemy import text

from fix_mariadb import running_mariadb
from fix_refusals import service_told, told, ways
from fix_servers import running_server
from fix_tls import Authority
from penstock import EngineOptions, MemoryRegistry, Service, Stores
from penstock.aio import AsyncStores
from penstock.errors import (
    DatabaseMissing,
    HostRefused,
    LoginRefused,
    NotAllowed,
    ServerFull,
    ServerNotReady,
    StoreNotCreated,
    TlsFailed,
    WrongProtocol,
)
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fix_mariadb import MariaDBServer
    from fix_refusals import Way
    from fix_servers import PostgreSQLServer
    from penstock import App

    Guest = Callable[..., Service]

SLEEP = text("SELECT SLEEP(1.5)")
_SMALL = 10
_HBA = """
host all barred 127.0.0.1/32 reject
hostnossl all secret 127.0.0.1/32 reject
hostssl all secret 127.0.0.1/32 scram-sha-256
"""


def may_connect(service: Service, lab: type[App]) -> None:
    """The store can be opened after all."""
    registry = MemoryRegistry()
    registry.put_service(service)
    with Stores(registry, apps=[lab]) as stores:
        stores.links.add(service.name, lab, "gages")
        stores.engine(lab, "gages").connect().close()


# --- PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """Who vouches for the servers here, and somebody else."""
    folder = tmp_path_factory.mktemp("authorities")
    return Authority(folder, "authority"), Authority(folder, "stranger")


@pytest.fixture(scope="module")
def small(authorities: tuple[Authority, Authority]) -> Iterator[PostgreSQLServer]:
    """A server with room for few, and TLS, that lets not everybody in; it has a store's database."""
    with running_server() as server:
        with server.connect() as connection:
            [[data]] = connection.execute("SHOW data_directory").fetchall()
            connection.execute(f"ALTER SYSTEM SET max_connections = {_SMALL}")
            connection.execute("ALTER SYSTEM SET max_wal_senders = 0")
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("CREATE DATABASE lab_gages OWNER penstock TEMPLATE template0")
        for file in authorities[0].vouch("127.0.0.1"):
            _give(file, f"{data}/{file.name.replace('pem', 'crt')}")
        with open(f"{data}/pg_hba.conf", "r+", encoding="utf-8") as rules:
            before = rules.read()
            rules.seek(0)
            rules.write(_HBA + before)
        server.stop()
        server.start()
        yield server


def _give(file: Path, to: str) -> None:
    """Copy a file to where a server finds it, and may read it."""
    shutil.copy(file, to)
    owner = os.stat(os.path.dirname(to))
    os.chown(to, owner.st_uid, owner.st_gid)
    os.chmod(to, 0o600)


@pytest.fixture
def guest(small: PostgreSQLServer, tmp_path: Path) -> Iterator[Guest]:
    """Makes a role, and a service that logs in as it; both are gone afterwards."""
    made: list[str] = []

    def make(name: str = "guest", role_options: str = "", options: str = "", password: str = "pw") -> Service:
        with small.connect() as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw' {role_options}")
        made.append(name)
        (tmp_path / name).write_text(password)
        secret = SecretRef("file", str(tmp_path / name))
        url = f"postgresql://{name}@127.0.0.1:{small.port}{options}"
        return Service(name="main", url=url, password=secret)

    yield make
    with small.connect() as connection:
        for name in made:
            connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@contextmanager
def crowded(connect: Callable[[], Any]) -> Iterator[None]:
    """In the block, all room that is not an administrator's is taken."""
    with ExitStack() as held:
        with suppress(psycopg.OperationalError, pymysql.err.OperationalError):
            for _ in range(2 * _SMALL):
                held.enter_context(connect())
        yield


@ways("postgresql")
def test_a_full_server_is_told_as_full(
    way: Way, small: PostgreSQLServer, guest: Guest, lab: type[App]
) -> None:
    service = guest()
    login = {"host": "127.0.0.1", "port": small.port, "user": "guest", "password": "pw"}
    with crowded(lambda: psycopg.connect(dbname="postgres", **login)):
        error = told(way, service, lab)
        assert type(service_told(service)) is ServerFull
    assert type(error) is ServerFull
    assert "raise max_connections on the server" in error.hint


@ways("postgresql")
def test_a_role_with_no_connection_left_is_told_as_that(way: Way, guest: Guest, lab: type[App]) -> None:
    error = told(way, guest("few", "CONNECTION LIMIT 0"), lab)
    assert type(error) is ServerFull
    assert "no connection left for the role few" in error.why
    assert "ALTER ROLE" in error.hint


@ways("postgresql")
def test_a_database_with_no_connection_left_is_told_as_that(
    way: Way, small: PostgreSQLServer, guest: Guest, lab: type[App]
) -> None:
    with small.connect() as connection:
        connection.execute("ALTER DATABASE lab_gages CONNECTION LIMIT 0")
        try:
            error = told(way, guest(), lab)
        finally:
            connection.execute("ALTER DATABASE lab_gages CONNECTION LIMIT -1")
    assert type(error) is ServerFull
    assert "no connection left for the database lab_gages" in error.why
    assert "ALTER DATABASE" in error.hint


@ways("postgresql")
def test_a_role_without_connect_is_told_the_grant_that_it_lacks(
    way: Way, small: PostgreSQLServer, guest: Guest, lab: type[App]
) -> None:
    service = guest("kept_out")
    with small.connect() as connection:
        connection.execute("REVOKE CONNECT ON DATABASE lab_gages FROM PUBLIC")
        error = told(way, service, lab)
        assert type(error) is NotAllowed
        assert error.code == "not-allowed"
        assert 'GRANT CONNECT ON DATABASE "lab_gages" TO "kept_out"' in error.hint
        connection.execute(error.hint.partition(": ")[2])
        may_connect(service, lab)
        connection.execute("GRANT CONNECT ON DATABASE lab_gages TO PUBLIC")


@ways("postgresql")
def test_a_wrong_password_and_an_unknown_role_are_refused_logins(
    way: Way, guest: Guest, lab: type[App]
) -> None:
    service = guest(password="Kanarie-4711")
    stranger = replace(service, url=service.url.replace("guest", "stranger"))
    for refused in (service, stranger):
        assert type(told(way, refused, lab)) is LoginRefused
        assert type(service_told(refused)) is LoginRefused


@ways("postgresql")
def test_a_login_without_a_password_is_told_that_one_is_asked_for(
    way: Way, guest: Guest, lab: type[App]
) -> None:
    error = told(way, replace(guest(), password=None), lab)
    assert type(error) is LoginRefused
    assert error.hint


@ways("postgresql")
def test_a_host_that_is_not_let_in_is_told_as_that(way: Way, guest: Guest, lab: type[App]) -> None:
    error = told(way, guest("barred"), lab)
    assert type(error) is HostRefused
    assert "pg_hba.conf" in error.hint


@ways("postgresql")
def test_a_server_that_demands_tls_says_so(way: Way, guest: Guest, lab: type[App]) -> None:
    service = guest("secret", options="?sslmode=disable")
    error = told(way, service, lab)
    assert type(error) is HostRefused
    assert "add ?sslmode=require" in error.hint
    may_connect(replace(service, url=service.url.replace("disable", "require")), lab)


@ways("postgresql")
def test_a_certificate_that_somebody_else_signed_is_no_tls(
    way: Way, guest: Guest, lab: type[App], authorities: tuple[Authority, Authority]
) -> None:
    ours, stranger = (each.certificate for each in authorities)
    service = guest(options=f"?sslmode=verify-full&sslrootcert={stranger}")
    error = told(way, service, lab)
    assert type(error) is TlsFailed
    assert "certificate" in error.why
    may_connect(replace(service, url=service.url.replace(str(stranger), str(ours))), lab)


@ways("postgresql")
def test_a_server_without_tls_says_so(
    way: Way, postgresql: PostgreSQLServer, guest: Guest, lab: type[App]
) -> None:
    service = guest()
    url = f"postgresql://penstock@127.0.0.1:{postgresql.port}?sslmode=require"
    error = told(way, replace(service, url=url), lab)
    assert type(error) is TlsFailed
    assert f"the server at 127.0.0.1:{postgresql.port} has none" in error.why


@ways("postgresql")
def test_a_database_that_is_not_there_is_told_as_that(
    way: Way, postgresql: PostgreSQLServer, tmp_path: Path, lab: type[App]
) -> None:
    url = f"postgresql://penstock@127.0.0.1:{postgresql.port}/nowhere"
    password = SecretRef("file", str(postgresql.owner_password_file))
    service = Service(name="main", url=url, password=password)
    assert type(told(way, service, lab)) is StoreNotCreated
    error = service_told(service)
    assert type(error) is DatabaseMissing
    assert "no database nowhere" in error.why


@ways("postgresql")
def test_a_server_that_shuts_down_is_told_as_not_ready(
    way: Way, small: PostgreSQLServer, guest: Guest, lab: type[App]
) -> None:
    service, pid = guest(), small.cluster.status().pid
    assert pid is not None
    with small.connect():
        os.kill(pid, signal.SIGTERM)  # It waits for the session, and takes no other.
        errors = [told(way, service, lab) for _ in range(2)]
    small.stop()
    small.start()
    assert {type(error) for error in errors} == {ServerNotReady}


# --- MariaDB --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow() -> Iterator[MariaDBServer]:
    """A server with room for few, without TLS."""
    with running_mariadb(f"--max-connections={_SMALL}", "--max-user-connections=99", "--skip-ssl") as running:
        running.run("CREATE DATABASE lab_gages")
        yield running


@pytest.fixture
def user(narrow: MariaDBServer, tmp_path: Path) -> Iterator[Guest]:
    """Makes a user with all rights on the store, or others, and a service that logs in as it."""
    made: list[str] = []

    def make(name: str = "guest", grant: str = "ALL ON lab_gages.*", password: str = "pw") -> Service:
        narrow.run(f"CREATE USER {name} IDENTIFIED BY 'pw'")
        made.append(name)
        narrow.run(f"GRANT {grant} TO {name}")
        (tmp_path / name).write_text(password)
        url = f"mariadb://{name}@127.0.0.1:{narrow.port}"
        return Service(name="main", url=url, password=SecretRef("file", str(tmp_path / name)))

    yield make
    for name in made:
        narrow.run(f"DROP USER {name}")


@ways("mariadb")
def test_a_full_mariadb_is_told_as_full(way: Way, narrow: MariaDBServer, user: Guest, lab: type[App]) -> None:
    service = user()
    with crowded(lambda: narrow.connect(user="guest", password="pw")):
        error = told(way, service, lab)
        assert type(service_told(service)) is ServerFull
    assert type(error) is ServerFull
    assert "max_connections on the server" in error.hint


@ways("mariadb")
@pytest.mark.parametrize(
    ("limit", "hint"),
    [
        ("SET GLOBAL max_user_connections = 1", "max_user_connections on the server"),
        ("ALTER USER guest WITH MAX_USER_CONNECTIONS 1", "ALTER USER … WITH MAX_USER_CONNECTIONS"),
    ],
)
def test_a_user_with_no_connection_left_is_told_as_that(
    way: Way, limit: str, hint: str, narrow: MariaDBServer, user: Guest, lab: type[App]
) -> None:
    service = user()
    narrow.run(limit)
    try:
        with narrow.connect(user="guest", password="pw"):
            error = told(way, service, lab)
    finally:
        narrow.run("SET GLOBAL max_user_connections = 99")
    assert type(error) is ServerFull
    assert "no connection left for the user guest" in error.why
    assert hint in error.hint


@ways("mariadb")
def test_a_user_without_rights_is_told_the_grant_that_it_lacks(
    way: Way, narrow: MariaDBServer, user: Guest, lab: type[App]
) -> None:
    service = user(grant="USAGE ON *.*")
    error = told(way, service, lab)
    assert type(error) is NotAllowed
    assert "GRANT ALL ON `lab\\_gages`.* TO 'guest'@'%'" in error.hint
    narrow.run(error.hint.partition(": ")[2])
    may_connect(service, lab)


@ways("mariadb")
def test_a_wrong_password_and_an_unknown_user_are_refused_logins(
    way: Way, user: Guest, lab: type[App]
) -> None:
    service = user(password="Kanarie-4711")
    stranger = replace(service, url=service.url.replace("guest", "stranger"))
    for refused in (service, stranger):
        assert type(told(way, refused, lab)) is LoginRefused
        assert type(service_told(refused)) is LoginRefused


@ways("mariadb")
def test_a_mariadb_without_tls_says_so(
    way: Way, user: Guest, lab: type[App], authorities: tuple[Authority, Authority]
) -> None:
    service = user()
    error = told(way, replace(service, url=f"{service.url}/?ssl_ca={authorities[0].certificate}"), lab)
    assert type(error) is TlsFailed
    assert "has none" in error.why


@ways("mariadb")
def test_a_mariadb_that_demands_tls_says_so(
    way: Way, narrow: MariaDBServer, user: Guest, lab: type[App]
) -> None:
    service = user()
    narrow.run("SET GLOBAL require_secure_transport = ON")
    try:
        error = told(way, service, lab)
    finally:
        with narrow.connect(unix_socket=str(narrow.data / "s")) as connection, connection.cursor() as cursor:
            cursor.execute("SET GLOBAL require_secure_transport = OFF")
    assert type(error) is LoginRefused  # It says no more than of a wrong password.
    assert "where only lines with TLS are taken" in error.hint


@ways("mariadb")
def test_a_database_that_mariadb_has_not_is_told_as_that(
    way: Way, user: Guest, narrow: MariaDBServer, lab: type[App]
) -> None:
    service = user(grant="ALL ON *.*")
    narrow.run("DROP DATABASE lab_gages")
    try:
        assert type(told(way, service, lab)) is StoreNotCreated
    finally:
        narrow.run("CREATE DATABASE lab_gages")


@ways("mariadb")
def test_what_comes_after_the_login_may_take_longer(way: Way, user: Guest, lab: type[App]) -> None:
    registry = MemoryRegistry()
    registry.put_service(user())
    with Stores(registry, apps=[lab], engine_options=EngineOptions(connect_timeout=1)) as stores:
        stores.links.add("main", lab, "gages")

        async def awaited() -> object:
            async with AsyncStores(stores).engine(lab, "gages").connect() as connection:
                found = (await connection.execute(SLEEP)).scalar()
            await AsyncStores(stores).engine(lab, "gages").dispose()
            return found

        if way.awaited:
            assert asyncio.run(awaited()) == 0
        else:
            with stores.engine(lab, "gages").connect() as connection:
                assert connection.execute(SLEEP).scalar() == 0


# --- one for the other ----------------------------------------------------------------------------


@ways()
def test_a_server_of_another_kind_is_named(
    way: Way, small: PostgreSQLServer, narrow: MariaDBServer, guest: Guest, lab: type[App]
) -> None:
    port, speaks = (narrow.port, "MariaDB") if way.kind == "postgresql" else (small.port, "PostgreSQL")
    service = replace(guest(), url=way.address(port))
    for error in (told(way, service, lab), service_told(service)):
        assert type(error) is WrongProtocol
        assert f"127.0.0.1:{port} is {speaks}" in error.why


@ways()
def test_a_file_of_certificates_that_is_not_there_is_no_tls(
    way: Way, small: PostgreSQLServer, narrow: MariaDBServer, guest: Guest, lab: type[App]
) -> None:
    options, port = "/?ssl_ca=/nowhere/ca", narrow.port
    if way.kind == "postgresql":
        options, port = "?sslmode=verify-full&sslrootcert=/nowhere/ca", small.port
    service = replace(guest(), url=way.address(port, options=options))
    for error in (told(way, service, lab), service_told(service)):
        assert type(error) is TlsFailed
        assert error.hint
