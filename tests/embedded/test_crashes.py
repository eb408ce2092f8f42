"""Killed servers, killed commands, stale pid files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from penstock.embedded import Cluster, Credentials, ServerState

if TYPE_CHECKING:
    from pathlib import Path

# Runs configure and kills its own process with SIGKILL when a given function is about to be called.
KILLED = """
import importlib, os, signal, sys
from pathlib import Path
from penstock.embedded import Cluster
module, _, name = sys.argv[2].rpartition(":")
owner = Path if module == "Path" else importlib.import_module("penstock.embedded." + module)
setattr(owner, name, lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL))
home = Path(sys.argv[1])
Cluster(home / "pg", secrets=home / "secrets").configure()
"""
MOMENTS = [
    "cluster:save_state",
    "layout:prepare",
    "passwords:ensure_password",
    "Path:rename",  # The draft of a password file.
    "data:run",
    "cluster:start_server",
    "process:launch",
    "roles:make_roles",
    "roles:_make_owner",
]


def query(credentials: Credentials, statement: str) -> list[tuple[object, ...]]:
    password = credentials.owner_password_file.read_text()
    address = {"host": credentials.host, "port": credentials.port, "user": credentials.owner}
    with psycopg.connect(**address, password=password, dbname="postgres") as connection:
        return connection.execute(statement).fetchall()


def test_a_configure_killed_at_any_moment_is_finished_by_the_next(cluster: Cluster, folder: Path) -> None:
    for moment in MOMENTS:
        done = subprocess.run([sys.executable, "-c", KILLED, folder, moment], check=False)
        assert done.returncode == -signal.SIGKILL, moment
        assert cluster.status().state in (
            ServerState.NOT_CONFIGURED,
            ServerState.STOPPED,
            ServerState.RUNNING,
        )
    assert query(cluster.configure(), "SELECT 1") == [(1,)]
    assert not list(folder.rglob("*.new*"))


@pytest.mark.parametrize("patience", [0.1, 0.4])
@pytest.mark.long
def test_a_configure_killed_by_the_clock_is_finished_by_the_next(
    cluster: Cluster, folder: Path, patience: float
) -> None:
    script = KILLED.replace("setattr(", "(lambda *_: None)(")
    with subprocess.Popen([sys.executable, "-c", script, folder, "cluster:save_state"]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(patience)
        process.kill()
    assert query(cluster.configure(), "SELECT 1") == [(1,)]
    cluster.remove()
    assert list(folder.iterdir()) == []


@pytest.mark.once("system")
def test_after_kill_9_of_the_postmaster_start_works(cluster: Cluster, binaries: Path) -> None:
    credentials = cluster.configure(binaries=binaries)
    pid = cluster.status().pid
    assert pid
    password = credentials.owner_password_file.read_text()
    address = f"host=127.0.0.1 port={credentials.port} user=penstock dbname=postgres"
    with psycopg.connect(address, password=password):
        os.kill(pid, signal.SIGKILL)
        started = cluster.start()
    assert started.state is ServerState.RUNNING
    assert started.pid != pid
    assert query(credentials, "SELECT 1") == [(1,)]


def test_a_killed_server_counts_as_stopped(cluster: Cluster) -> None:
    cluster.configure()
    pid = cluster.status().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    states = {cluster.status().state for _ in range(3)}
    assert states <= {ServerState.STOPPED, ServerState.RUNNING}  # The kernel may need a moment.
    assert cluster.stop().state is ServerState.STOPPED
    cluster.remove()


def test_a_pid_that_now_belongs_to_another_program_is_neither_believed_nor_killed(cluster: Cluster) -> None:
    cluster.configure()
    data = cluster.stop().data
    owner = data.stat()
    with subprocess.Popen(
        ["sleep", "60"], **({"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {})
    ) as other:
        try:
            (data / "postmaster.pid").write_text(f"{other.pid}\n{data}\n1\n1\n\n127.0.0.1\n1 1\nready\n")
            os.chown(data / "postmaster.pid", owner.st_uid, owner.st_gid)
            assert cluster.stop().state is ServerState.STOPPED
            assert cluster.start().state is ServerState.RUNNING
            assert cluster.stop().state is ServerState.STOPPED
            assert other.poll() is None
        finally:
            other.kill()


def test_a_server_that_ignores_a_fast_shutdown_is_stopped_less_gently(cluster: Cluster) -> None:
    cluster.configure()
    running = cluster.status()
    assert running.pid
    os.kill(running.pid, signal.SIGSTOP)  # A stopped process answers SIGKILL alone.
    cluster.stop(timeout=0.2)
    assert cluster.status().state is ServerState.STOPPED
    assert cluster.start().state is ServerState.RUNNING


def test_a_removal_cut_short_is_finished_by_the_next(cluster: Cluster, folder: Path) -> None:
    cluster.configure()
    script = KILLED.replace(".configure()", ".remove()")
    done = subprocess.run([sys.executable, "-c", script, folder, "layout:forget_drafts"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert cluster.status().state is ServerState.NOT_CONFIGURED
    cluster.remove()
    assert list(folder.iterdir()) == []
