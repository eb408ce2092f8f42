"""An app is installed with all that it needs, and uninstalled without a loss."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, ONE, Terminal
from penstock import Stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVICES = "persistent:\n  gages: local\n"
POINT = "[penstock.apps]\nlab = lab.app:Lab\n"

CLEAN_UP = (
    "If the app is uninstalled on every host, and nobody needs its stores, drop them: "
    "see docs/how-to/clean-up-orphans.md"
)


@pytest.fixture
def shelf(empty: Terminal, tmp_path: Path) -> Callable[..., Path]:
    """Puts the app `lab` into a folder beside the site, with the files that are given; the site is empty."""
    empty.ok("init")

    def put(manifest: str = "name: lab\n", services: str = SERVICES, text: str = LAB) -> Path:
        shelf = Terminal(tmp_path / "shelf")
        shelf.folder.mkdir(exist_ok=True)
        shelf.app("lab", text)
        (shelf.folder / "install.yml").write_text(manifest)
        (shelf.folder / "services.yml").write_text(services)
        return shelf.folder

    return put


def script(folder: Path, name: str, text: str) -> None:
    """Put a script into a folder, ready to be run."""
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def journal(site: Terminal) -> list[tuple[str, str, str]]:
    """What was done in a site, and how it ended; the oldest first."""
    with Stores.from_config(site.folder / "penstock.toml") as stores:
        entries = stores.registry.journal()
    return [(e.action, e.subject, e.result.partition(":")[0]) for e in reversed(entries)][1:]


# --- with pip -------------------------------------------------------------------------------------


def test_a_scaffold_is_installed_used_and_uninstalled(
    empty: Terminal, own_python: Path, tmp_path: Path
) -> None:
    empty.ok("init")
    empty.ok("scaffold", "my_first_app", "--dir", "../work")
    services = tmp_path / "work" / "services.yml"
    services.write_text("persistent:\n  example_db: local\n")
    shown = empty.ok("install", "../work", "--editable", "--yes")
    assert "Successfully installed my_first_app-0.1.0" in shown
    assert "my_first_app:example_db uses service local" in shown
    assert "create database my_first_app_example_db" in shown
    assert shown.splitlines()[-1] == "my_first_app is installed"
    assert [row["health"] for row in empty.json("stores", "status")["stores"]] == ["ready"]
    assert "entry point of my_first_app 0.1.0" in empty.ok("apps", "list")
    done = empty("uninstall", "my_first_app", "--yes")
    assert (done.code, "Leaves a store: my_first_app:example_db" in done.err) == (0, True)
    assert [row["health"] for row in empty.json("stores", "status")["stores"]] == ["broken"]
    shown = empty.ok("install", "../work", "--no-deps", "--yes")
    assert (own_python / "my_first_app" / "app.py").is_file()
    assert "my_first_app:example_db uses service local already" in shown
    assert [row["health"] for row in empty.json("stores", "status")["stores"]] == ["ready"]


def test_pip_that_fails_ends_it_before_anything_is_plugged_in(
    empty: Terminal, shelf: Callable[..., Path]
) -> None:
    shelf("name: lab\npip: [./nothing.whl]\n")
    done = empty("install", "../shelf", "--yes")
    assert done.code == 1
    assert "-m pip install ../shelf/nothing.whl" in done.err
    assert "  why: Exit code 1." in done.err
    assert empty.json("settings", "list")["settings"] == []
    assert journal(empty) == [("install requirements", "lab", "install-failed")]


def test_t19_an_app_that_is_uninstalled_leaves_its_stores_and_no_command_that_drops_one(
    empty: Terminal, shelf: Callable[..., Path], own_python: Path
) -> None:
    folder = shelf()
    empty.ok("install", "../shelf", "--yes")
    distribute(folder / "lab", own_python)
    for setting in ("basins", "servers"):
        empty.ok("link", "local", f"lab:{setting}")
    empty.ok("stores", "create", "lab:basins.logan")
    done = empty("uninstall", "lab", "--yes")
    assert done.code == 0, done.err
    assert done.err.splitlines() == [
        f"Removes lab 1.0, with lab: {own_python.parents[2]}/bin/python -m pip uninstall --yes lab",
        "Leaves a store: lab:basins.logan, database lab_basins_logan on local",
        "Leaves a store: lab:gages, database lab_gages on local",
        "Leaves local linked to lab:basins  (registry .penstock/registry.sqlite3)",
        "Leaves local linked to lab:gages  (registry .penstock/registry.sqlite3)",
        "Leaves local linked to lab:servers  (registry .penstock/registry.sqlite3)",
        CLEAN_UP,
    ]
    assert not (own_python / "lab").exists()
    assert journal(empty)[-1] == ("uninstall app", "lab", "done")
    rows = empty.json("stores", "status")["stores"]
    assert [(row["store"], row["health"], row["exists"]) for row in rows] == [
        ("basins.logan", "broken", True),
        ("gages", "broken", True),
    ]


def distribute(package: Path, packages: Path) -> None:
    """Put a package among the installed ones, as pip does it."""
    (packages / "lab").mkdir()
    (packages / "lab-1.0.dist-info").mkdir()
    files = {f"lab/{file.name}": file.read_text() for file in package.glob("*.py")}
    files["lab-1.0.dist-info/METADATA"] = "Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n"
    files["lab-1.0.dist-info/entry_points.txt"] = POINT
    files["lab-1.0.dist-info/INSTALLER"] = "pip\n"
    files["lab-1.0.dist-info/RECORD"] = "".join(
        f"{name},,\n" for name in [*files, "lab-1.0.dist-info/RECORD"]
    )
    for name, text in files.items():
        (packages / name).write_text(text)


# --- from where it is -----------------------------------------------------------------------------


def test_a_package_that_is_no_project_is_linked_and_synced(
    empty: Terminal, shelf: Callable[..., Path]
) -> None:
    folder = shelf("name: lab\npost:\n- first.sh 'a b'\n- second.py\n")
    script(folder, "first.sh", 'echo "first $1" >> said\n')
    script(folder, "second.py", "print('second', file=open('said', 'a'))\n")
    shown = empty.ok("install", "../shelf", "--yes")
    assert "lab:gages uses service local  (registry" in shown
    assert "create database lab_gages" in shown
    assert (folder / "said").read_text() == "first a b\nsecond\n"
    assert [action for action, *_ in journal(empty) if action != "create store"][-2:] == ["run script"] * 2
    assert ("link", "lab:gages", "done") in journal(empty)


def test_a_plan_shows_every_program_and_does_nothing(empty: Terminal, shelf: Callable[..., Path]) -> None:
    manifest = "name: lab\nconda: {packages: [numpy=1.26, postgis]}\npip: [requests]\npost: [end.sh]\n"
    folder = shelf(manifest)
    (folder / "setup.py").write_text("raise SystemExit('never run')\n")
    script(folder, "end.sh", "exit 1\n")
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    done = empty("install", "../shelf", "--plan", "--editable")
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "lab  (../shelf/install.yml)",
            f"  would run {pip} 'numpy==1.26.*' requests",
            f"  would run {pip} --editable ../shelf",
            "  would link local to lab:gages  (../shelf/services.yml:2)",
            "  would sync the stores of lab",
            "  would run ../shelf/end.sh",
        ],
    )
    assert "conda's postgis is not installed by Penstock" in done.err
    assert journal(empty) == []
    done = empty("install", "../shelf", "--plan", "--no-deps", "--no-sync")
    assert [line.split()[1] for line in done.out.splitlines()[1:]] == ["run", "link", "run"]


def test_it_asks_before_anything_is_done(empty: Terminal, shelf: Callable[..., Path]) -> None:
    shelf()
    done = empty("install", "../shelf")
    assert (done.code, "error[confirmation-needed]" in done.err) == (2, True)
    assert "would link local to lab:gages" in done.err
    done = empty.typed("install", "../shelf", answers=[("Install lab? [y/N]", "n")])
    assert (done.code, "Nothing was changed." in done.out) == (1, True)
    assert journal(empty) == []
    done = empty.typed("install", "../shelf", answers=[("Install lab? [y/N]", "y")])
    assert (done.code, "lab is installed" in done.out) == (0, True), done.out


def test_what_is_linked_already_stays(empty: Terminal, shelf: Callable[..., Path]) -> None:
    shelf()
    empty.ok("services", "add", "more", f"sqlite:///{empty.folder}")
    empty.ok("install", "../shelf", "--yes")
    shelf(services="persistent:\n  gages: more\n")
    shown = empty.ok("install", "../shelf", "--yes", "--no-sync")
    assert "lab:gages uses service local already" in shown
    assert "would leave local linked to lab:gages" in empty.ok("install", "../shelf", "--plan")


def test_a_link_that_can_not_be_made_says_what_mends_it_and_stops_no_other(
    empty: Terminal, shelf: Callable[..., Path]
) -> None:
    shelf(services="persistent:\n  basins: nowhere\n  nothing: local\n  gages: local\nspatial:\n  a: b\n")
    done = empty("install", "../shelf", "--yes")
    assert done.code == 1
    assert "error[service-unknown]" in done.err
    assert "  try: penstock services add nowhere postgresql:" in done.err
    assert "by hand: penstock link nowhere lab:basins" in done.err
    assert "error[setting-unknown]" in done.err
    assert "  try: penstock settings list lab" in done.err
    assert "not Penstock's, so left alone: spatial (../shelf/services.yml:5)" in done.err
    assert "create database lab_gages" in done.out
    assert "lab is installed" not in done.out


def test_scripts_are_not_run_after_a_store_has_failed(empty: Terminal, shelf: Callable[..., Path]) -> None:
    broken = LAB.replace("    if first_time:", "    raise RuntimeError('no seeds today')\n    if first_time:")
    folder = shelf("name: lab\npost: [end.sh]\n", text=broken)
    script(folder, "end.sh", "touch ran\n")
    done = empty("install", "../shelf", "--yes")
    assert (done.code, "no seeds today" in done.out) == (1, True)
    assert "not run, because of the above: ../shelf/end.sh" in done.err
    assert not (folder / "ran").exists()


def test_the_first_script_that_fails_is_the_last_one_that_is_run(
    empty: Terminal, shelf: Callable[..., Path]
) -> None:
    folder = shelf("name: lab\npost: [one.sh, two.sh]\n")
    script(folder, "one.sh", "#!/bin/sh\necho 'one says no'; exit 7\n")
    script(folder, "two.sh", "touch ran\n")
    done = empty("install", "../shelf", "--yes")
    assert (done.code, "one says no" in done.out) == (1, True)
    assert "  why: Exit code 7." in done.err
    assert not (folder / "ran").exists()
    assert journal(empty)[-1] == ("run script", "lab", "install-failed")


def test_an_app_that_is_not_there_in_the_end_is_a_failure(
    empty: Terminal, shelf: Callable[..., Path]
) -> None:
    shelf("name: labb\n")
    done = empty("install", "../shelf", "--yes")
    assert (done.code, "error[app-unknown]: There is no app 'labb'" in done.err) == (1, True)
    assert "this is its name at ../shelf/install.yml" in done.err
    shelf(text="import nothing_of_the_kind\n")
    done = empty("install", "../shelf", "--yes")
    assert (done.code, "nothing_of_the_kind" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("manifest", "services", "expected"),
    [
        ("version: 1\n", SERVICES, "../shelf/install.yml:1: name: is missing"),
        ("name: lab\npost: [no.sh]\n", SERVICES, "../shelf/install.yml:2: post: There is no file 'no.sh'"),
        ("name: lab\n", "persistent: 5\n", "../shelf/services.yml:1: persistent: is a whole number"),
    ],
)
def test_nothing_is_done_where_something_is_written_wrongly(
    empty: Terminal, shelf: Callable[..., Path], manifest: str, services: str, expected: str
) -> None:
    shelf(manifest, services)
    for words in (["--yes"], ["--plan"]):
        done = empty("install", "../shelf", *words)
        assert (done.code, done.out) == (1, "")
        assert f"error[config-problems]: {expected}" in done.err
    assert journal(empty) == []


def test_it_needs_a_manifest_a_folder_and_a_site(empty: Terminal, tmp_path: Path) -> None:
    done = empty("install")
    assert (done.code, "error[config-not-found]: No penstock.toml in" in done.err) == (1, True)
    empty.ok("init")
    done = empty("install")
    assert (done.code, "error[config-not-found]: There is no file install.yml" in done.err) == (1, True)
    done = empty("install", "nowhere")
    assert (done.code, "error[usage]" in done.err) == (2, True)


# --- uninstall ------------------------------------------------------------------------------------


def test_an_app_that_is_only_a_folder_is_not_uninstalled(site: Terminal) -> None:
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    done = site("uninstall", "lab", "--yes")
    assert (done.code, "error[defined-elsewhere]" in done.err) == (1, True)
    assert "Leaves a store: lab:gages, database lab_gages on local" in done.err
    assert (CLEAN_UP in done.err, "stores drop" in done.err) == (True, False)
    assert "  try: Remove it, if nobody needs it: lab\n" in done.err


def test_an_app_of_the_configuration_is_not_uninstalled(empty: Terminal, tmp_path: Path) -> None:
    empty.ok("init")
    Terminal(tmp_path).app("one", ONE)
    with (empty.folder / "penstock.toml").open("a") as file:
        file.write('[apps]\none = "one.app:One"\n')
    done = empty("uninstall", "one", "--yes", env={"PYTHONPATH": str(tmp_path)})
    assert (done.code, "It is found by penstock.toml:" in done.err) == (1, True)
    assert "  try: Remove the line" in done.err


def test_an_app_that_is_gone_leaves_what_it_has_left(empty: Terminal, shelf: Callable[..., Path]) -> None:
    shelf()
    empty.ok("install", "../shelf", "--yes")
    done = empty("uninstall", "lab")
    assert (done.code, "There is no app lab" in done.err) == (0, True)
    assert "Leaves a store: lab:gages, database lab_gages on local\n" in done.err
    assert (CLEAN_UP in done.err, "stores drop" in done.err) == (True, False)
    done = empty("uninstall", "labb")
    assert (done.code, "error[app-unknown]" in done.err) == (2, True)
