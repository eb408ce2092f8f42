"""The shells complete names of services and stores, and run no app for it."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import LAB, PENSTOCK, Terminal, on_a_terminal
from fix_servers import require_program

if TYPE_CHECKING:
    from pathlib import Path

MARKED = f"{LAB}\nimport pathlib\npathlib.Path(__file__).with_name('was run').touch()\n"
"""An app that tells when it is imported."""

# Of each shell: how it is started without anybody's settings, and how it takes the script up.
INTERACTIVE = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source ./script"),
    "zsh": (["zsh", "-f", "-i"], "bindkey -e; autoload -U compinit; compinit -u -D; source ./script"),
}


@pytest.fixture
def marked(site: Terminal) -> Terminal:
    """A site with an app that tells when it is imported, after its stores were made."""
    site.app("lab", MARKED)
    for setting in ("gages", "basins", "servers"):
        site.ok("link", "local", f"lab:{setting}")
    site.ok("syncstores", "lab")
    assert mark(site).exists()
    mark(site).unlink()
    return site


def mark(site: Terminal) -> Path:
    return site.folder / "lab" / "was run"


def asked(shell: str, words: str) -> dict[str, str]:
    """The variables by which the script of a shell asks for what comes next."""
    last = words.rpartition(" ")[2]
    count = last if shell == "fish" else str(len(words.split(" ")) - 1)
    return {"_PENSTOCK_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": count}


def completed(site: Terminal, shell: str, words: str) -> list[str]:
    lines = site("", env=asked(shell, words)).out.splitlines()
    return lines[1::3] if shell == "zsh" else [line.partition(",")[2] for line in lines if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_names_are_completed_and_no_app_is_imported(marked: Terminal, shell: str) -> None:
    assert completed(marked, shell, "penstock services test l") == ["local"]
    assert completed(marked, shell, "penstock syncstores l") == ["lab"]
    assert completed(marked, shell, "penstock stores url lab:g") == ["lab:gages"]
    assert completed(marked, shell, "penstock load lab:g") == ["lab:gages"]
    assert completed(marked, shell, "penstock link local lab:") == ["lab:basins", "lab:gages", "lab:servers"]
    assert completed(marked, shell, "penstock --app lab.app:Lab apps show l") == ["lab"]
    assert not mark(marked).exists()
    marked.ok("stores", "list")
    assert mark(marked).exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_nothing_of_a_folder_without_a_project_is_imported(empty: Terminal, shell: str) -> None:
    empty.app("lab", MARKED)
    assert completed(empty, shell, "penstock stores list l") == []
    empty.ok("stores", "list")
    assert not mark(empty).exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(empty: Terminal, shell: str) -> None:
    assert "_PENSTOCK_COMPLETE" in empty.ok("completion", shell)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("penstock stores url lab:ga", "penstock stores url lab:gages"),
        ("penstock stores url 'lab:ga", "penstock stores url lab:gages"),
        ("penstock link local lab:s", "penstock link local lab:servers"),
        ("penstock link loc", "penstock link local"),
        ("penstock stores undr", "penstock stores undrop"),
    ],
)
def test_the_tab_key_completes_also_after_a_colon(
    marked: Terminal, shell: str, typed: str, completed: str
) -> None:
    require_program(shell)
    words, take_up = INTERACTIVE[shell]
    (marked.folder / "script").write_text(marked.ok("completion", shell))
    # Ctrl-A goes to the beginning of the line, which is printed instead of run.
    shown = on_a_terminal(
        words, f"{take_up}\n{typed}\t\x01echo RESULT: \nexit\n", marked.folder, environment(marked)
    )
    results = [line.strip() for line in shown.splitlines() if line.startswith("RESULT:")]
    assert results == [f"RESULT: {completed}"], shown
    assert not mark(marked).exists()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("penstock stores url lab:ga", {"lab:gages"}),
        ("penstock link local lab:", {"lab:basins", "lab:gages", "lab:servers"}),
        ("penstock services test l", {"local"}),
    ],
)
def test_fish_completes_also_after_a_colon(marked: Terminal, typed: str, completed: set[str]) -> None:
    require_program("fish")
    (marked.folder / "script").write_text(marked.ok("completion", "fish"))
    done = subprocess.run(
        ["fish", "-N", "-c", f"source script; complete -C {shlex.quote(typed)}"],
        cwd=marked.folder,
        env=environment(marked),
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == completed
    assert not mark(marked).exists()


def environment(site: Terminal) -> dict[str, str]:
    path = f"{PENSTOCK.parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(site.folder), "LANG": "C.UTF-8", "TERM": "xterm"}
