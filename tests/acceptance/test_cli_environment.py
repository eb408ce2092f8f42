"""What the environment gives: explained, used, and not destroyed by mistake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fix_bindings import Mounted, vcap

if TYPE_CHECKING:
    from acceptance.terminal import Terminal
    from fix_servers import TestServer

pytestmark = pytest.mark.turns("ground")

VARIABLE = "PENSTOCK_STORE__LAB__GAGES"


@pytest.fixture
def bound(site: Terminal, mounted: Mounted) -> Mounted:
    """The terminal's SERVICE_BINDING_ROOT."""
    site.env["SERVICE_BINDING_ROOT"] = str(mounted.root)
    return mounted


# --- settings list --explain ----------------------------------------------------------------------


def test_every_place_that_was_asked_is_shown_in_order(site: Terminal, bound: Mounted) -> None:
    (site.folder / "files").mkdir()
    bound.put("main", type="sqlite", uri=f"sqlite:///{site.folder}/files")
    site.ok("link", "main", "lab:gages")
    site.ok("link", "main", "lab:basins")
    site.ok("stores", "create", "lab:basins.logan")
    shown = site.ok("settings", "list", "lab", "--explain")
    assert shown.split("lab:basins")[0].splitlines() == [
        "lab:gages  Every gage.",
        f"    1. environment variable {VARIABLE}: not set",
        "    2. penstock.toml: nothing is linked there",
        "  → 3. registry .penstock/registry.sqlite3: main",
        "       → 1. SERVICE_BINDING_ROOT/main: sqlite:///files",
        "         2. VCAP_SERVICES: not set",
        "         3. penstock.toml: no service of this name",
        "         4. registry .penstock/registry.sqlite3: no service of this name",
        "    4. environment variable DATABASE_URL: not asked: lab has 2 database settings",
        "    address   sqlite:///files",
        "    database  lab_gages",
    ]
    assert "lab:basins.logan  made at run time\n" in shown
    assert "    database  lab_basins_logan\n" in shown
    done = site.typed("settings", "list", "lab", "--explain")
    assert "\x1b[32m\x1b[1m→" in done.out
    document = site.json("settings", "list", "lab", "--explain")
    assert [row["setting"] for row in document["settings"]] == ["gages", "basins", "servers"]
    assert document["stores"][0]["database"] == "lab_basins_logan"
    gages = document["settings"][0]
    assert [each["answers"] for each in gages["services"]] == [True, False, False, False]


def test_a_whole_address_is_explained_without_its_password(site: Terminal) -> None:
    site.env[VARIABLE] = "postgres://me:hunter2@db.example.org/theirs"
    shown = site.ok("settings", "list", "lab", "--explain")
    assert f"  → 1. environment variable {VARIABLE}: postgresql://me:***@db.example.org/theirs\n" in shown
    assert f"    password  uri:env:{VARIABLE}\n    database  theirs\n" in shown
    site.env[VARIABLE] = "hunter2"
    shown = site.ok("settings", "list", "lab", "--explain")
    assert f"{VARIABLE}: can't be used: This is not a database address." in shown
    assert not any("hunter2" in text for text in site.printed)


# --- bindings -------------------------------------------------------------------------------------


def test_a_bound_service_is_listed_tested_used_and_handed_to_programs(
    site: Terminal, bound: Mounted, ground: TestServer
) -> None:
    full = ground.address_of("x").rpartition("/")[0]
    bound.put("main", type=ground.kind, uri=full)
    services = {row["service"]: row for row in site.json("services", "list")["services"]}
    assert services["main"]["source"] == "SERVICE_BINDING_ROOT/main"
    site.ok("services", "test", "main")
    site.ok("link", "main", "lab:gages")
    assert "(SERVICE_BINDING_ROOT/main)" in site.ok("syncstores", "lab")
    [row] = site.json("stores", "status")["stores"]
    assert (row["health"], row["source"]) == ("ready", "SERVICE_BINDING_ROOT/main")
    checks = site.json("doctor")["checks"]
    assert ("bindings", "SERVICE_BINDING_ROOT", "ok", "main") in [
        (each["check"], each["subject"], each["result"], each["message"]) for each in checks
    ]
    where = ground.address_of("lab_gages").partition("@")[2] or ground.address_of("lab_gages")
    assert where in site.ok("run", "--", "env")
    done = site("services", "edit", "main", "--url", "sqlite:///elsewhere")
    assert (done.code, "defined at SERVICE_BINDING_ROOT/main" in done.err) == (1, True)
    site.ok("stores", "drop", "lab:gages", "--now", "--yes")
    assert ground.databases() == set()


