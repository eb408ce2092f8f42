"""Each target of make runs its tools, whatever the folder around it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fix_servers import require_program

PROJECT = Path(__file__).parents[2]
NOTE = '#!/bin/sh\nprintf "%s\\n" "$PWD: $*" >> "$NOTES"\n'
"""A Python that notes down what it was told, and where."""


@pytest.fixture(params=["plain", "two words", "it's $HOME & more"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the Makefile, and an environment that is complete and does nothing."""
    require_program("make")
    folder = tmp_path / request.param
    (folder / "examples").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    for environment in (".venv", ".venv-bench", ".venv-sqlalchemy20"):
        program = folder / environment / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text(NOTE)
        program.chmod(0o755)
        for tools in ("venv", "run", "test", "lint", "docs", "bench"):
            (folder / environment / f".ready-{tools}").touch()
    return folder


def made(checkout: Path, *words: str) -> list[str]:
    """What Python was told by a run of make, in which folder."""
    notes = checkout.parent / "notes"
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "NOTES": str(notes)}
    done = subprocess.run(
        ["make", *words], cwd=checkout, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line.removeprefix(str(checkout)) for line in notes.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("target", ["test", "test-all", "soak", "lint", "format", "docs", "bench"])
def test_a_target_runs_its_tools_in_any_folder(checkout: Path, target: str) -> None:
    if target == "docs":
        (checkout / "docs" / "_build").mkdir(parents=True)
    assert {line.partition(":")[0] for line in made(checkout, target)} == {""}


def test_the_demo_runs_among_the_examples_of_any_folder(checkout: Path) -> None:
    (checkout / "my gages.txt").touch()
    assert made(checkout, "demo", "GAGES=my gages.txt") == ["/examples: -m stream_gages.demo"]


def test_another_environment_may_be_anywhere(checkout: Path) -> None:
    other = checkout.parent / "other"
    (checkout / ".venv").rename(other)
    assert made(checkout, "demo", f"VENV={other}") == ["/examples: -m stream_gages.demo"]
