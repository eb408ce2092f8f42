"""Services: passwords of every kind, and removing what is used."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from acceptance.conftest import add_service
from acceptance.terminal import Terminal
from penstock import Stores
from penstock.connect import ServiceAccount, read_password

if TYPE_CHECKING:
    from fix_mariadb import MariaDBServer
    from fix_servers import PostgreSQLServer, TestServer

PASSWORDS = ["p:a@ss/w%rd ü☃ 'once' \"twice\" \\ $HOME #?&=+", "-%41%2f "]


@pytest.fixture
def role(postgresql: PostgreSQLServer) -> str:
    """A role of the test's own, whose password the test sets."""
    with postgresql.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS odd")
        connection.execute("CREATE ROLE odd LOGIN CREATEDB")
    return f"postgresql://odd@127.0.0.1:{postgresql.port}"


def set_password(server: PostgreSQLServer, password: str) -> None:
    """Give the role a password, and make sure the server takes it without Penstock."""
    with server.connect() as connection:
        literal = sql.Literal(password)
        connection.execute(sql.SQL("ALTER ROLE odd PASSWORD {}").format(literal))
    psycopg.connect(
        host="127.0.0.1", port=server.port, user="odd", password=password, dbname="postgres"
    ).close()


def odd_role(request: pytest.FixtureRequest, password: str) -> tuple[str, Any]:
    """The address of a role with a password, and what lists the databases of its server."""
    address, server = request.getfixturevalue("role"), request.getfixturevalue("postgresql")
    set_password(server, password)
    return address, server.databases


def odd_user(request: pytest.FixtureRequest, password: str) -> tuple[str, Any]:
    """The same on MariaDB."""
    server: MariaDBServer = request.getfixturevalue("mariadb")
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER odd IDENTIFIED BY %s", (password,))
        cursor.execute("GRANT ALL ON `lab\\_%`.* TO odd")
    return f"mariadb://odd@127.0.0.1:{server.port}", server.databases


def nowhere_printed(site: Terminal, password: str) -> bool:
    """Whether nothing shows it, neither the commands nor the files they wrote."""
    files = [p for p in site.folder.rglob("*") if p.is_file()]
    kept = any(password.encode() in p.read_bytes() for p in files)
    return not kept and not any(password in text for text in site.printed)


@pytest.mark.parametrize("password", PASSWORDS)
def test_t13_passwords_of_all_characters_come_by_stdin(
    site: Terminal, postgresql: PostgreSQLServer, role: str, password: str
) -> None:
    set_password(postgresql, password)
    site.ok("services", "add", "main", role, "--password-stdin", stdin=password.encode() + b"\n")
    site.ok("services", "test", "main")
    site.ok("services", "list")
    site("doctor", "--json", env={"PENSTOCK_CONFIG": str(site.folder / "penstock.toml")})
    assert nowhere_printed(site, password)


@pytest.mark.parametrize("password", PASSWORDS)
def test_t13_passwords_of_all_characters_come_by_a_variable_or_a_file(
    site: Terminal, postgresql: PostgreSQLServer, role: str, password: str
) -> None:
    set_password(postgresql, password)
    site.ok("services", "add", "by_env", role, "--password-env", "MAIN_PW")
    done = site("services", "test", "by_env")
    assert (done.code, "MAIN_PW is not set" in done.err) == (1, True)
    site.ok("services", "test", "by_env", env={"MAIN_PW": password})
    (site.folder / "secret.txt").write_text(password + "\n")
    site.ok("services", "add", "by_file", role, "--password-file", "secret.txt")
    (site.folder / "below").mkdir()
    Terminal(site.folder / "below").ok("services", "test", "by_file")
    (site.folder / "secret.txt").unlink()
    assert nowhere_printed(site, password)


@pytest.mark.parametrize("password", PASSWORDS)
def test_t13_passwords_of_all_characters_are_typed_at_a_prompt_that_does_not_show_them(
    site: Terminal, postgresql: PostgreSQLServer, role: str, password: str
) -> None:
    set_password(postgresql, password)
    done = site.typed("services", "add", "main", role, answers=[("service's password", password)])
    assert done.code == 0, done.out
    site.ok("services", "test", "main")
    assert nowhere_printed(site, password)


