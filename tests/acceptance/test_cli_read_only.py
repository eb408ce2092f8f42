"""Who may not write a project's folder can read all that there is to be read."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from acceptance.terminal import PENSTOCK, Done, Terminal
from fix_readonly import bound_by_modes, tree, unwritable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READERS = """
services list, services test, services export, secrets check, stores list, stores status --check,
stores url lab:gages, settings list --explain, apps list, apps show lab, syncstores lab --plan,
run -- true, doctor
"""

_READS = """
import asyncio, sys
from sqlalchemy import text
from penstock import Stores
from penstock.aio import AsyncStores
from lab.app import Lab

query = text("SELECT count(*) FROM gage")

async def read(stores):
    async with stores.engine(Lab, "gages").connect() as connection:
        return (await connection.execute(query)).scalar_one()

with Stores.from_config() as stores:
    engine = stores.engine(Lab, "gages")
    aio = AsyncStores(stores)
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            with engine.connect() as connection:
                print(connection.execute(query).scalar_one(), runner.run(read(aio)), flush=True)
        runner.run(aio.close())
"""


@dataclass
class Reader:
    """A terminal of somebody who may only read."""

    site: Terminal

    def __call__(self, *words: str) -> Done:
        done = subprocess.run(
            bound_by_modes([str(PENSTOCK), *words]),
            cwd=self.site.folder,
            env=self.site._environment({"PYTHONDONTWRITEBYTECODE": "1"}),
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def reader(site: Terminal) -> Iterator[Reader]:
    """Somebody who may only read a project with a store that is ready."""
    site.ok("link", "local", "lab:gages")
    site.ok("syncstores", "lab")
    with unwritable(site.folder):
        yield Reader(site)


def test_every_command_that_reads_works_and_leaves_nothing(reader: Reader) -> None:
    before = tree(reader.site.folder)
    for words in READERS.split(","):
        done = reader(*words.split())
        assert (done.code, "error" in done.err) == (0, False), f"{words}: {done.all}"
    assert tree(reader.site.folder) == before


def test_what_is_read_there_is_what_it_is(reader: Reader) -> None:
    [row] = json.loads(reader("stores", "status", "--json").out)["stores"]
    assert (row["health"], row["exists"]) == ("ready", True)
    planned = reader("syncstores", "lab", "--plan").out
    assert "would prepare" not in planned
    assert "would create database" not in planned
    assert [line.split()[0] for line in reader("doctor").out.splitlines() if line.startswith("fail")] == []


@pytest.mark.parametrize(
    "words", ["link local lab:basins", "syncstores lab", "stores drop lab:gages --yes", "init"]
)
def test_every_command_that_writes_says_that_it_can_not(reader: Reader, words: str) -> None:
    before = tree(reader.site.folder)
    done = reader(*words.split())
    if words == "init":  # All is there already.
        assert (done.code, "nothing was changed" in done.out) == (0, True)
    else:
        assert (done.code, "error[registry-unusable]" in done.all) == (1, True), done.all
        assert "readonly" in done.all
    assert tree(reader.site.folder) == before


def test_engines_read_there_and_see_what_others_write_meanwhile(reader: Reader) -> None:
    owner = _Owner(reader.site.folder / ".penstock" / "stores" / "lab_gages.sqlite")
    with subprocess.Popen(
        bound_by_modes([sys.executable, "-B", "-c", _READS]),
        cwd=reader.site.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        counts = []
        for write in (owner.nothing, owner.add, owner.add, owner.close, owner.add_and_close):
            write()
            asking.stdin.write("\n")
            asking.stdin.flush()
            counts.append(asking.stdout.readline().split())
    assert asking.returncode == 0
    assert counts == [[str(n)] * 2 for n in (2, 3, 4, 4, 5)]


class _Owner:
    """Somebody who may write the file, and takes the right to do so back each time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 100
        self._raw: sqlite3.Connection | None = None

    def nothing(self) -> None:
        """Leave it as it is."""

    def add(self) -> None:
        """Write a row, and stay connected."""
        self._path.parent.chmod(0o755)
        self._path.chmod(0o644)
        self._raw = self._raw or sqlite3.connect(self._path, isolation_level=None)
        self._number += 1
        self._raw.execute("INSERT INTO gage (number) VALUES (?)", (str(self._number),))
        self._path.chmod(0o444)
        self._path.parent.chmod(0o555)

    def close(self) -> None:
        """Go away, so that there is no write-ahead log any more."""
        assert self._raw is not None
        self._path.parent.chmod(0o755)
        self._raw.close()
        self._raw = None
        self._path.parent.chmod(0o555)

    def add_and_close(self) -> None:
        """Write a row, and go away."""
        self.add()
        self.close()


# --- folders in which nothing can be made -------------------------------------------------------


@pytest.mark.parametrize("words", ["init", "init below/it", "scaffold my_app"])
def test_a_folder_that_can_not_be_written_is_named_and_no_bug(empty: Terminal, words: str) -> None:
    with unwritable(empty.folder):
        done = Reader(empty)(*words.split())
    assert (done.code, "error[storage-unavailable]" in done.err) == (1, True), done.all
    assert str(empty.folder) in done.err
    assert "Permission denied" in done.err
    assert f"ls -ld {empty.folder}" in done.err
    assert list(empty.folder.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_no_bug_either(empty: Terminal) -> None:
    (empty.folder / "file").touch()
    done = empty("init", "file/below")
    assert (done.code, "error[storage-unavailable]" in done.err) == (1, True), done.all
