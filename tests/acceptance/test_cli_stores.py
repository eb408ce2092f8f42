"""Stores: what is destroyed, what is left alone, what is an orphan."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, ONE, Terminal

if TYPE_CHECKING:
    from fix_servers import TestServer


# --- what is not ours -----------------------------------------------------------------------------


pytestmark = pytest.mark.turns("ground")


def test_e5_a_refresh_with_somebodys_database_url_is_refused_and_their_data_is_intact(
    site: Terminal, ground: TestServer
) -> None:
    site.app("one", ONE)
    ground.make_database("theirs")
    ground.run_sql("theirs", "CREATE TABLE precious (id int)")
    ground.run_sql("theirs", "INSERT INTO precious VALUES (42)")
    site.env["DATABASE_URL"] = ground.address_of("theirs")
    for words in (["-r", "-y"], ["-r", "-f", "-y"], ["-y"]):
        done = site("syncstores", "one", *words)
        assert (done.code, "error[store-not-ours]" in done.out) == (1, True), done.all
        assert "environment variable DATABASE_URL" in done.out
    assert site("stores", "drop", "one:only", "-y").code == 1
    assert ground.run_sql("theirs", "SELECT id FROM precious") == [(42,)]
    assert not any("penstock:" in text and "***" not in text for text in site.printed)


def test_a_database_of_somebodys_is_taken_over_only_by_adopting_it(
    linked: Terminal, ground: TestServer
) -> None:
    ground.make_database("old-gages")
    ground.run_sql("old-gages", "CREATE TABLE gage (number varchar(20) primary key)")
    ground.run_sql("old-gages", "INSERT INTO gage VALUES ('1')")
    done = linked("stores", "adopt", "lab:gages", "--database", "old-gages")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True)
    assert "Now it is nobody's so far; it holds tables." in done.err
    linked.ok("stores", "adopt", "lab:gages", "--database", "old-gages", "--yes")
    assert "Now it is lab:gages." in linked("stores", "adopt", "lab:gages").err
    linked.ok("syncstores", "lab")
    assert ground.run_sql("old-gages", "SELECT number FROM gage") == [("1",)]
    assert ground.databases() == {"old-gages"}


# --- refresh and drop -----------------------------------------------------------------------------


def test_a_refresh_names_what_it_drops_and_needs_a_yes(linked: Terminal, ground: TestServer) -> None:
    linked.ok("syncstores", "lab")
    ground.run_sql("lab_gages", "DELETE FROM gage")
    done = linked("syncstores", "lab", "-r")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True)
    assert "Drops lab:gages: database lab_gages on main  (registry" in done.err
    assert ground.run_sql("lab_gages", "SELECT count(*) FROM gage") == [(0,)]
    done = linked.typed("syncstores", "lab", "-r", answers=[("[y/N]", "n")])
    assert (done.code, "Nothing was changed." in done.out) == (1, True)
    done = linked.typed("syncstores", "lab", "-r", answers=[("[y/N]", "y")])
    assert (done.code, "drop database lab_gages" in done.out) == (0, True)
    assert ground.run_sql("lab_gages", "SELECT count(*) FROM gage") == [(2,)]
    done = linked("syncstores", "lab", "-f")
    assert (done.code, "IntegrityError" in done.out) == (1, True)


def test_a_store_of_a_kind_is_made_listed_and_dropped(linked: Terminal, ground: TestServer) -> None:
    shown = linked.ok("stores", "create", "lab:basins.logan")
    assert "lab:basins.logan is ready: database lab_basins_logan on main  (registry" in shown
    linked.ok(
        "stores", "create", "lab:trial", "--connection", "servers", "--initializer", "lab.app.seed_table"
    )
    rows = {row["store"]: row for row in linked.json("stores", "list", "lab")["stores"]}
    assert {name: row["made"] for name, row in rows.items()} == {
        "gages": "declared",
        "basins.logan": "at run time",
        "trial": "at run time",
    }
    assert linked.ok("syncstores", "lab", "-d", "basins").count("on main") == 1
    done = linked("stores", "drop", "lab:basins.logan")
    assert (done.code, "database lab_basins_logan on main" in done.err) == (2, True)
    assert "kB" in done.err or "MB" in done.err
    linked.ok("stores", "drop", "lab:basins.logan", "--now", "--yes")
    assert "had no database" in linked.ok("stores", "drop", "lab:gages", "--now", "--yes")
    assert ground.databases() == {"lab_trial"}


def test_a_store_made_anew_is_dropped_only_after_a_yes(linked: Terminal, ground: TestServer) -> None:
    linked.ok("stores", "create", "lab:basins.logan")
    assert linked("stores", "create", "lab:basins.logan", "-r").code == 2
    shown = linked.ok("stores", "create", "lab:basins.logan", "-r", "-y")
    assert "drop database lab_basins_logan" in shown


# --- orphans --------------------------------------------------------------------------------------


def test_t19_the_stores_of_an_app_that_is_gone_are_listed_and_dropped_only_if_that_is_said(
    linked: Terminal, ground: TestServer
) -> None:
    linked.ok("syncstores", "lab")
    linked.ok("stores", "create", "lab:basins.logan")
    shutil.rmtree(linked.folder / "lab")
    done = linked("stores", "status")
    assert done.code == 0
    assert {tuple(line.split()[:4]) for line in done.out.splitlines()[1:]} == {
        ("lab:basins.logan", "broken", "main", "lab_basins_logan"),
        ("lab:gages", "broken", "main", "lab_gages"),
    }
    assert "No app lab is installed" in done.err
    assert "stores drop" not in done.err
    assert {row["health"] for row in linked.json("stores", "status", "lab")["stores"]} == {"broken"}
    assert {row["state"] for row in linked.json("stores", "list")["stores"]} == {"broken"}
    assert linked("stores", "status", "--check").code == 1
    done = linked("stores", "drop", "lab:gages", "--now", "--yes")
    assert (done.code, "it may be in use" in done.err) == (1, True)
    assert ground.databases() == {"lab_basins_logan", "lab_gages"}
    assert linked("stores", "drop", "lab:gages", "--app-is-gone").code == 2  # It asks.
    linked.ok("stores", "drop", "lab:gages", "--now", "--yes", "--app-is-gone")
    linked.ok("stores", "drop", "lab:basins.logan", "--now", "--yes", "--app-is-gone")
    assert ground.databases() == set()
    assert linked.json("stores", "status")["stores"] == []


def test_the_stores_of_an_app_with_an_error_in_it_are_broken_and_every_command_says_why(
    linked: Terminal, ground: TestServer
) -> None:
    linked.ok("syncstores", "lab")
    linked.app("lab", "x = = 1  # penstock")
    done = linked("stores", "status")
    assert (done.code, "lab:gages is broken" in done.err, "SyntaxError" in done.err) == (0, True, True)
    [row] = linked.json("stores", "status")["stores"]
    assert (row["health"], row["exists"], "(app.py, line 1)" in row["problem"]) == ("broken", True, True)
    for command in (
        ("stores", "status", "--check"),
        ("stores", "status", "lab", "--check"),
        ("doctor",),
        ("syncstores", "all", "--plan"),
        ("syncstores", "all"),
        ("run", "--", "true"),
        ("stores", "drop", "lab:gages", "--yes"),
        ("stores", "drop", "lab:gages", "--service", "main", "--now", "--yes"),
    ):
        done = linked(*command)
        assert (done.code in (1, 2), "SyntaxError" in done.out + done.err) == (True, True), command
        assert "stores drop" not in done.out + done.err, command
    assert ground.databases() == {"lab_gages"}


def test_an_app_that_never_had_a_store_is_missed_when_it_is_broken(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    site.app("lab", "import no_such_module_of_penstock")
    assert site("stores", "status").code == 0
    done = site("stores", "status", "--check")
    assert (done.code, "no_such_module_of_penstock" in done.err) == (1, True)


def test_a_command_that_runs_in_another_folder_takes_no_store_for_an_orphan(
    linked: Terminal, ground: TestServer
) -> None:
    linked.ok("syncstores", "lab")
    (linked.folder / "lab").rename(linked.folder / "moved")
    (linked.folder / "moved" / "app.py").rename(linked.folder / "moved" / "other.py")
    done = linked("stores", "status", "--check")
    assert (done.code, "lab:gages is broken" in done.err) == (1, True)
    assert "Run this where the app is" in done.err
    assert linked("run", "--", "true").code != 0
    assert linked("stores", "drop", "lab:gages", "--yes").code == 1
    assert ground.databases() == {"lab_gages"}


def test_t19_a_store_whose_declaration_is_gone_and_one_left_behind_are_orphans(
    site: Terminal, sqlite_ground: TestServer
) -> None:
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    site.ok("services", "add", "main", sqlite_ground.url)
    site.ok("link", "main", "lab:gages")
    site.ok("syncstores", "lab")
    rows = site.json("stores", "status")["stores"]
    assert [(row["store"], row["health"], row["service"]) for row in rows] == [
        ("gages", "ready", "main"),
        ("gages", "orphan", "local"),
    ]
    site.ok("stores", "drop", "lab:gages", "--service", "local", "--now", "--yes")
    assert not list((site.folder / ".penstock/stores").glob("*.sqlite"))
    site.app("lab", LAB.replace("gages = Database", "meters = Database"))
    rows = site.json("stores", "status")["stores"]
    assert [(row["store"], row["health"]) for row in rows] == [("meters", "unlinked"), ("gages", "orphan")]
    assert site("stores", "status", "--check").code == 1
    site.ok("stores", "drop", "lab:gages", "--now", "--yes")
    assert sqlite_ground.databases() == set()


# --- status and addresses -------------------------------------------------------------------------


def test_status_exits_with_1_only_if_it_is_asked_to_check(linked: Terminal, ground: TestServer) -> None:
    done = linked("stores", "status")
    assert (done.code, "not created" in done.out) == (0, True)
    assert "try: penstock syncstores lab -d gages" in done.err
    assert linked("stores", "status", "--check").code == 1
    linked.ok("syncstores", "lab")
    assert linked("stores", "status", "--check").code == 0


def test_an_address_shows_its_password_only_when_that_is_asked_for(site: Terminal) -> None:
    site.env["PENSTOCK_STORE__LAB__GAGES"] = "postgresql://me:s3cr%40t@db:5432/gages?application_name=x"
    masked = site.ok("stores", "url", "lab:gages").strip()
    assert masked == "postgresql+psycopg://me:***@db:5432/gages?application_name=x"
    shown = site.ok("stores", "url", "lab:gages", "--reveal").strip()
    assert shown == "postgresql+psycopg://me:s3cr%40t@db:5432/gages?application_name=x"
    rows = site.json("settings", "list", "lab")["settings"]
    assert rows[0]["service"] == "PENSTOCK_STORE__LAB__GAGES"
    assert "s3cr" not in site.ok("settings", "list", "--explain")


def test_explain_shows_every_place_in_order_and_which_answered(site: Terminal) -> None:
    site.ok("link", "local", "lab:servers")
    site.app("one", ONE)
    with (site.folder / "penstock.toml").open("a") as file:
        file.write('[links]\n"lab:servers" = "local"\n')
    site.ok("link", "local", "one:only")
    last = len((site.folder / "penstock.toml").read_text().splitlines())
    rows = site.json("settings", "list", "lab", "one", env={"DATABASE_URL": "sqlite:///x"})["settings"]
    found = {f"{row['app']}:{row['setting']}": row["candidates"] for row in rows}
    assert [(c["source"].split(" ")[0], c["says"], c["answers"]) for c in found["lab:servers"]] == [
        (f"penstock.toml:{last}", "local", True),
        ("registry", "local", False),
    ]
    assert [(c["source"].split(" ")[0], bool(c["says"]), c["answers"]) for c in found["one:only"]] == [
        ("environment", False, False),
        ("penstock.toml", False, False),
        ("registry", True, True),
        ("environment", True, False),
    ]
    assert "not asked: lab has 2 database settings" in found["lab:gages"][-1]["why"]


# --- run ------------------------------------------------------------------------------------------


def test_run_gives_a_program_the_addresses_and_its_exit_code(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    done = site("run", "--", "sh", "-c", 'echo "$PENSTOCK_STORE__LAB__GAGES" "$DATABASE_URL"; exit 7')
    url = f"sqlite:///{site.folder}/.penstock/stores/lab_gages.sqlite"
    assert (done.code, done.out.split()) == (7, [url, url])
    site.ok("link", "local", "lab:basins")
    site.ok("stores", "create", "lab:basins.logan")
    done = site("run", "--app-name", "lab", "env", "-0")
    names = {line.partition("=")[0] for line in done.out.split("\0")}
    assert {"PENSTOCK_STORE__LAB__GAGES", "PENSTOCK_STORE__LAB__BASINS_LOGAN"} <= names
    assert "DATABASE_URL" not in names
    assert site("run", "no-such-program").code == 127
    assert site("run", os.fspath(site.folder / "penstock.toml")).code == 126
    assert site("run").code == 2