@pytest.mark.parametrize("make", [odd_role, odd_user])
def test_t13_a_store_lives_behind_such_a_password(
    site: Terminal, request: pytest.FixtureRequest, make: Any
) -> None:
    password = PASSWORDS[0]
    address, databases = make(request, password)
    site.ok("services", "add", "main", address, "--password-stdin", stdin=password.encode())
    site.ok("link", "main", "lab:gages")
    site.ok("syncstores", "lab")
    shown = site.ok("stores", "url", "lab:gages")
    kind, where = address.split("://odd@")
    assert re.fullmatch(rf"{kind}\+\w+://odd:\*\*\*@{where}/lab_gages", shown.strip())
    site.ok("stores", "status")
    assert nowhere_printed(site, password)
    tell = "import os, sqlalchemy as s; print(ascii(s.make_url(os.environ['DATABASE_URL']).password))"
    assert site.ok("run", "--", sys.executable, "-c", tell).strip() == ascii(password)
    assert databases() == {"lab_gages"}


def test_t13_both_passwords_come_by_stdin_one_line_each(site: Terminal, postgresql: PostgreSQLServer) -> None:
    lines = "".join(
        f"{path.read_text().strip()}\n"
        for path in (postgresql.owner_password_file, postgresql.admin_password_file)
    )
    words = ["--admin-url", postgresql.admin_url, "--password-stdin", "--admin-password-stdin"]
    site.ok("services", "add", "main", postgresql.url, *words, stdin=lines.encode())
    assert [row["ok"] for row in site.json("services", "test", "main")["services"]] == [True, True]


@pytest.mark.parametrize(
    "words",
    [
        ["services", "add", "main", "postgresql://me:s3cr:t@et@127.0.0.1:5432"],
        ["services", "add", "main", "postgresql://me@127.0.0.1/?password=s3cr:t@et"],
        ["services", "add", "main", "mariadb://me@127.0.0.1/?ssl_key=k&ssl_key_password=s3cr:t@et"],
        ["services", "add", "main", "sqlite:///x", "--admin-url", "postgresql://me:s3cr:t@et@127.0.0.1"],
        ["services", "add", "main", "postgresql://me@127.0.0.1", "s3cr:t@et"],
        ["services", "add", "postgresql://me:s3cr:t@et@127.0.0.1"],
        ["services", "add", "main", "postgresql://me@h", "--password=s3cr:t@et"],
        ["services", "edit", "local", "--url", "postgresql://me:s3cr:t@et@127.0.0.1"],
        ["services", "test", "postgresql://me:s3cr:t@et@127.0.0.1"],
        ["link", "postgresql://me:s3cr:t@et@127.0.0.1", "lab:gages"],
        ["postgresql://me:s3cr:t@et@127.0.0.1"],
    ],
)
def test_t13_a_password_on_the_command_line_is_refused_and_not_repeated(
    site: Terminal, words: list[str]
) -> None:
    done = site(*words)
    assert done.code in (1, 2)
    assert "et@" not in done.all
    assert "s3cr" not in done.all
    assert [row["service"] for row in site.json("services", "list")["services"]] == ["local"]


def test_t13_one_way_to_the_password_is_enough(site: Terminal) -> None:
    done = site("services", "add", "main", "postgresql://me@h", "--password-env", "A", "--no-password")
    assert (done.code, "Say once" in done.err) == (2, True)
    done = site("services", "add", "main", "postgresql://me@h", "--password-stdin")
    assert (done.code, "no password on standard input" in done.err) == (1, True)
    done = site("services", "add", "main", "postgresql://me@h", "--prompt-password")
    assert (done.code, "--password-stdin" in done.err) == (2, True)
    assert [row["service"] for row in site.json("services", "list")["services"]] == ["local"]


def opened(site: Terminal, name: str = "main") -> str | None:
    """The password of a service, as `Stores` of this site has it."""
    with Stores.from_config(site.folder / "penstock.toml") as stores:
        return read_password(stores.services.get(name), ServiceAccount.SERVICE, stores.keyring)


# --- edit -----------------------------------------------------------------------------------------


def test_editing_keeps_what_is_not_given_and_a_new_place_needs_its_password_again(site: Terminal) -> None:
    site.ok("services", "add", "main", "postgresql://me@db1:5432", "--password-stdin", stdin=b"first")
    site.ok(
        "services", "edit", "main", "--admin-url", "postgresql://root@db1:5432", "--admin-password-env", "A"
    )
    site.ok("services", "edit", "main", "--url", "postgresql://me@db1:5432/maintenance")
    row = next(r for r in site.json("services", "list")["services"] if r["service"] == "main")
    assert row["password"].startswith("sealed (key ")
    assert (row["admin_url"], row["admin_password"]) == ("postgresql+psycopg://root@db1:5432", "env:A")
    for url in ("postgresql://me@db2:5432", "postgresql://me@db1:5433", "postgresql://you@db1:5432"):
        done = site("services", "edit", "main", "--url", url)
        assert (done.code, "given again" in done.err) == (2, True)
    assert opened(site) == "first"
    site.ok(
        "services", "edit", "main", "--url", "postgresql://me@db2:5432", "--password-stdin", stdin=b"second"
    )
    assert opened(site) == "second"
    site.ok("services", "edit", "main", "--password-env", "MAIN_PW", "--no-admin")
    row = next(r for r in site.json("services", "list")["services"] if r["service"] == "main")
    assert (row["password"], row["admin_url"], row["admin_password"]) == ("env:MAIN_PW", None, None)


