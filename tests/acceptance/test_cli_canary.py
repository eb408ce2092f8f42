"""A canary password goes through the whole command line and is heard nowhere."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from acceptance.terminal import LAB, Terminal
from faults.canary import Search
from fix_bindings import Mounted, vcap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fix_servers import PostgreSQLServer

CANARY = "kanarie-7f3c:@/%' ü"
NOISY = """

def shout(engine, first_time):
    raise RuntimeError(f"failing on purpose with {engine.url!r} and {engine!r}")

class Noisy(App):
    package = "noisy"
    gages = Database("Fails.", metadata=Base.metadata, initializer=shout)
"""
HOW = ["stdin", "env", "prompt", "file", "mounted", "vcap"]
APPS = """
[apps]
lab = "lab.app:Lab"
noisy = "noisy.app:Noisy"
"""
LOG_IN = """
import os, psycopg
psycopg.connect(os.environ["PENSTOCK_STORE__LAB__GAGES"].replace("+psycopg", "")).close()
"""
FULL = [
    ("services", "list"),
    ("services", "list", "--json"),
    ("services", "test"),
    ("services", "test", "main", "--json"),
    ("secrets", "check"),
    ("secrets", "check", "--json"),
    ("--debug", "secrets", "rotate-key", "--drop-old", "--yes"),
    ("apps", "list"),
    ("link", "main", "lab:gages"),
    ("link", "main", "lab:basins"),
    ("link", "main", "lab:servers"),
    ("link", "main", "noisy:gages"),
    ("settings", "list"),
    ("settings", "list", "--explain"),
    ("settings", "list", "--explain", "--json"),
    ("syncstores", "lab", "--plan"),
    ("syncstores", "lab"),
    ("--debug", "syncstores", "noisy"),
    ("syncstores", "all", "--json"),
    ("stores", "status"),
    ("stores", "status", "--json"),
    ("stores", "list", "--json"),
    ("stores", "create", "lab:basins.logan"),
    ("stores", "create", "lab:extra", "--connection", "servers"),
    ("stores", "url", "lab:gages"),
    ("stores", "drop", "lab:basins.logan", "--yes"),
    ("stores", "undrop", "lab:basins.logan"),
    ("stores", "drop", "lab:basins.logan", "--yes"),
    ("--debug", "stores", "purge", "--all", "--yes"),
    ("stores", "adopt", "lab:gages", "--yes"),
    ("--debug", "stores", "rotate", "--all", "--grace", "0"),
    ("--debug", "stores", "rotate", "--all", "--finish"),
    ("services", "export"),
    ("syncstores", "lab", "-r", "-y", "-f"),
    ("doctor",),
    ("doctor", "--json"),
    ("run", "--", "true"),
    ("completion", "bash"),
    ("--debug", "services", "rotate", "main", "--seal"),
    ("services", "test", "main"),
    ("secrets", "check"),
    ("services", "edit", "main", "--admin-url", "postgresql://nobody@127.0.0.1:1", "--no-admin-password"),
    ("services", "remove", "main", "--yes"),
    ("--debug", "services", "add", "again", f"postgresql://canary:{quote(CANARY, safe='')}@127.0.0.1:1"),
    ("--debug", "services", "add", "again", f"postgresql://canary:{CANARY}@127.0.0.1:1"),
    ("services", "add", "again", "postgresql://canary@127.0.0.1:1", "--password-env", "CANARY_PW"),
    ("--debug", "services", "test", "again"),
    ("unlink", "lab:gages"),
    ("link", "again", "lab:gages"),
    ("--debug", "syncstores", "lab"),
    ("--debug", "stores", "status"),
    ("services", "remove", "main", "--force", "--yes"),
]
"""The whole command line, where all is well and where it is not."""
FAILS = re.compile("noisy|again|doctor|syncstores (all|lab$)|remove main --yes")
"""What fails, for some of them: there is an app whose initializer fails, and a server that is not there."""


@pytest.fixture
def canary(postgresql: PostgreSQLServer) -> Iterator[str]:
    """The address of a role whose password is the canary."""
    with postgresql.connect() as connection:
        made = sql.SQL("CREATE ROLE canary LOGIN CREATEDB CREATEROLE PASSWORD {}")
        connection.execute(made.format(sql.Literal(CANARY)))
    yield f"postgresql://canary@127.0.0.1:{postgresql.port}"
    postgresql.clean()


def heard(site: Terminal, *, kept: set[Path]) -> list[str]:
    """Where the canary is heard: in what was printed, and in every file but those that keep it."""
    search = Search(CANARY)
    for number, text in enumerate(site.printed):
        search.text(f"output {number}", text)
    search.folder(site.folder, but=tuple(kept))
    return search.found


def add(site: Terminal, how: str, address: str, folder: Path) -> set[Path]:
    """Register the service with its password given in one way; the files that may hold it."""
    if how in ("mounted", "vcap"):
        return bind(site, how, address, folder)
    words = ["services", "add", "main", address]
    if how == "stdin":
        site.ok(*words, "--password-stdin", stdin=CANARY.encode() + b"\n")
    elif how == "prompt":
        assert site.typed(*words, "--prompt-password", answers=[("empty for none", CANARY)]).code == 0
    elif how == "env":
        site.ok(*words, "--password-env", "CANARY_PW")
        return set()
    else:
        file = folder / "canary"
        file.write_text(CANARY)
        site.ok(*words, "--password-file", file)
        return {file}
    return set()


def bind(site: Terminal, how: str, address: str, folder: Path) -> set[Path]:
    """Let a platform hand the service out, the password in its address."""
    uri = address.replace("@", f":{quote(CANARY, safe='')}@")
    if how == "vcap":
        site.env["VCAP_SERVICES"] = vcap({"name": "main", "credentials": {"uri": uri}})
    else:
        site.env["SERVICE_BINDING_ROOT"] = str(folder / "bindings")
        Mounted(folder / "bindings").put("main", type="postgresql", uri=uri)
    return set()


@pytest.mark.parametrize(
    ("how", "commands"),
    [("stdin", FULL), *((how, FULL[:19]) for how in HOW[1:])],
    ids=HOW,
)
def test_the_canary_is_heard_nowhere_but_in_its_kept_or_referenced_place(
    site: Terminal, canary: str, tmp_path: Path, how: str, commands: list[tuple[str, ...]]
) -> None:
    site.app("noisy", LAB.split("class Lab(App)")[0] + NOISY)
    config = site.folder / "penstock.toml"
    config.write_text(config.read_text() + APPS)
    site.env["CANARY_PW"] = CANARY
    kept = add(site, how, canary, tmp_path)
    codes = {" ".join(words): site(*words).code for words in commands}
    failed = {words: code for words, code in codes.items() if code != 0}
    assert {words: code for words, code in failed.items() if code != 1 or not FAILS.search(words)} == {}
    assert heard(site, kept=kept) == []


def test_the_canary_is_revealed_only_when_asked_for(site: Terminal, canary: str, tmp_path: Path) -> None:
    add(site, "file", canary, tmp_path)
    site.ok("link", "main", "lab:gages")
    site.ok("syncstores", "lab")
    assert "***" in site.ok("stores", "url", "lab:gages")
    url = site.ok("stores", "url", "lab:gages", "--reveal").strip()
    psycopg.connect(url.replace("+psycopg", "")).close()
    assert site("run", "--", sys.executable, "-c", LOG_IN).code == 0