def test_a_wrong_binding_harms_no_other_service(site: Terminal, bound: Mounted) -> None:
    bound.put("wrong", type="postgresql", host="h", username="u", port="many")
    site.env["VCAP_SERVICES"] = vcap({"name": "odd", "credentials": {"uri": "postgres://"}})
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    done = site("services", "list")
    assert done.code == 0
    assert "SERVICE_BINDING_ROOT/wrong/port is out of range" in done.err
    assert "VCAP_SERVICES/odd/uri is of no use" in done.err
    failing = [each for each in site.json("doctor")["checks"] if each["result"] == "fail"]
    assert {each["subject"] for each in failing} == {"wrong", "odd"}
    site.ok("link", "wrong", "lab:basins")
    done = site("stores", "create", "lab:basins.x")
    assert (done.code, "error[config-invalid]: SERVICE_BINDING_ROOT/wrong/port" in done.err) == (1, True)


def test_a_variable_that_can_not_be_read_is_named_and_not_repeated(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    site.env["VCAP_SERVICES"] = '{"postgresql": [{"name": "local", "credentials": {"password": hunter2'
    done = site("syncstores", "lab")
    assert done.code == 1
    assert "error[config-invalid]: The environment variable VCAP_SERVICES" in done.out
    assert "VCAP_SERVICES: can't be used" in site.ok("settings", "list", "--explain")
    assert site("doctor").code == 1
    assert not any("hunter2" in text for text in site.printed)


# --- destroying what a variable names -------------------------------------------------------------


def test_what_a_variable_names_is_destroyed_only_if_that_is_said(site: Terminal, ground: TestServer) -> None:
    site.env[VARIABLE] = ground.address_of("theirs")
    site.env["PENSTOCK_STORE__LAB__BASINS_LOGAN"] = ground.address_of("logan")
    site.ok("syncstores", "lab", "-d", "gages")
    site.ok("stores", "create", "lab:basins.logan")
    ground.run_sql("theirs", "DELETE FROM gage")
    for words in (
        ["syncstores", "lab", "-r", "-y"],
        ["stores", "drop", "lab:gages", "--now", "-y"],
        ["stores", "create", "lab:gages", "-r", "-y"],
        ["stores", "create", "lab:basins.logan", "-r", "-y"],
        ["stores", "drop", "lab:basins.logan", "--now", "-y"],
    ):
        done = site(*words)
        assert (done.code, "error[from-env-needed]" in done.err) == (2, True), done.all
        assert "environment variable PENSTOCK_STORE__LAB__" in done.err
    done = site("syncstores", "lab", "-r", "--from-env")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True)
    assert ground.run_sql("theirs", "SELECT count(*) FROM gage") == [(0,)]
    site.ok("syncstores", "lab", "-d", "gages", "-r", "-y", "--from-env")
    assert ground.run_sql("theirs", "SELECT count(*) FROM gage") == [(2,)]
    site.ok("stores", "drop", "lab:gages", "--now", "-y", "--from-env")
    site.ok("stores", "drop", "lab:basins.logan", "--now", "-y", "--from-env")
    assert ground.databases() == set()
    site.ok("stores", "drop", "lab:gages", "--now", "-y")  # There is nothing that could be destroyed.


def test_e5_from_env_does_not_destroy_what_has_no_record_of_ours(site: Terminal, ground: TestServer) -> None:
    ground.make_database("theirs")
    ground.run_sql("theirs", "CREATE TABLE precious (id int)")
    site.env[VARIABLE] = ground.address_of("theirs")
    for words in (
        ["syncstores", "lab", "-r", "-y", "--from-env"],
        ["stores", "drop", "lab:gages", "--now", "-y", "--from-env"],
        ["stores", "create", "lab:gages", "-r", "-y", "--from-env"],
    ):
        done = site(*words)
        assert (done.code, "error[store-not-ours]" in done.all) == (1, True), done.all
    assert ground.run_sql("theirs", "SELECT count(*) FROM precious") == [(0,)]
    assert json.loads(site("stores", "status", "--json").out)["stores"][0]["health"] == "not ours"