def test_a_service_that_is_not_registered_leaves_no_secret_behind(site: Terminal) -> None:
    there = {path for path in site.folder.rglob("*") if path.is_file()}
    for name in ("local", "a\nb", ""):
        assert site("services", "add", name, "postgresql://me@h", "--password-stdin", stdin=b"x").code in (
            1,
            2,
        )
    assert {path for path in site.folder.rglob("*") if path.is_file()} - there <= {
        site.folder / ".penstock/.key.lock"
    }


def test_a_relative_directory_is_relative_to_where_the_command_was_run(site: Terminal) -> None:
    (site.folder / "below").mkdir()
    Terminal(site.folder / "below").ok("services", "add", "here", "sqlite:///here")
    row = next(r for r in site.json("services", "list")["services"] if r["service"] == "here")
    assert row["url"] == f"sqlite+pysqlite:///{site.folder}/below/here"


# --- remove ---------------------------------------------------------------------------------------


def test_t14_removing_a_used_service_is_refused_and_names_its_users(
    linked: Terminal, ground: TestServer
) -> None:
    linked.ok("syncstores", "lab")
    done = linked("services", "remove", "main", "--yes")
    assert (done.code, "error[service-in-use]" in done.err) == (1, True)
    for user in ("lab:gages", "lab:basins", "lab:servers", "database lab_gages"):
        assert user in done.err
    assert linked.json("services", "list")["services"][1]["settings"] == [
        "lab:basins",
        "lab:gages",
        "lab:servers",
    ]


def test_t14_forced_it_unplugs_and_leaves_the_databases(linked: Terminal, ground: TestServer) -> None:
    linked.ok("syncstores", "lab")
    done = linked("services", "remove", "main", "--force")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True)
    linked.ok("services", "remove", "main", "--force", "--yes")
    assert [row["service"] for row in linked.json("services", "list")["services"]] == ["local"]
    assert {row["service"] for row in linked.json("settings", "list", "lab")["settings"]} == {""}
    assert ground.databases() == {"lab_gages"}
    add_service(linked, ground)
    linked.ok("link", "main", "lab:gages")
    [step] = [row for row in linked.json("syncstores", "lab")["stores"] if row["store"] == "gages"]
    assert "create database lab_gages" not in [each["step"] for each in step["steps"]]


def test_t14_what_a_file_plugs_in_is_not_half_unplugged(site: Terminal) -> None:
    site.ok("services", "add", "other", f"sqlite:///{site.folder}")
    site.ok("link", "other", "lab:gages")
    with (site.folder / "penstock.toml").open("a") as file:
        file.write('[links]\n"lab:servers" = "other"\n')
    done = site("services", "remove", "other", "--force", "--yes")
    assert (done.code, "error[defined-elsewhere]" in done.err) == (1, True)
    rows = site.json("settings", "list", "lab")["settings"]
    assert {row["setting"]: row["service"] for row in rows} == {
        "gages": "other",
        "basins": "",
        "servers": "other",
    }


def test_an_unused_service_is_removed_after_a_question(site: Terminal) -> None:
    site.ok("services", "add", "main", "postgresql://me@h", "--password-stdin", stdin=b"x")
    done = site.typed("services", "remove", "main", answers=[("[y/N]", "n")])
    assert (done.code, "Nothing was changed" in done.out) == (1, True)
    done = site.typed("services", "remove", "main", answers=[("[y/N]", "y")])
    assert (done.code, "removed service main" in done.out) == (0, True)


def test_an_answer_that_is_broken_off_exits_with_130(site: Terminal) -> None:
    site.ok("services", "add", "main", "postgresql://me@h", "--no-password")
    for words, question in (("remove main", "[y/N]"), ("edit main --prompt-password", "password")):
        done = site.typed("services", *words.split(), answers=[(question, "\x03")])
        assert done.code == 130, done.out
        assert "Traceback" not in done.out
    assert len(site.json("services", "list")["services"]) == 2
