"""Exit codes: 0 all is well, 1 something failed, 2 used wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, Terminal

if TYPE_CHECKING:
    from fix_servers import TestServer

pytestmark = pytest.mark.turns("ground")

BROKEN_SEED = LAB.replace("if first_time:", "raise RuntimeError('no seeds today')")

TWO = (
    LAB
    + """
def refuse(session, first_time):
    raise RuntimeError("no seeds today")

class Two(App):
    package = "two"
    bad = Database("Its initializer fails.", initializer=refuse)
    good = Database("This one works.", metadata=Base.metadata, initializer=seed)
"""
)


def test_t12_a_sync_in_which_all_is_well_exits_with_0(linked: Terminal) -> None:
    done = linked("syncstores", "lab")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1].split()[:2] == ["lab:gages", "ok"]


def test_t12_one_store_that_fails_does_not_stop_the_rest_and_exits_with_1(
    site: Terminal, ground: TestServer
) -> None:
    from acceptance.conftest import add_service

    site.app("two", TWO)
    add_service(site, ground)
    for setting in ("bad", "good"):
        site.ok("link", "main", f"two:{setting}")
    done = site("syncstores", "two")
    assert done.code == 1
    assert "error[initializer-failed]" in done.out
    assert "RuntimeError: no seeds today" in done.out
    assert [line.split()[:2] for line in done.out.splitlines()[-2:]] == [
        ["two:bad", "failed"],
        ["two:good", "ok"],
    ]
    document = site.json("syncstores", "two")
    assert document["ok"] is False
    assert [store["result"] for store in document["stores"]] == ["failed", "ok"]
    assert document["stores"][0]["error"]["code"] == "initializer-failed"


def test_t12_an_unlinked_setting_fails_if_required_and_is_a_line_if_optional(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    done = site("syncstores", "lab")
    assert done.code == 0
    assert [line.split()[:2] for line in done.out.splitlines()[-2:]] == [
        ["lab:basins", "skipped"],
        ["lab:servers", "skipped"],
    ]
    site.app("lab", LAB.replace("required=False", "required=True"))
    done = site("syncstores", "lab")
    assert done.code == 1
    assert [line.split()[1] for line in done.out.splitlines()[-3:]] == ["ok", "failed", "failed"]
    site.ok("unlink", "lab:gages")
    assert [store["result"] for store in site.json("syncstores", "lab")["stores"]] == ["failed"] * 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["syncstores", "lab", "-d", "nothing"], "store-unknown"),
        (["syncstores", "nothing"], "app-unknown"),
        (["syncstores"], "usage"),
        (["link", "nothing", "lab:gages"], "service-unknown"),
        (["link", "local", "lab:nothing"], "setting-unknown"),
        (["link", "local", "lab"], "usage"),
        (["unlink", "lab:nothing"], "setting-unknown"),
        (["services", "test", "nothing"], "service-unknown"),
        (["services", "remove", "nothing", "--yes"], "service-unknown"),
        (["services", "add", "local", "sqlite:///x", "--no-such-option"], "usage"),
        (["stores", "url", "lab:basins"], "setting-of-other-kind"),
        (["stores", "drop", "lab:nothing", "--yes"], "store-unknown"),
        (["stores", "create", "lab:new"], "usage"),
        (["nothing"], "usage"),
    ],
)
def test_t12_what_is_named_wrongly_exits_with_2_before_anything_is_done(
    site: Terminal, words: list[str], code: str
) -> None:
    done = site(*words)
    assert done.code == 2, done.all
    assert f"error[{code}]" in done.err
    assert "  try: " in done.err
    assert done.out == ""


def test_t12_a_store_named_for_several_apps_is_enough_to_be_in_one_of_them(site: Terminal) -> None:
    site.app("two", TWO)
    site.ok("link", "local", "lab:gages")
    site.ok("link", "local", "two:good")
    document = site.json("syncstores", "lab", "two", "-d", "good")
    assert [(row["app"], row["store"]) for row in document["stores"]] == [("two", "good")]
    assert site("syncstores", "lab", "two", "-d", "good", "-d", "nothing").code == 2


def test_t12_no_app_at_all_exits_with_2_and_a_hint(empty: Terminal) -> None:
    empty.ok("init")
    done = empty("syncstores", "all")
    assert (done.code, "--app module:Class" in done.err) == (2, True)


def test_t12_a_service_that_can_not_be_used_exits_with_1(site: Terminal) -> None:
    site.ok("services", "add", "gone", "postgresql://me@127.0.0.1:1")
    site.ok("services", "add", "nowhere", "sqlite:///no/such/directory")
    done = site("services", "test")
    assert done.code == 1
    assert {line.split()[0]: line.split()[2] for line in done.out.splitlines()[1:]} == {
        "gone": "failed",
        "local": "ok",
        "nowhere": "failed",
    }
    assert "error[server-unreachable]" in done.err
    assert "mkdir -p" in done.err
    assert site("services", "test", "local").code == 0
    rows = site.json("services", "test")["services"]
    assert {row["service"]: row["ok"] for row in rows} == {"gone": False, "local": True, "nowhere": False}


def test_t12_what_exists_or_is_defined_elsewhere_exits_with_1(site: Terminal) -> None:
    done = site("services", "add", "local", "sqlite:///x")
    assert (done.code, "error[service-exists]" in done.err) == (1, True)
    for words in (
        ["services", "edit", "local", "--url", "sqlite:///x"],
        ["services", "remove", "local", "--yes"],
    ):
        done = site(*words)
        assert (done.code, "error[defined-elsewhere]" in done.err) == (1, True), done.all
        assert "penstock.toml:11" in done.err


def test_t12_a_plan_changes_nothing_and_exits_with_1_if_something_is_refused(
    linked: Terminal, ground: TestServer
) -> None:
    done = linked("syncstores", "lab", "--plan")
    assert done.code == 0
    assert "would create database lab_gages" in done.out
    assert ground.databases() == set()
    ground.make_database("lab_gages")
    ground.run_sql("lab_gages", "CREATE TABLE theirs (id int)")
    done = linked("syncstores", "lab", "--plan")
    assert (done.code, "refused" in done.out) == (1, True)
    [row] = linked.json("syncstores", "lab", "--plan")["stores"]
    assert (row["result"], row["steps"], row["error"]["code"]) == ("refused", [], "store-not-ours")


def test_a_broken_app_does_not_hide_the_others(site: Terminal) -> None:
    site.app("bad", "import nothing_of_the_kind\n")
    site.ok("link", "local", "lab:gages")
    with (site.folder / "penstock.toml").open("a") as file:
        file.write('[apps]\nbad = "bad.app:Bad"\n')
    done = site("apps", "list")
    assert done.code == 0
    assert {line.split()[0]: "broken" in line for line in done.out.splitlines()[1:]} == {
        "bad": True,
        "lab": False,
    }
    assert "ModuleNotFoundError: No module named 'nothing_of_the_kind'" in done.err
    assert "bad/app.py:1" in done.err
    done = site("syncstores", "bad")
    assert (done.code, "nothing_of_the_kind" in done.err) == (2, True)
    done = site("syncstores", "all")
    assert done.code == 1
    assert [line.split()[:2] for line in done.out.splitlines() if line.startswith(("lab:gages ok", "bad"))]
    assert {row["app"]: row["result"] for row in site.json("syncstores", "all", "-d", "gages")["stores"]} == {
        "lab": "ok",
        "bad": "failed",
    }


def test_an_error_in_the_code_of_an_app_is_no_traceback_unless_it_is_asked_for(site: Terminal) -> None:
    site.app("lab", LAB + "    def persistent_store_settings(self):\n        raise KeyError('s3cret-word')\n")
    done = site("settings", "list", "lab")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "Traceback" in site("--debug", "settings", "list", "lab").err


def test_a_reader_that_goes_away_is_no_error(site: Terminal) -> None:
    import subprocess

    from acceptance.terminal import PENSTOCK

    done = subprocess.run(
        ["bash", "-c", f"{PENSTOCK} completion bash | head -1; exit ${{PIPESTATUS[0]}}"],
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
