"""A real MariaDB of the test run's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from fix_servers import TestServer, server_folder, unavailable
from penstock.embedded.ports import choose_port
from penstock.registry import Service
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pymysql

_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_OWN = ("information_schema", "mysql", "performance_schema", "sys")
_USERS = ("penstock", "penstock_admin", "root", "mysql", "mariadb.sys", "")
_NOBODY_THERE = 2003
_PASSWORD = "p@ss/word:%41"  # one that an address has to quote

SERVICE_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES,"
    " LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER, CREATE USER,"
    " PROCESS, CONNECTION ADMIN"
)
"""What a service's user needs on the whole server."""


@dataclass
class MariaDBServer:
    """A running server, and ways in that do not go through Penstock."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The address of the user that owns stores."""
        return f"mariadb://penstock@127.0.0.1:{self.port}"

    @property
    def password_file(self) -> Path:
        """Where its password is."""
        return self.folder / "password"

    def make(self) -> None:
        """Make the folder of the server's data, with its users."""
        self.password_file.write_text(_PASSWORD)
        for path in (self.folder, self.data, self.temporary):
            path.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(path, _account())
        done = subprocess.run(
            [
                _program("mariadb-install-db"),
                *("--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal"),
                *("--skip-test-db", "--skip-name-resolve", "--force", "--cross-bootstrap"),
                f"--tmpdir={self.temporary}",
            ],
            user=_account(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"mariadb-install-db: {done.stdout.decode()} {done.stderr.decode()}")
        self.start()
        with self.connect(user="root", password="") as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER penstock_admin IDENTIFIED BY '{_PASSWORD}'")
            cursor.execute("GRANT ALL ON *.* TO penstock_admin WITH GRANT OPTION")
            cursor.execute(f"CREATE USER penstock IDENTIFIED BY '{_PASSWORD}'")
            cursor.execute(f"GRANT {SERVICE_RIGHTS} ON *.* TO penstock WITH GRANT OPTION")

    @property
    def data(self) -> Path:
        """The folder of its data."""
        return self.folder / "data"

    @property
    def temporary(self) -> Path:
        """Where it puts what it needs for a moment; two servers must not have the same."""
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.data / "error.log"

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        self.process = subprocess.Popen(
            [
                _program("mariadbd"),
                *("--no-defaults", f"--datadir={self.data}", f"--port={self.port}"),
                *(
                    "--bind-address=127.0.0.1",
                    f"--socket={self.data / 's'}",
                    f"--pid-file={self.data / 'pid'}",
                ),
                *(
                    "--local-infile=1",
                    "--skip-name-resolve",
                    "--max-connections=300",
                    f"--log-error={self.log}",
                ),
                *("--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0", "--skip-log-bin"),
                "--innodb-buffer-pool-size=64M",
                *self.options,
            ],
            user=_account(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await()

    def stop(self, *, kill: bool = False) -> None:
        """Stop it, as an administrator would, or as a crash would."""
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(60)
            self.process = None

    def _await(self) -> None:
        import pymysql

        for _ in range(600):
            try:
                self.connect(user="root", password="").close()
            except pymysql.err.OperationalError as error:
                if error.args[0] != _NOBODY_THERE:
                    return  # It answers, if only to refuse.
            else:
                return
            time.sleep(0.05)
        pytest.fail(f"MariaDB did not start: {self.log.read_text()}")

    def connect(
        self,
        database: str | None = None,
        *,
        user: str = "penstock_admin",
        password: str = _PASSWORD,
        **options: Any,
    ) -> pymysql.Connection[Any]:
        """A connection of the administrator's, in autocommit."""
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            database=database,
            autocommit=True,
            **options,
        )

    def run(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """What a statement finds."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def databases(self) -> set[str]:
        """The databases on the server that are not its own."""
        return {name for (name,) in self.run("SHOW DATABASES")} - set(_OWN)

    def users(self) -> set[str]:
        """The users and roles on the server that are not its own."""
        return {name for (name,) in self.run("SELECT user FROM mysql.user")} - set(_USERS)

    def fingerprint(self, database: str) -> list[Any]:
        """A database to the last row, table and right."""
        named = f"WHERE table_schema = '{database}' ORDER BY 1"
        tables = self.run(
            f"SELECT table_name, table_type, create_time FROM information_schema.tables {named}"
        )
        rows = [self.run(f"SELECT * FROM `{database}`.`{table}`") for table, *_ in tables]
        rights = self.run(f"SELECT * FROM mysql.db WHERE db = '{database}'")
        return [tables, rows, rights, self.run(f"SHOW CREATE DATABASE `{database}`")]

    def clean(self) -> None:
        """Drop every database, user and role that is not the server's own, when its sessions have ended."""
        with self.connect() as connection, connection.cursor() as cursor:
            others = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND id > 5"
            cursor.execute(others)
            for (session,) in cursor.fetchall():
                with suppress(Exception):
                    cursor.execute(f"KILL {session}")
            for _ in range(2000):
                if not cursor.execute(others):
                    break
                time.sleep(0.005)
            for name in self.databases():
                cursor.execute(f"DROP DATABASE IF EXISTS `{name.replace('`', '``')}`")
            cursor.execute("SELECT user, host, is_role FROM mysql.user")
            for user, host, is_role in cursor.fetchall():
                if user not in _USERS:
                    whom = f"ROLE '{user}'" if is_role == "Y" else f"USER '{user}'@'{host}'"
                    cursor.execute(f"DROP {whom}")


def _account() -> str | None:
    """Whose server it is: root's it may not be."""
    return "mysql" if os.geteuid() == 0 else None


def _program(name: str) -> str:
    found = shutil.which(name, path=_PATH)
    if found is None:
        unavailable(f"MariaDB is not installed: there is no {name}")
    return str(found)


@contextmanager
def running_mariadb(*options: str) -> Iterator[MariaDBServer]:
    """A server in a folder of its own, removed with everything it made."""
    _program("mariadbd")
    folder = server_folder()
    folder.chmod(0o755)
    server = MariaDBServer(folder, choose_port(folder), options)
    try:
        server.make()
        yield server
    finally:
        server.stop(kill=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _mariadb_server() -> Iterator[MariaDBServer]:
    with running_mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def _second_mariadb_server() -> Iterator[MariaDBServer]:
    with running_mariadb() as server:
        yield server


@pytest.fixture
def mariadb(_mariadb_server: MariaDBServer) -> MariaDBServer:
    """A running MariaDB server without anybody's databases; what a test leaves, the next one removes."""
    _mariadb_server.start()
    _mariadb_server.clean()
    return _mariadb_server


@pytest.fixture
def mariadb_ground(mariadb: MariaDBServer, request: pytest.FixtureRequest) -> TestServer:
    """MariaDB as a ground to test on; its other services are on a second server."""

    def new_service(name: str) -> Service:
        second: MariaDBServer = request.getfixturevalue("_second_mariadb_server")
        second.clean()
        return _service_on(second, name)

    return mariadb_ground_on(mariadb, new_service)


def mariadb_ground_on(mariadb: MariaDBServer, new_service: Callable[[str], Service]) -> TestServer:
    """A server of MariaDB as a ground to test on."""

    def do(template: str) -> Callable[[str], None]:
        return lambda name: mariadb.run(template.format(name.replace("`", "``"))) and None

    def copy_database(old: str, new: str) -> None:
        mariadb.run(f"CREATE DATABASE `{new}`")
        for (table,) in mariadb.run(f"SHOW TABLES FROM `{old}`"):
            mariadb.run(f"CREATE TABLE `{new}`.`{table}` LIKE `{old}`.`{table}`")
            mariadb.run(f"INSERT INTO `{new}`.`{table}` SELECT * FROM `{old}`.`{table}`")

    @contextmanager
    def counting() -> Iterator[Callable[[], int]]:
        query = "SELECT id FROM information_schema.processlist WHERE user = 'penstock'"
        with mariadb.connect() as connection, connection.cursor() as cursor:
            yield lambda: int(cursor.execute(query))

    def sessions(database: str) -> set[int]:
        found = mariadb.run(f"SELECT id FROM information_schema.processlist WHERE db = '{database}'")
        return {number for (number,) in found}

    return TestServer(
        kind="mariadb",
        copy_database=copy_database,
        address_of=lambda database: mariadb.url.replace("@", f":{quote(_PASSWORD, '')}@") + f"/{database}",
        connections=lambda database: len(sessions(database)),
        sessions=sessions,
        counting=counting,
        fingerprint=mariadb.fingerprint,
        nowhere="mariadb://penstock@127.0.0.1:1",
        clean=mariadb.clean,
        running=mariadb,
        service=_service_on(mariadb, "main"),
        databases=mariadb.databases,
        run_sql=lambda database, statement: mariadb.run(statement, database),
        make_database=do("CREATE DATABASE `{}`"),
        drop_database=do("DROP DATABASE `{}`"),
        new_service=new_service,
    )


def _service_on(server: MariaDBServer, name: str) -> Service:
    return Service(name=name, url=server.url, password=SecretRef("file", str(server.password_file)))


def limited(mariadb: MariaDBServer, ground: TestServer, rights: str) -> TestServer:
    """The same server, on which the service's user has the rights named."""
    mariadb.run("CREATE USER limited IDENTIFIED BY 'pw'")
    mariadb.run(f"GRANT {rights} TO limited")
    file = mariadb.folder / "pw"
    file.write_text("pw\n")
    url = ground.service.url.replace("penstock@", "limited@")
    service = Service(name="main", url=url, password=SecretRef("file", str(file)))
    return replace(ground, service=service)
