"""SQLite where the file system says no: missing, forbidden, full, not a database."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.jobs import WORDS
from faults.scenes import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.scenes import Workers
    from fix_servers import TestServer

FILE = "lab_gages.sqlite"
SIDES = ("-wal", "-shm", "-journal", ".lock")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-storage-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_scene(open_folder: Path, sqlite_ground: TestServer, workers: Workers) -> Scene:
    """A scene in such a folder, in which a process without root's rights can work."""
    from dataclasses import replace

    stores, registry = open_folder / "stores", open_folder / "registry"
    stores.mkdir()
    stores.chmod(0o777)

    def run_sql(database: str, statement: str) -> list[tuple[Any, ...]]:
        import sqlite3

        connection = sqlite3.connect(stores / f"{database}.sqlite", isolation_level=None)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    service = replace(sqlite_ground.service, url=f"sqlite:///{stores}")
    ground = replace(
        sqlite_ground,
        service=service,
        directory=stores,
        run_sql=run_sql,
        databases=lambda: {path.stem for path in stores.glob("*.sqlite")},
    )
    scene = Scene(ground, workers, registry)
    share(registry)
    return scene


def share(folder: Path) -> None:
    """Let every user write a folder and what is in it."""
    folder.chmod(0o777)
    for path in folder.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)


def directory(scene: Scene) -> Path:
    """The service's directory."""
    assert scene.ground.directory is not None
    return scene.ground.directory


def ask(scene: Scene, *verbs: str, **options: Any) -> dict[str, Any]:
    """What a process without root's rights hears, verb by verb."""
    ended = scene.workers.run("as_nobody", registry=scene.registry, verbs=list(verbs), **options)
    assert ended.status == 0, ended.err
    said: dict[str, Any] = ended.said
    return said


def check_clear(told: Any, kind: str, path: Path) -> None:
    """The error is of this kind, names the path, and says what to do."""
    assert isinstance(told, dict), told
    assert told["kind"] == kind, told
    assert str(path) in told["what"] + told["why"], told
    assert told["hint"], told


# --- missing --------------------------------------------------------------------------------------


def test_t16_a_missing_directory_is_named_with_the_command_that_makes_it(open_scene: Scene) -> None:
    where = directory(open_scene)
    where.rmdir()
    said = ask(open_scene, "sync", "refresh", "exists", "use", "drop")
    for verb in ("sync", "refresh", "exists", "use", "drop"):
        check_clear(said[verb], "StorageUnavailable", where)
        assert said[verb]["hint"] == f"mkdir -p {where}"
    assert not where.exists()
    where.mkdir(mode=0o777)
    where.chmod(0o777)
    assert ask(open_scene, "sync", "exists") == {"sync": None, "exists": True}


def test_t16_a_file_in_the_directorys_place_is_named(open_scene: Scene) -> None:
    where = directory(open_scene)
    where.rmdir()
    where.write_text("not a directory")
    for told in ask(open_scene, "sync", "exists", "drop").values():
        check_clear(told, "StorageUnavailable", where)
    assert where.read_text() == "not a directory"


# --- forbidden ------------------------------------------------------------------------------------


def test_t16_a_directory_that_can_not_be_written_is_named_and_nothing_is_left(open_scene: Scene) -> None:
    where = directory(open_scene)
    where.chmod(0o555)
    check_clear(ask(open_scene, "sync")["sync"], "StorageUnavailable", where)
    assert list(where.iterdir()) == []
    where.chmod(0o777)
    assert ask(open_scene, "sync", "exists") == {"sync": None, "exists": True}


def test_t16_a_directory_that_becomes_read_only_keeps_the_store(open_scene: Scene) -> None:
    ask(open_scene, "sync")
    where = directory(open_scene)
    where.chmod(0o555)
    try:
        said = ask(open_scene, "sync", "refresh", "drop")
        for told in said.values():
            check_clear(told, "StorageUnavailable", where)
    finally:
        where.chmod(0o777)
    assert open_scene.words() == list(WORDS)
    assert ask(open_scene, "sync", "exists", "use") == {"sync": None, "exists": True, "use": 3}


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_t16_a_file_that_can_not_be_written_is_named_and_kept(open_scene: Scene, mode: int) -> None:
    ask(open_scene, "sync")
    path = directory(open_scene) / FILE
    path.chmod(mode)
    said = ask(open_scene, "sync", "refresh")
    check_clear(said["sync"], "StorageUnavailable", path)
    path.chmod(0o666)
    assert ask(open_scene, "sync", "exists", "use") == {"sync": None, "exists": True, "use": 3}


def test_t16_a_directory_that_can_not_be_entered_is_named(open_scene: Scene) -> None:
    ask(open_scene, "sync")
    where = directory(open_scene)
    where.chmod(0o600)
    said = ask(open_scene, "sync", "refresh", "exists", "drop")
    where.chmod(0o777)
    for told in said.values():
        check_clear(told, "StorageUnavailable", where)
    assert open_scene.words() == list(WORDS)


