"""Whether a pid file tells the truth, and who may be signalled."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import psutil
import pytest

from penstock.embedded import process
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir()
    return path


def write(data: Path, pid: int, status: str = "ready   ") -> None:
    lines = [str(pid), str(data), "1", "20000", "", "127.0.0.1", "   123     456", status]
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process with this name and these words, which waits until it is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(name: str, *words: str) -> subprocess.Popen[bytes]:
        program = tmp_path / name
        program.write_text("#!/bin/sh\nread line\n")
        program.chmod(0o755)
        started.append(subprocess.Popen([program, *words], stdin=subprocess.PIPE))
        return started[-1]

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def test_no_pid_file_an_empty_one_and_nonsense_are_no_server(data: Path) -> None:
    assert process.read_pid_file(data) is None
    for text in ("", "\n", "not a number\n", "-5\n"):
        (data / "postmaster.pid").write_text(text)
        assert process.read_pid_file(data) is None
    assert process.read_pid_file(data / "missing") is None


def test_a_pid_file_is_read_while_it_is_still_being_written(data: Path) -> None:
    (data / "postmaster.pid").write_text("77\n/data\n")
    assert process.read_pid_file(data) == process.PidFile(pid=77, status="", memory=None)
    write(data, 77, "starting")
    assert process.read_pid_file(data) == process.PidFile(pid=77, status="starting", memory=456)


def test_a_link_in_place_of_the_pid_file_is_not_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("1\n")
    (data / "postmaster.pid").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        process.read_pid_file(data)


def test_a_pid_nobody_has_is_a_stale_one(data: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    write(data, child.pid)
    assert not process.is_alive(child.pid)
    assert process.postmaster(data) is None
    assert not process.signal_postmaster(data, signal.SIGKILL)


def test_a_zombie_counts_as_dead(data: Path) -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.pid_exists(child.pid)
    assert not process.is_alive(child.pid)
    write(data, child.pid)
    assert process.postmaster(data) is None
    child.wait()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sleeper", ()),
        ("postgres", ("-D", "/elsewhere", "-c", "port=1")),
        ("postgres", ("-D", "{data}-too", "-c", "port=1")),
        ("postgres", ("-C", "port", "-D", "{data}")),
        ("pg_ctl", ("-D", "{data}", "-c", "port=1")),
    ],
)
def test_a_pid_given_to_another_program_is_neither_believed_nor_signalled(
    data: Path, start: Callable[..., subprocess.Popen[bytes]], name: str, words: tuple[str, ...]
) -> None:
    other = start(name, *(word.format(data=data) for word in words))
    write(data, other.pid)
    assert process.postmaster(data) is None
    assert not process.signal_postmaster(data, signal.SIGKILL)
    process.end(data, 0.1)
    assert other.poll() is None


def test_the_postmaster_of_the_data_is_known_and_signalled(
    data: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    server = start("postgres", "-D", str(data), "-c", "port=1")
    write(data, server.pid)
    assert process.wait_until(lambda: process.postmaster(data) is not None, 10)
    found = process.postmaster(data)
    assert found is not None
    assert (found.pid, found.status) == (server.pid, "ready")
    assert process.signal_postmaster(data, signal.SIGTERM)
    assert server.wait() == -signal.SIGTERM


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
def test_a_process_of_another_user_than_the_data_is_not_believed(
    data: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    server = start("postgres", "-D", str(data), "-c", "port=1")
    write(data, server.pid)
    os.chown(data, 65534, 65534)
    assert process.postmaster(data) is None


def test_the_pid_file_of_a_dead_server_is_forgotten(data: Path) -> None:
    process.clear_stale(data, 0.0)
    child = subprocess.Popen(["true"])
    child.wait()
    write(data, child.pid)
    process.clear_stale(data, 0.0)
    assert list(data.iterdir()) == []


def test_while_orphans_hold_the_shared_memory_the_pid_file_stays(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data, 1)
    monkeypatch.setattr(process, "attached", lambda memory: 3 if memory == 456 else 0)
    with pytest.raises(EmbeddedError, match="3 of them"):
        process.clear_stale(data, 0.0)
    assert (data / "postmaster.pid").exists()
