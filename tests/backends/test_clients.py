"""Other programs get to a database, whatever it and its user are called."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, make_url

from fix_servers import require_program
from penstock.backends import DatabaseAddress, Server, backend_for, portable
from penstock.backends.address import Login
from penstock.errors import NotSupported, StoreNotCreated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_mariadb import MariaDBServer
    from fix_servers import PostgreSQLServer, TestServer
    from penstock.backends.clients import ClientCommand

PASSWORD = "a b'c\"d$HOME%41\\n#;`id`\nsecond line\ttab &=?/@:+ ÄÖ漢🎉 end "
"""One that every kind of quoting has to say something about."""

USER = "u ser'\"$x%41\\ ÄÖ"
DATABASE = "d b'\"$x%41\\ ÄÖ?&=#:"

PASSWORDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60
)


@dataclass(frozen=True)
class Odd:
    """A database with an odd name, in which a user with an odd name and an odd password may log in."""

    url: URL
    address: DatabaseAddress
    ask: list[str]
    """What makes the client program print who is logged in, and where."""


def address_of(url: URL, **more: object) -> DatabaseAddress:
    server = Server(service="main", login=Login(url=url.set(password=None)))
    return DatabaseAddress(server=server, database=url.database or "", **more)


@pytest.fixture
def odd_postgresql(postgresql: PostgreSQLServer) -> Odd:
    user, database = sql.Identifier(USER), sql.Identifier(DATABASE)
    with postgresql.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, sql.Literal(PASSWORD)).as_string()
        )
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, user))
    url = URL.create("postgresql+psycopg", USER, PASSWORD, "127.0.0.1", postgresql.port, DATABASE)
    ask = ["-X", "-A", "-t", "-c", "SELECT current_user || ' in ' || current_database()"]
    return Odd(url, address_of(url), ask)


@pytest.fixture
def odd_mariadb(mariadb: MariaDBServer) -> Iterator[Odd]:
    name = DATABASE.replace("`", "``")
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s", (USER, PASSWORD))
        cursor.execute(f"CREATE DATABASE `{name}`")
        cursor.execute("GRANT ALL ON *.* TO %s@'%%'", (USER,))
    url = URL.create("mariadb+pymysql", USER, PASSWORD, "127.0.0.1", mariadb.port, DATABASE)
    yield Odd(
        url,
        address_of(url),
        ["-N", "-r", "-e", "SELECT CONCAT(SUBSTRING_INDEX(USER(), '@', 1), ' in ', DATABASE())"],
    )
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP USER %s@'%%'", (USER,))


@pytest.fixture(params=["postgresql", "mariadb"])
def odd(request: pytest.FixtureRequest) -> Odd:
    """On every kind of server."""
    found: Odd = request.getfixturevalue(f"odd_{request.param}")
    return found


def ran(words: list[str], more: dict[str, str], files: tuple[int, ...] = ()) -> str:
    """What a program prints that is given nothing but these variables."""
    require_program(words[0])
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **more}
    done = subprocess.run(
        words, env=env, capture_output=True, text=True, check=False, pass_fds=files, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")


def started(command: ClientCommand, more: list[str], folder: Path) -> str:
    """What a client program prints that is started as it says."""
    first = []
    if command.file_option:
        file = folder / "options"
        file.touch(mode=0o600)
        file.write_text(command.file, encoding="utf-8")
        first = [f"{command.file_option}{file}"]
    return ran([command.program, *first, *command.arguments, *more], dict(command.environment))


def test_the_client_program_gets_there_without_a_password_on_its_command_line(
    odd: Odd, tmp_path: Path
) -> None:
    command = backend_for(odd.url).clients.command(odd.address, odd.url, read_only=False)
    assert PASSWORD not in " ".join(command.arguments)
    assert "second line" not in " ".join(command.arguments) + repr(command)
    assert started(command, odd.ask, tmp_path) == f"{USER} in {DATABASE}"


def test_a_session_that_only_reads_refuses_to_write(odd: Odd, tmp_path: Path) -> None:
    make = "CREATE TABLE gage (number integer)"
    clients = backend_for(odd.url).clients
    started(clients.command(odd.address, odd.url, read_only=False), [*odd.ask[:-1], make], tmp_path)
    command = clients.command(odd.address, odd.url, read_only=True)
    assert started(command, odd.ask, tmp_path) == f"{USER} in {DATABASE}"
    for statement in ("INSERT INTO gage VALUES (1)", "DROP TABLE gage"):
        with pytest.raises(AssertionError, match=r"(?i)read.only transaction"):
            started(command, [*odd.ask[:-1], statement], tmp_path)


def test_a_shell_takes_the_variables_up(odd: Odd) -> None:
    variables = backend_for(odd.url).clients.environment(odd.url)
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    program = (
        "psql"
        if odd.url.get_backend_name() == "postgresql"
        else 'mariadb --user="$MYSQL_USER" "$MYSQL_DATABASE"'
    )
    script = f"{exports}{program} {shlex.join(odd.ask)}"
    assert ran(["bash", "-c", script], {}) == f"{USER} in {DATABASE}"


def test_psql_takes_the_keywords_as_they_are(odd_postgresql: Odd) -> None:
    odd = odd_postgresql
    said = backend_for(odd.url).clients.keywords(odd.url)
    assert ran(["psql", said, *odd.ask], {}) == f"{USER} in {DATABASE}"
    assert (
        ran(["bash", "-c", f'psql "$1" {shlex.join(odd.ask)}', "bash", said], {}) == f"{USER} in {DATABASE}"
    )


def test_an_address_of_java_says_the_same(odd: Odd) -> None:
    url = odd.url.set(drivername=odd.url.drivername.replace("mariadb", "mysql"))
    said = backend_for(url).clients.jdbc(url)
    assert said.isascii()
    assert said.split(":")[:2] == ["jdbc", url.get_backend_name()]
    parts = urlsplit(said.removeprefix("jdbc:"))
    assert (parts.hostname, parts.port) == (odd.url.host, odd.url.port)
    assert unquote(parts.path.removeprefix("/")) == DATABASE
    assert dict(parse_qsl(parts.query, strict_parsing=True)) == {"user": USER, "password": PASSWORD}


def test_what_java_could_not_read_of_mariadb_is_refused() -> None:
    url = URL.create("mariadb+pymysql", "lab", "a b'%41+=#/ÄÖ", "db.example.org", 3306, "gages")
    jdbc = backend_for(url).clients.jdbc
    assert jdbc(url) == "jdbc:mariadb://db.example.org:3306/gages?user=lab&password=a b'%41+=#/ÄÖ"
    for change in ({"password": "a&b"}, {"password": "a\nb"}, {"database": "a?b"}):
        with pytest.raises(NotSupported, match="driver for Java"):
            jdbc(url.set(**change))


@given(password=PASSWORDS)
@settings(max_examples=200)
def test_any_password_is_what_libpq_reads(password: str) -> None:
    url = URL.create("postgresql+psycopg", "lab", password, "db.example.org", None, "lab_gages")
    said = backend_for(url).clients.keywords(url)
    assert conninfo_to_dict(said) == {
        "host": "db.example.org", "port": "5432", "user": "lab", "password": password, "dbname": "lab_gages",
    }  # fmt: skip
    assert make_url(portable(url)).password == password


@given(password=PASSWORDS)
@settings(max_examples=150)
def test_any_password_is_what_the_programs_of_mariadb_read(password: str, tmp_path: Path) -> None:
    url = URL.create("mariadb+pymysql", "lab", password, "db.example.org", None, "lab_gages")
    command = backend_for(url).clients.command(address_of(url), url, read_only=False)
    file = tmp_path / "options"
    file.write_bytes(command.file.encode())
    words = ["my_print_defaults", f"--defaults-file={file}", "client"]
    require_program(words[0])
    done = subprocess.run(words, capture_output=True, check=True)
    assert done.stdout == f"--password={password}\n".encode()


def test_what_an_address_says_of_tls_is_kept_by_postgresql() -> None:
    said = {"sslmode": "verify-full", "sslrootcert": "/etc/ssl/db ca.pem"}
    url = URL.create("postgresql+psycopg", "lab", "pw", "db.example.org", 6432, "gages", said)
    clients = backend_for(url).clients
    [argument] = clients.command(address_of(url), url, read_only=True).arguments
    told = conninfo_to_dict(argument.removeprefix("--dbname="))
    assert said.items() <= told.items()
    assert told["options"] == "-c default_transaction_read_only=on"
    assert said.items() <= conninfo_to_dict(clients.keywords(url)).items()
    assert clients.environment(url) == {
        "PGHOST": "db.example.org", "PGPORT": "6432", "PGDATABASE": "gages", "PGUSER": "lab",
        "PGPASSWORD": "pw",
        "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/etc/ssl/db ca.pem",
    }  # fmt: skip
    assert clients.jdbc(url).endswith("&sslmode=verify-full&sslrootcert=%2Fetc%2Fssl%2Fdb%20ca.pem")


def test_what_an_address_says_of_tls_is_kept_or_refused_by_mariadb() -> None:
    url = URL.create(
        "mariadb+pymysql", "lab", "pw", "db.example.org", None, "gages", {"ssl_ca": "/etc/ssl/ca.pem"}
    )
    clients = backend_for(url).clients
    arguments = clients.command(address_of(url), url, read_only=False).arguments
    assert arguments[-3:] == ("--ssl", "--ssl-ca=/etc/ssl/ca.pem", "--ssl-verify-server-cert")
    assert clients.jdbc(url).endswith("&sslMode=verify-full&serverSslCert=/etc/ssl/ca.pem")
    with pytest.raises(NotSupported, match="how this store's address wants TLS: ssl_ca"):
        clients.environment(url)
    with pytest.raises(NotSupported, match="ssl_cert"):
        clients.jdbc(url.update_query_dict({"ssl_cert": "/etc/ssl/me.pem"}))


def test_several_servers_are_told_of_to_java_too() -> None:
    url = make_url("postgresql+psycopg://lab@/gages?host=a:5433&host=b:5434&target_session_attrs=read-write")
    said = backend_for(url).clients.jdbc(url)
    assert said == "jdbc:postgresql://a:5433,b:5434/gages?user=lab&targetServerType=primary"
    alone = make_url("postgresql+psycopg://lab@[::1]/gages")
    assert backend_for(alone).clients.jdbc(alone) == "jdbc:postgresql://[::1]:5432/gages?user=lab"
    with pytest.raises(NotSupported, match="socket"):
        backend_for(url).clients.jdbc(make_url("postgresql+psycopg://lab@/gages?host=/run/postgresql"))


def test_a_pooler_is_not_sent_what_it_refuses() -> None:
    url = make_url("postgresql+psycopg://lab@db.example.org/gages")
    address = DatabaseAddress(
        server=Server(service="main", login=Login(url=url), pooled=True), database="gages", role="lab_app"
    )
    clients = backend_for(url).clients
    [argument] = clients.command(address, url, read_only=False).arguments
    assert "options" not in argument
    with pytest.raises(NotSupported, match="refuse writing") as caught:
        clients.command(address, url, read_only=True)
    assert caught.value.hint == "Add --role app, if you may write."


def test_only_postgresql_has_keywords(ground: TestServer) -> None:
    url = make_url(ground.url).set(database="gages")
    if ground.kind == "postgresql":
        assert "dbname=gages" in backend_for(url).clients.keywords(url)
    else:
        with pytest.raises(NotSupported, match="libpq speaks to PostgreSQL only"):
            backend_for(url).clients.keywords(url)


@pytest.mark.parametrize("name", ["gages", "g a'\"$x%41?b=c#\\ÄÖ\n"])
def test_a_file_is_opened_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    url = make_url("sqlite+pysqlite://").set(database=str(folder))
    address = address_of(url.set(database=str(folder)))
    address = DatabaseAddress(server=address.server, database="./it.db")
    clients = backend_for(url).clients
    with pytest.raises(StoreNotCreated):
        clients.command(address, url, read_only=False)
    assert not (folder / "it.db").exists()
    (folder / "it.db").touch()
    writing = clients.command(address, url, read_only=False)
    assert started(writing, ["CREATE TABLE gage AS SELECT 7 AS number"], tmp_path) == ""
    reading = clients.command(address, url, read_only=True)
    assert started(reading, ["SELECT * FROM gage"], tmp_path) == "7"
    with pytest.raises(AssertionError, match="readonly"):
        started(reading, ["DROP TABLE gage"], tmp_path)
    [(variable, path)] = clients.environment(backend_for(url).store_url(address)).items()
    script = f'export {variable}={shlex.quote(path)}; sqlite3 "${variable}" "SELECT * FROM gage"'
    assert ran(["bash", "-c", script], {}) == "7"


def test_java_is_told_of_a_file_as_it_is_or_as_a_uri() -> None:
    url = make_url("sqlite+pysqlite://")
    clients = backend_for(url).clients
    assert clients.jdbc(url.set(database="/srv/a b.sqlite")) == "jdbc:sqlite:/srv/a b.sqlite"
    assert clients.jdbc(url.set(database="/srv/a?b.sqlite")) == "jdbc:sqlite:file:/srv/a%3Fb.sqlite"
