"""A store's address in every form, and client programs that hide the password."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import PENSTOCK, Terminal
from fix_roles import password_of
from fix_servers import require_program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer

pytestmark = pytest.mark.turns("ground")

PROGRAMS = {"postgresql": "psql", "mariadb": "mariadb", "sqlite": "sqlite3"}
ASK = {
    "postgresql": ["-X", "-A", "-t", "-c"],
    "mariadb": ["-N", "-e"],
    "sqlite": [],
}
"""What makes each program execute one statement."""


@pytest.fixture
def made(linked: Terminal, ground: TestServer) -> Terminal:
    """A site whose store has two gages."""
    require_program(PROGRAMS[ground.kind])
    linked.ok("syncstores", "lab")
    return linked


@pytest.mark.parametrize("form", ["sqlalchemy", "libpq", "jdbc", "env"])
def test_no_form_shows_the_password_unless_asked(made: Terminal, ground: TestServer, form: str) -> None:
    hidden = made("stores", "url", "lab:gages", "--format", form)
    shown = made("stores", "url", "lab:gages", "--format", form, "--reveal")
    if form == "libpq" and ground.kind != "postgresql":
        assert (hidden.code, "error[not-supported]" in hidden.err) == (1, True)
        return
    assert (hidden.code, shown.code) == (0, 0)
    if ground.kind == "sqlite":
        assert hidden.out == shown.out
    else:
        assert "***" in hidden.out
        assert "***" not in shown.out
        assert len(shown.out) > len(hidden.out)


def test_a_shell_of_a_person_uses_the_variables(made: Terminal, ground: TestServer) -> None:
    words = {
        "postgresql": "psql -X -A -t -c",
        "mariadb": 'mariadb --user="$MYSQL_USER" "$MYSQL_DATABASE" -N -e',
        "sqlite": 'sqlite3 "$SQLITE_DATABASE"',
    }[ground.kind]
    exports = made.ok("stores", "url", "lab:gages", "--format", "env", "--reveal")
    script = f"{exports}\n{words} 'SELECT count(*) FROM gage'"
    env = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_a_client_program_reads_and_writes_only_if_told(made: Terminal, ground: TestServer) -> None:
    run = ASK[ground.kind]
    count, add = "SELECT count(*) FROM gage", "INSERT INTO gage VALUES ('3')"
    assert made.ok("stores", "shell", "lab:gages", "--", *run, count) == "2\n"
    refused = made("stores", "shell", "lab:gages", "--", *run, add)
    assert refused.code != 0
    assert any(word in refused.err for word in ("read-only", "READ ONLY", "readonly", "denied"))
    made.ok("stores", "shell", "--role", "app", "lab:gages", "--", *run, add)
    assert made.ok("stores", "shell", "lab:gages", "--role", "app", "--", *run, count) == "3\n"


def test_a_client_program_logs_in_as_the_reader_where_there_is_one(
    made: Terminal, ground: TestServer
) -> None:
    if ground.kind == "sqlite":
        done = made("stores", "shell", "lab:gages", "--role", "reader")
        assert (done.code, "error[not-supported]" in done.err) == (1, True)
        return
    asks = {"postgresql": "SELECT session_user", "mariadb": "SELECT SUBSTRING_INDEX(USER(), '@', 1)"}
    words = ("--", *ASK[ground.kind], asks[ground.kind])
    by_itself = made.ok("stores", "shell", "lab:gages", *words)
    reader = made.ok("stores", "shell", "lab:gages", "--role", "reader", *words)
    app = made.ok("stores", "shell", "lab:gages", "--role", "app", *words)
    assert by_itself == reader != app


@pytest.fixture
def open_shell(made: Terminal, ground: TestServer) -> Iterator[subprocess.Popen[bytes]]:
    """A client program that waits for what is typed."""
    words = [PENSTOCK, "stores", "shell", "lab:gages", "--role", "app"]
    env = {"PATH": os.environ["PATH"], "HOME": str(made.folder), "LANG": "C.UTF-8"}
    process = subprocess.Popen(
        words, cwd=made.folder, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        yield process
        process.kill()


def test_no_password_is_in_the_list_of_processes(
    made: Terminal, ground: TestServer, open_shell: subprocess.Popen[bytes]
) -> None:
    place = Path(f"/proc/{open_shell.pid}")
    words = ""
    while not words.partition("\0")[0].endswith(f"/{PROGRAMS[ground.kind]}"):
        assert open_shell.poll() is None
        time.sleep(0.01)
        words = (place / "cmdline").read_bytes().decode()
    assert "lab_gages" in words
    assert open_shell.stdin is not None
    open_shell.stdin.write(b"SELECT count(*) FROM gage;\n")
    open_shell.stdin.close()
    assert open_shell.stdout is not None
    assert b"2" in open_shell.stdout.read()
    assert open_shell.wait(60) == 0
    if ground.kind != "sqlite":
        shown = made.ok("stores", "url", "lab:gages", "--reveal")
        assert shown.rpartition("@")[0].rpartition(":")[2] not in words
        assert password_of(ground) not in words


def test_the_exit_code_is_that_of_the_program(made: Terminal, ground: TestServer) -> None:
    done = made("stores", "shell", "lab:gages", "--", *ASK[ground.kind], "SELECT nonsense FROM nowhere")
    expected = subprocess.run(
        ["sqlite3", ":memory:", "SELECT nonsense FROM nowhere"], capture_output=True, check=False
    )
    assert done.code == (expected.returncode if ground.kind == "sqlite" else 1)
    assert "nowhere" in done.err


def test_a_program_that_is_not_there_is_named_with_its_package(made: Terminal, ground: TestServer) -> None:
    done = made("stores", "shell", "lab:gages", env={"PATH": str(made.folder)})
    assert done.code == 1
    assert f"error[extra-missing]: The program {PROGRAMS[ground.kind]} is not installed." in done.err
    assert "try: On Debian and Ubuntu: apt-get install " in done.err


def test_a_store_that_was_not_made_is_not_made_by_looking(linked: Terminal, ground: TestServer) -> None:
    done = linked("stores", "shell", "lab:gages", "--role", "app", "--", *ASK[ground.kind], "SELECT 1")
    assert done.code != 0
    assert not ground.databases()


def test_a_program_ends_when_nobody_reads_what_it_says(made: Terminal) -> None:
    words = "yes | head -n 1"
    done = subprocess.run(
        [PENSTOCK, "run", "--", "sh", "-c", words],
        cwd=made.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(made.folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, "Broken pipe" in done.stderr) == ("y\n", False)
