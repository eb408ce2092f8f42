"""The five-minute story, line by line, and how a site begins."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from acceptance.conftest import add_service
from acceptance.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from fix_servers import TestServer


def test_the_five_minute_story_works_line_by_line(empty: Terminal, ground: TestServer) -> None:
    empty.forked = False
    empty.ok("init")
    empty.ok("scaffold", "my_first_app")
    add_service(empty, ground)
    assert "ok" in empty.ok("services", "test", "main")
    empty.ok("link", "main", "my_first_app:example_db")
    shown = empty.ok("syncstores", "my_first_app")
    assert "create database my_first_app_example_db" in shown
    assert "run initializer my_first_app.init_stores.seed_example_db" in shown
    [status] = empty.json("stores", "status")["stores"]
    assert (status["health"], status["service"], status["exists"]) == ("ready", "main", True)
    assert len(ground.run_sql("my_first_app_example_db", "SELECT * FROM gage")) == 2
    empty.ok("syncstores", "my_first_app")
    assert len(ground.run_sql("my_first_app_example_db", "SELECT * FROM gage")) == 2


def test_the_scaffold_works_with_the_service_that_init_makes(empty: Terminal) -> None:
    empty.ok("init")
    empty.ok("scaffold", "my_first_app")
    empty.ok("link", "local", "my_first_app:example_db")
    empty.ok("syncstores", "my_first_app")
    assert (empty.folder / ".penstock/stores/my_first_app_example_db.sqlite").is_file()


def test_an_app_of_the_working_directory_is_found_from_a_folder_below(empty: Terminal) -> None:
    empty.ok("init")
    empty.ok("scaffold", "my_first_app")
    empty.ok("link", "local", "my_first_app:example_db")
    below = Terminal(empty.folder / "my_first_app")
    assert [row["app"] for row in below.json("settings", "list")["settings"]] == ["my_first_app"]


# --- init -----------------------------------------------------------------------------------------


def test_init_makes_a_file_and_a_folder_that_nobody_else_can_read(empty: Terminal) -> None:
    shown = empty.ok("init", env={"PENSTOCK_ACTOR": "me"})
    made = {"penstock.toml", ".penstock", ".penstock/stores", ".penstock/key", ".penstock/.gitignore"}
    assert made == {line.removeprefix("made ") for line in shown.splitlines()}
    folder = empty.folder / ".penstock"
    assert {path.stat().st_mode & 0o777 for path in (folder, folder / "stores")} == {0o700}
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (folder / "registry.sqlite3").is_file()
    assert tomllib.loads((empty.folder / "penstock.toml").read_text())["services"]["local"]


def test_init_run_again_says_what_is_there_and_changes_nothing(empty: Terminal) -> None:
    empty.ok("init")
    before = {path: path.read_bytes() for path in empty.folder.rglob("*") if path.is_file()}
    assert "nothing was changed" in empty.ok("init")
    assert {path: path.read_bytes() for path in empty.folder.rglob("*") if path.is_file()} == before


def test_init_mends_what_is_missing_and_keeps_a_file_that_is_there(empty: Terminal) -> None:
    config = empty.folder / "elsewhere" / "penstock.toml"
    config.parent.mkdir()
    config.write_text("# mine\n")
    assert "penstock.toml" not in empty.ok("init", "elsewhere")
    assert config.read_text() == "# mine\n"
    assert (config.parent / ".penstock" / "registry.sqlite3").is_file()


def test_init_makes_a_file_that_is_trusted_whatever_the_umask(empty: Terminal) -> None:
    old = os.umask(0)
    try:
        empty.ok("init")
    finally:
        os.umask(old)
    assert empty.ok("services", "list")


# --- scaffold -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["my-app", "1app", "class", "json", "penstock", "_", "../app", "app.sub"])
def test_scaffold_refuses_names_that_can_not_be_a_package(empty: Terminal, name: str) -> None:
    done = empty("scaffold", name)
    assert done.code == 2
    assert "error[name-invalid]" in done.err
    assert list(empty.folder.iterdir()) == []


def test_scaffold_overwrites_nothing(empty: Terminal) -> None:
    empty.ok("scaffold", "my_app")
    project = (empty.folder / "pyproject.toml").read_text()
    assert empty("scaffold", "my_app").code == 2
    assert "pyproject.toml is there already" in empty("scaffold", "other_app").err
    assert (empty.folder / "pyproject.toml").read_text() == project
    assert (empty.folder / "other_app" / "app.py").is_file()


@pytest.mark.parametrize("name", ["app", "base", "database", "_2", "MyApp"])
def test_scaffold_makes_an_app_that_can_be_imported_whatever_its_name(empty: Terminal, name: str) -> None:
    empty.ok("init")
    empty.ok("scaffold", name)
    empty.ok("link", "local", f"{name}:example_db")
    assert empty.json("apps", "list")["apps"][0]["error"] is None


def test_the_project_of_a_scaffold_names_the_app_by_an_entry_point(empty: Terminal) -> None:
    empty.ok("scaffold", "my_app", "--dir", "work_here")
    project = tomllib.loads((empty.folder / "work_here" / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["penstock.apps"] == {"my_app": "my_app.app:MyApp"}


# --- ways in --------------------------------------------------------------------------------------


def test_it_is_a_module_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("penstock ")


def test_a_command_that_changes_something_wants_a_configuration_file(empty: Terminal) -> None:
    done = empty("services", "add", "local", "sqlite:///stores")
    assert (done.code, "penstock init" in done.err) == (1, True)
    assert empty.json("services", "list") == {"services": []}


def test_a_store_is_synced_by_what_the_environment_says_alone(
    empty: Terminal, sqlite_ground: TestServer
) -> None:
    from acceptance.terminal import ONE

    empty.app("one", ONE)
    url = f"sqlite:///{sqlite_ground.directory}/here.sqlite"
    done = empty("syncstores", "one", env={"PENSTOCK_STORE__ONE__ONLY": url})
    assert done.code == 0, done.err
    assert "environment variable PENSTOCK_STORE__ONE__ONLY" in done.out
    assert sqlite_ground.databases() == {"here"}