# --- not a database -------------------------------------------------------------------------------


def test_t16_a_file_that_is_no_database_is_named_and_left_as_it_is(open_scene: Scene) -> None:
    path = directory(open_scene) / FILE
    garbage = b"These are my notes, not a database.\n" * 100
    path.write_bytes(garbage)
    path.chmod(0o666)
    said = ask(open_scene, "sync", "refresh", "exists", "drop", "status")
    for verb in ("sync", "refresh", "exists", "drop"):
        check_clear(said[verb], "StorageUnavailable", path)
        assert "not a database" in said[verb]["why"]
    assert said["status"]["kind"] == "unreachable"
    assert path.read_bytes() == garbage
    assert os.listdir(path.parent) == [FILE]


# --- full -----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(open_scene: Scene) -> Iterator[Path]:
    """A disk of 96 kB at the service's directory."""
    where = directory(open_scene)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k,mode=777", "none", where], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small disk, where it may")
    yield where
    subprocess.run(["umount", where], check=True)


def test_t16_a_full_disk_fails_a_sync_clearly_and_the_next_one_finishes_it(
    small_disk: Path, open_scene: Scene
) -> None:
    filler = small_disk / "filler"
    for free in (0, 4096, 12288, 24576, 40960):
        filler.write_bytes(b"x" * (98304 - free))
        ended = open_scene.work()
        assert ended.status == 0, ended.err
        for problem in ended.said["problems"]:
            assert problem["kind"] in ("StorageUnavailable", "InitializerError")
            assert any(word in problem["why"] for word in ("full", "No space", "SQLITE_IOERR"))
            assert str(small_disk) in problem["what"] + problem["why"] + problem["hint"]
    filler.unlink()
    open_scene.well()
    assert open_scene.words() == list(WORDS)
    assert open_scene.state()["status"] == ("ready", "", True)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with open(path, "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 1024)


def test_t16_a_full_disk_loses_nothing_of_a_store_that_is_in_use(small_disk: Path, open_scene: Scene) -> None:
    open_scene.well()
    fill(small_disk / "filler")
    ended = open_scene.work()
    assert ended.status == 0, ended.err
    for problem in ended.said["problems"]:
        assert problem["kind"] in ("StorageUnavailable", "InitializerError")
    (small_disk / "filler").unlink()
    open_scene.well()
    assert open_scene.words() == list(WORDS)


@pytest.mark.parametrize("limit", [1, 4096, 10000, 20000, 40000])
def test_t16_a_limit_on_the_size_of_files_fails_a_sync_clearly(open_scene: Scene, limit: int) -> None:
    registry = directory(open_scene).parent / "registry" / "registry.sqlite3"
    size = registry.stat().st_size
    told = ask(open_scene, "sync", limit=max(limit, 1))["sync"]
    if told is not None:
        assert told["kind"] in ("StorageUnavailable", "InitializerError", "RegistryError"), told
        assert told["hint"]
        assert "(SQLITE_" in told["why"] or "File too large" in told["why"] or "sqlite3" in told["why"], told
    assert registry.stat().st_size >= size
    assert ask(open_scene, "sync", "exists", "use") == {"sync": None, "exists": True, "use": 3}


# --- dropped --------------------------------------------------------------------------------------


def test_t16_a_drop_removes_the_file_and_everything_beside_it(open_scene: Scene) -> None:
    ask(open_scene, "sync")
    where = directory(open_scene)
    for side in SIDES:
        (where / f"{FILE}{side}").touch()
        (where / f"{FILE}{side}").chmod(0o666)
    (where / f"{FILE}.mine").touch()
    (where / "lab_gages_2.sqlite-wal").touch()
    assert ask(open_scene, "drop") == {"drop": True}
    assert sorted(os.listdir(where)) == [f"{FILE}.mine", "lab_gages_2.sqlite-wal"]


def test_t16_a_drop_removes_the_log_that_a_killed_app_left(open_scene: Scene) -> None:
    open_scene.well()
    where = directory(open_scene)
    assert open_scene.workers.run("write_and_die", registry=open_scene.registry).killed
    assert {f"{FILE}-wal", f"{FILE}-shm"} <= set(os.listdir(where))
    open_scene.well(verb="drop")
    assert os.listdir(where) == []


def test_t16_what_an_old_store_left_beside_its_file_does_not_come_back_in_a_new_one(
    open_scene: Scene,
) -> None:
    """A drop that was killed half-way removed the file but not its log: the log is not replayed."""
    open_scene.well()
    where = directory(open_scene)
    assert open_scene.workers.run("write_and_die", registry=open_scene.registry).killed
    log = (where / f"{FILE}-wal").read_bytes()
    assert log
    (where / FILE).unlink()
    open_scene.well()
    assert open_scene.words() == list(WORDS)
    assert open_scene.state()["status"] == ("ready", "", True)
