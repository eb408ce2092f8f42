"""Apps as they are found are installed, synced, tested and dropped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from acceptance import terminal
from acceptance.conftest import own_python
from acceptance.terminal import Terminal

if TYPE_CHECKING:
    from fix_servers import PostgreSQLServer

__all__ = ["own_python"]  # A fixture.

WILD = Path(__file__).parent / "wild"
PASSWORD = "wild-password"
POWERS = {"superuser": "SUPERUSER", "creator": "CREATEDB CREATEROLE", "maker": "CREATEDB"}
"""Who makes stores on PostgreSQL, and what he may do."""


@dataclass(frozen=True)
class Place:
    """A folder with a `penstock.toml` and a service `main`, and what is on its server."""

    site: Terminal
    databases: Callable[[], set[str]]


@pytest.fixture(params=["sqlite", *POWERS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """One on SQLite, and one for each kind of login on PostgreSQL."""
    site = Terminal(tmp_path / "site")
    site.folder.mkdir()
    site.ok("init")
    if request.param == "sqlite":
        (tmp_path / "stores").mkdir()
        site.ok("services", "add", "main", f"sqlite:///{tmp_path / 'stores'}")
        stores = tmp_path / "stores"
        return Place(site, lambda: {each.stem for each in stores.glob("*.sqlite")})
    server: PostgreSQLServer = request.getfixturevalue("postgresql")
    with server.connect() as connection:
        connection.execute(f"CREATE ROLE wild LOGIN {POWERS[request.param]} PASSWORD '{PASSWORD}'")
    (tmp_path / "password").write_text(PASSWORD)
    url = f"postgresql://wild@127.0.0.1:{server.port}"
    site.ok("services", "add", "main", url, "--password-file", tmp_path / "password")
    return Place(site, server.databases)


def put(place: Place, name: str) -> None:
    """Put an app beside `penstock.toml`."""
    shutil.copytree(WILD / name, place.site.folder, dirs_exist_ok=True)


def check(place: Place, name: str) -> None:
    """Run the app's own tests, with the pytest plugin, on the service."""
    python = terminal.PENSTOCK.with_name("python")
    done = subprocess.run(
        [python, "-m", "pytest", "checks.py", "-c", os.devnull, "--rootdir", ".",
         "--penstock-service", "main", "-q", "-p", "no:cacheprovider"],
        cwd=place.site.folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def installed(place: Place, name: str, folder: str = ".") -> None:
    """Install an app, which links in and syncs; and sync once more."""
    place.site.ok("install", folder, "--yes")
    place.site.ok("syncstores", name)
    assert {row["health"] for row in place.site.json("stores", "status")["stores"]} <= {"ready"}


def dropped(place: Place, name: str, *stores: str) -> None:
    """Refresh all stores of an app, then drop them; nothing is left, not even of its tests."""
    place.site.ok("syncstores", name, "--refresh", "--yes")
    for store in stores:
        place.site.ok("stores", "drop", f"{name}:{store}", "--now", "--yes")
    assert place.databases() == set()


@pytest.mark.once("creator")
def test_an_app_whose_initializer_asks_its_own_class_is_made_filled_and_dropped(place: Place) -> None:
    put(place, "asks_itself")
    installed(place, "asks_itself")
    assert place.databases() == {"asks_itself_primary_db"}
    check(place, "asks_itself")
    dropped(place, "asks_itself", "primary_db")


@pytest.mark.once("maker")
def test_an_app_that_makes_stores_at_run_time_is_installed_and_they_are_dropped(place: Place) -> None:
    put(place, "makes_tables")
    installed(place, "makes_tables")
    site = place.site
    site.ok("stores", "create", "makes_tables:logan", "--connection", "servers")
    site.ok("syncstores", "makes_tables", "-d", "logan")
    assert place.databases() == {"makes_tables_logan"}
    check(place, "makes_tables")
    dropped(place, "makes_tables", "logan")


@pytest.mark.once("superuser")
def test_an_app_that_closes_nothing_is_used_all_the_same(place: Place) -> None:
    put(place, "leaves_open")
    installed(place, "leaves_open")
    check(place, "leaves_open")
    dropped(place, "leaves_open", "wells")


@pytest.mark.once("sqlite")
def test_an_app_with_every_name_of_a_portal_is_used_for_what_needs_none(place: Place) -> None:
    put(place, "names_all")
    installed(place, "names_all")
    check(place, "names_all")
    rows = place.site.json("apps", "show", "names_all")["declarations"]
    assert [(row["kind"], row["name"]) for row in rows] == [
        ("database", "primary_db"),
        ("connection", "servers"),
        ("custom setting", "max_dams"),
        ("secret custom setting", "api_key"),
        ("custom setting", "extent"),
        ("dataset service", "ckan"),
        ("spatial dataset service", "primary_geoserver"),
        ("web processing service", "wps"),
        ("scheduler", "cluster"),
        ("permission", "admin"),
        ("page", "home"),
        ("page", "map"),
        ("handoff handler", "dams"),
        ("job template", ""),
    ]
    dropped(place, "names_all", "primary_db")


@pytest.mark.once("sqlite")
def test_an_app_below_tethysapp_with_an_old_setup_is_installed_and_found(
    place: Place,
    own_python: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(WILD / "old_setup", tmp_path / "shelf")
    installed(place, "old_setup", "../shelf")
    assert (own_python / "tethysapp/old_setup/templates/old_setup/home.html").is_file()
    assert [row["app"] for row in place.site.json("apps", "list")["apps"]] == ["old_setup"]
    shutil.copy(tmp_path / "shelf" / "checks.py", place.site.folder)
    check(place, "old_setup")
    dropped(place, "old_setup", "primary_db")
    done = place.site("uninstall", "old_setup", "--yes")
    assert done.code == 0, done.all


def test_an_app_below_tethysapp_is_found_in_the_folder_it_is_in(tmp_path: Path) -> None:
    site = Terminal(tmp_path / "site")
    site.folder.mkdir()
    site.ok("init")
    shutil.copytree(WILD / "old_setup" / "tethysapp", site.folder / "tethysapp")
    assert [row["app"] for row in site.json("apps", "list")["apps"]] == ["old_setup"]
    assert [row["setting"] for row in site.json("settings", "list")["settings"]] == ["primary_db"]
    assert json.loads(site.ok("stores", "status", "--json"))["stores"][0]["health"] == "unlinked"
