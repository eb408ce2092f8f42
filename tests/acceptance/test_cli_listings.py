"""Listings for programs, terminals and pipes; help and completion."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from acceptance.terminal import PENSTOCK, Terminal

COMMANDS = """
init, install, uninstall, scaffold, apps list, apps show,
services list, services add, services edit, services remove, services test,
services rotate, link, unlink, settings list, syncstores,
stores list, stores status, stores create, stores drop, stores adopt, stores url, stores shell,
stores rotate, stores undrop, stores purge, services export, services import,
db configure, db start, db stop, db status, db remove, doctor, run, completion, load,
secrets check, secrets rotate-key
"""
WITH_JSON = ["apps list", "services list", "services test", "settings list", "syncstores all", "stores list"]
WITH_JSON += ["stores status", "db status", "doctor", "secrets check"]


@pytest.fixture
def synced(site: Terminal) -> Terminal:
    """A site with one store that is ready."""
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    return site


def test_every_listing_is_one_json_document_and_nothing_else(synced: Terminal) -> None:
    for command in WITH_JSON:
        done = synced(*command.split(), "--json")
        assert isinstance(json.loads(done.out), dict), command
    assert synced.json("services", "list")["services"][0].keys() == {
        "service",
        "url",
        "password",
        "admin_url",
        "admin_password",
        "pooled",
        "max_connections",
        "roles",
        "rotating",
        "settings",
        "stores",
        "source",
        "problem",
    }
    done = synced("syncstores", "lab", "--json")
    assert "lab:gages" in done.err
    store = json.loads(done.out)["stores"][0]
    assert {"app", "store", "result", "service", "database", "source", "steps", "error"} == store.keys()
    assert store["steps"][0]["seconds"] >= 0


def test_a_pipe_gets_aligned_lines_without_colours(synced: Terminal) -> None:
    for command in WITH_JSON:
        assert "\x1b" not in synced(*command.split()).all
    head, line = synced.ok("stores", "list").splitlines()
    assert head.split() == ["STORE", "MADE", "STATE", "SERVICE", "DATABASE", "SOURCE"]
    assert line.split() == ["lab:gages", "declared", "ready", "local", "lab_gages", "registry"]
    assert head.index("SERVICE") == line.index("local")


def test_a_terminal_gets_tables_with_colours_unless_it_wants_none(synced: Terminal) -> None:
    done = synced.typed("stores", "status", width=100)
    assert done.code == 0
    assert "─────" in done.out
    assert "\x1b[32mready" in done.out
    assert "lab_gages" in done.out
    done = synced.typed("stores", "status", env={"NO_COLOR": "1"})
    assert "\x1b[32m" not in done.out
    done = synced.typed("syncstores", "lab")
    assert "✓" in done.out
    done = synced.typed("link", "nothing", "lab:gages", env={"NO_COLOR": "1"})
    assert done.out.startswith("error[service-unknown]: ")


def test_a_narrow_terminal_loses_no_name(synced: Terminal) -> None:
    done = synced.typed("services", "list", width=60, env={"NO_COLOR": "1"})
    assert "local" in done.out
    assert "stores" in done.out.replace("\n", "")


# --- help and completion --------------------------------------------------------------------------


def test_the_help_of_every_command_ends_with_an_example(empty: Terminal) -> None:
    import click

    from penstock.cli import main

    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    verbs = [
        f"{name} {verb}".strip()
        for name, command in found.items()
        for verb in (command.commands if isinstance(command, click.Group) else [""])
    ]
    assert sorted(verbs) == sorted(" ".join(each.split()) for each in COMMANDS.split(","))
    for words in verbs:
        command = found[words.split()[0]]
        if isinstance(command, click.Group):
            command = command.commands[words.split()[1]]
        text = command.get_help(click.Context(command, info_name=words))
        assert f"    penstock {words}" in text.split("Example:")[1], words
        assert all(param.help for param in command.params if isinstance(param, click.Option)), words
    for words in ("--help", "services --help", "db -h", "stores create --help"):
        assert empty.ok(*words.split()).startswith("Usage: penstock")


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["services", "add", "--help"], ["completion", "zsh"]]
)
def test_help_does_not_import_what_is_slow(words: list[str]) -> None:
    code = f"""
import sys
from penstock.cli import main
try:
    main({words!r}, prog_name="penstock")
except SystemExit as end:
    assert not end.code, end.code
print(sorted(name for name in ("alembic", "psycopg", "rich", "sqlalchemy") if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_completing_a_command_does_not_import_what_is_slow_either(empty: Terminal) -> None:
    env = {"_PENSTOCK_COMPLETE": "bash_complete", "COMP_WORDS": "penstock s", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PENSTOCK],
        cwd=empty.folder,
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert {"plain,scaffold", "plain,services", "plain,syncstores"} <= set(done.stdout.split())
    assert "sqlalchemy" not in done.stderr
