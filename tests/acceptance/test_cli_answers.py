"""Answers that don't mislead: unknown is not absent; where was looked is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, ONE, Terminal

if TYPE_CHECKING:
    from fix_servers import TestServer

pytestmark = pytest.mark.turns("ground")

BAD = "import penstock\nfrom json import nothing_of_the_kind\n"


# --- no penstock.toml -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("services list", 0),
        ("services test", 0),
        ("services test main", 2),
        ("services export", 0),
        ("services add main sqlite:///x", 1),
        ("secrets check", 0),
        ("settings list", 0),
        ("stores list", 0),
        ("stores status", 0),
        ("stores status --check", 1),
        ("stores url lab:gages", 1),
        ("stores url lab:nothing", 2),
        ("stores create lab:basins.logan", 1),
        ("stores drop lab:gages --yes", 1),
        ("stores purge", 1),
        ("link main lab:gages", 1),
        ("unlink lab:gages", 1),
        ("syncstores lab", 1),
        ("run -- true", 1),
        ("doctor", 1),
    ],
)
def test_every_answer_that_lacks_a_configuration_says_where_it_was_looked_for(
    empty: Terminal, words: str, code: int
) -> None:
    empty.app("lab", LAB)
    done = empty("--app", "lab.app:Lab", *words.split())
    assert f"No penstock.toml in {empty.folder} or its parents." in done.all, done.all
    assert "penstock init" in done.all or words.endswith("nothing")
    assert done.code == code


def test_no_app_without_a_configuration_says_so_as_well(empty: Terminal) -> None:
    said = f"No penstock.toml in {empty.folder} or its parents."
    empty.app("lab", LAB)
    for words in ("apps list", "syncstores all", "syncstores lab", "stores url lab:gages", "doctor"):
        assert said in empty(*words.split()).all, words


def test_what_the_environment_answers_in_full_needs_no_configuration(empty: Terminal) -> None:
    empty.app("one", ONE)
    env = {"PENSTOCK_STORE__ONE__ONLY": f"sqlite:///{empty.folder}/one.sqlite"}
    for words in (
        "syncstores one",
        "stores list",
        "stores status --check",
        "run -- true",
        "stores url one:only",
    ):
        done = empty(*words.split(), env=env)
        assert (done.code, "penstock.toml" in done.all) == (0, False), done.all


# --- what could not be looked at ------------------------------------------------------------------


def test_a_store_that_could_not_be_asked_is_unknown_and_not_absent(
    linked: Terminal, ground: TestServer
) -> None:
    linked.ok("syncstores", "lab")
    away = ["services", "edit", "main", "--url", ground.nowhere]
    linked.ok(*away, *(["--no-password", "--no-admin"] if ground.service.password else []))
    done = linked("stores", "status")
    [head, line] = done.out.splitlines()
    cells = dict(zip(head.split(), line.split(), strict=True))
    assert (cells["HEALTH"], cells["SIZE"], cells["INITIALISED"]) == ("unreachable", "?", "?")
    assert "lab:gages is unreachable\n  why: " in done.err
    [row] = linked.json("stores", "status")["stores"]
    assert (row["exists"], row["size"], row["initialised"]) == (None, None, None)
    done = linked("services", "test", "main")
    [head, line] = done.out.splitlines()
    assert dict(zip(head.split(), line.split()[:5], strict=False))["VERSION"] == "?"


def test_a_store_that_is_known_not_to_be_there_is_absent(linked: Terminal) -> None:
    [_, line] = linked.ok("stores", "status").splitlines()
    assert "not created" in line
    assert "?" not in line


def test_a_store_whose_address_can_not_be_found_out_says_why(site: Terminal) -> None:
    with (site.folder / "penstock.toml").open("a") as file:
        file.write('[links]\n"lab:gages" = "lcal"\n')
    done = site("stores", "list")
    assert done.out.splitlines()[1].split() == ["lab:gages", "declared", "unknown", "?", "?", "-"]
    assert "it can't be said where lab:gages is\n  why: There is no service named 'lcal'." in done.err
    assert "try: Did you mean local?" in done.err
    [row] = site.json("stores", "list")["stores"]
    assert (row["state"], row["problem"]["code"]) == ("unknown", "service-unknown")


def test_what_a_broken_app_declares_is_unknown_and_not_none(site: Terminal) -> None:
    site.app("bad", BAD)
    line = next(line for line in site.ok("apps", "list").splitlines() if line.startswith("bad"))
    assert line.split()[:4] == ["bad", "?", "broken", "?"]
    for words in ("settings list", "settings list --explain", "stores list", "stores status"):
        done = site(*words.split())
        if "--explain" not in words:
            assert "error[app-unknown]: The app bad.app can't be used" in done.err, words
        [broken] = site.json(*words.split())["broken"]
        assert (broken["app"], broken["error"]["code"]) == ("bad", "app-unknown")
    assert site.json("stores", "list", "lab")["broken"] == []


# --- links to what does not exist -----------------------------------------------------------------


def test_the_doctor_says_which_links_lead_nowhere_with_line_and_key(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    site.app("lab", LAB.replace("gages = Database", "flow_rates = Database"))
    site.app("bad", BAD)
    lines = len((site.folder / "penstock.toml").read_text().splitlines())
    with (site.folder / "penstock.toml").open("a") as file:
        file.write(
            '[links]\n"lab:flow_rtaes" = "local"\n"lba:flow_rates" = "local"\n'
            'lab.basins = "lcal"\n"bad:x" = "local"\n'
        )
    env = {
        "PENSTOCK_STORE__LAB__BASINS_LOGAN": "sqlite:///x",
        "PENSTOCK_STORE__LAB__FLOW_RTAES": "sqlite:///x",
    }
    done = site("doctor", env=env)
    assert done.code == 1
    found = {
        each["subject"]: (each["result"], each["message"], each["hint"])
        for each in json.loads(site("doctor", "--json", env=env).out)["checks"]
        if each["check"] in ("link", "configuration", "bindings")
    }
    at = f"penstock.toml:{lines + 2}"
    assert found[at] == (
        "fail",
        """links."lab:flow_rtaes": App lab has no setting 'flow_rtaes'.""",
        "Did you mean flow_rates?",
    )
    at = f"penstock.toml:{lines + 3}"
    assert found[at] == (
        "warn",
        """links."lba:flow_rates": There is no app 'lba' here.""",
        "Did you mean lab?",
    )
    at = f"penstock.toml:{lines + 4}"
    assert found[at] == ("fail", "links.lab.basins: There is no service 'lcal'.", "Did you mean local?")
    assert "It can't be told whether there is a setting 'x'" in found[f"penstock.toml:{lines + 5}"][1]
    result, message, hint = found["lab:gages"]
    assert (result, "App lab has no setting 'gages'. (registry" in message) == ("warn", True)
    assert "penstock unlink lab:gages" in hint
    assert "PENSTOCK_STORE__LAB__BASINS_LOGAN" not in found
    (site.folder / "bad" / "app.py").unlink()
    found = {
        each["subject"]: each["hint"] for each in json.loads(site("doctor", "--json", env=env).out)["checks"]
    }
    assert found["PENSTOCK_STORE__LAB__FLOW_RTAES"] == "Did you mean PENSTOCK_STORE__LAB__FLOW_RATES?"
    site.ok("unlink", "lab:gages")


# --- what was meant -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("services test lcoal", "local"),
        ("link lcoal lab:gages", "local"),
        ("link local lab:gagse", "gages"),
        ("link local lba:gages", "lab"),
        ("syncstores lba", "lab"),
        ("syncstores lab -d gagse", "gages"),
        ("stores url lab:GAGSE", "gages"),
        ("services lst", "list"),
        ("sync lab", "syncstores"),
        ("servics", "services"),
        ("services add main postgers://me@host", "postgres"),
        ("stores list --jsno", "--json"),
    ],
)
def test_who_writes_a_name_wrongly_is_told_which_one_was_meant(
    site: Terminal, words: str, meant: str
) -> None:
    done = site(*words.split())
    assert done.code in (1, 2)
    assert f"Did you mean {meant}" in done.err.replace("'", "").replace("(", ""), done.err


def test_a_key_that_is_written_wrongly_is_told_as_well(site: Terminal) -> None:
    with (site.folder / "penstock.toml").open("a") as file:
        file.write("[engine]\nmax_conections = 3\n")
    assert "Did you mean max_connections?" in site("services", "list").err


# --- links to make ---------------------------------------------------------------------------------


def test_the_command_that_plugs_a_service_in_names_one_that_there_is(site: Terminal) -> None:
    assert "try: penstock link local lab:gages\n" in site("stores", "url", "lab:gages").err
    site.ok("services", "add", "files", "sqlite:///files")
    assert "try: penstock link files lab:gages (or one of: local)\n" in site("stores", "url", "lab:gages").err
    (site.folder / "penstock.toml").write_text("")
    site.ok("services", "remove", "files", "--yes")
    hint = "penstock services add main postgresql://user@host:5432, then penstock link main lab:gages"
    assert f"try: {hint}\n" in site("stores", "url", "lab:gages").err
