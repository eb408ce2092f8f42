"""A command runs nobody's code but that of trusted projects, wherever it is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, Terminal

if TYPE_CHECKING:
    from pathlib import Path

SOMEBODY = 54321
MARKS = "import pathlib; pathlib.Path(__file__).with_suffix('.run').touch()\n"
"""Tells that a module was run."""


@pytest.fixture
def made(site: Terminal) -> Terminal:
    """A site whose store is made, and whose app tells when it is run."""
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    site.app("lab", MARKS + LAB)
    return site


def was_run(site: Terminal) -> list[Path]:
    return sorted(site.folder.rglob("*.run"))


def give_away(file: Path) -> str:
    """Let somebody else have a file, as far as this user can; what is said of it."""
    if os.geteuid() == 0:
        os.chown(file, SOMEBODY, -1)
        return f"Its owner is user {SOMEBODY}"
    file.chmod(0o666)
    return "Its mode is -rw-rw-rw-."


@pytest.mark.parametrize(
    "words",
    [
        "stores list",
        "stores status",
        "stores list lab",
        "apps list",
        "apps show lab",
        "doctor",
        "settings list",
    ],
)
def test_no_code_of_a_folder_without_penstock_toml_is_run(empty: Terminal, words: str) -> None:
    empty.app("lab", MARKS + LAB)
    (empty.folder / "tethysapp").mkdir()
    empty.app("tethysapp/old", MARKS + LAB)
    assert "Traceback" not in empty(*words.split()).all
    assert was_run(empty) == []


def test_an_app_is_run_where_the_command_says_that_it_is_here(empty: Terminal) -> None:
    empty.app("lab", MARKS + LAB)
    assert "lab" in empty.ok("--app", "lab.app:Lab", "apps", "list")
    assert len(was_run(empty)) == 1


def test_not_even_then_if_somebody_else_can_write_it(empty: Terminal) -> None:
    empty.app("lab", MARKS + LAB)
    (empty.folder / "lab" / "app.py").chmod(0o666)
    done = empty("--app", "lab.app:Lab", "apps", "show", "lab")
    assert "error[app-unsafe]: The app lab.app:Lab is not imported (--app lab.app:Lab)." in done.err
    assert was_run(empty) == []


@pytest.mark.parametrize("file", ["lab/app.py", "lab/__init__.py"])
def test_stores_of_an_app_that_somebody_else_can_write_are_broken_and_no_orphans(
    made: Terminal, file: str
) -> None:
    said = give_away(made.folder / file)
    [listed] = made.json("stores", "list")["stores"]
    assert listed["state"] == "broken"
    [row] = made.json("stores", "status")["stores"]
    assert (row["health"], "drop" in row["hint"]) == ("broken", False)
    shown = made("stores", "status", "--check")
    assert (shown.code, said in shown.all, "drop" in shown.all) == (1, True, False)
    for words in (("run", "--", "true"), ("syncstores", "all", "--plan"), ("doctor",)):
        done = made(*words)
        assert (done.code != 0, said in done.all) == (True, True), words
    dropped = made("stores", "drop", "lab:gages", "--yes")
    assert (dropped.code, "error[app-not-imported]" in dropped.err) == (1, True)
    assert was_run(made) == []


def test_the_module_of_the_command_runs_nothing_of_the_working_directory(empty: Terminal) -> None:
    empty.app("lab", MARKS + LAB)
    for name in ("click", "sqlalchemy", "rich", "lab_app"):
        (empty.folder / f"{name}.py").write_text(MARKS)
    done = subprocess.run(
        [sys.executable, "-m", "penstock", "stores", "list"],
        cwd=empty.folder,
        env={"PATH": os.environ["PATH"], "HOME": str(empty.folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, "There are no stores.")
    assert was_run(empty) == []
