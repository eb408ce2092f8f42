"""The life of a cluster: configure, start, stop, status, remove."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from penstock.embedded import Cluster, Credentials, ServerState
from penstock.errors import BinariesNotFound, EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable


def connect(credentials: Credentials, role: str = "penstock") -> psycopg.Connection:
    file = {
        credentials.owner: credentials.owner_password_file,
        credentials.administrator: credentials.administrator_password_file,
    }[role]
    return psycopg.connect(
        host=credentials.host,
        port=credentials.port,
        user=role,
        password=file.read_text(),
        dbname="postgres",
        autocommit=True,
    )


def test_configuring_twice_changes_nothing(cluster: Cluster, binaries: Path) -> None:
    first = cluster.configure(binaries=binaries)
    passwords = first.owner_password_file.read_text(), first.administrator_password_file.read_text()
    before = cluster.status()
    second = cluster.configure()
    assert first == second
    assert passwords == (
        second.owner_password_file.read_text(),
        second.administrator_password_file.read_text(),
    )
    assert cluster.status() == before
    assert before.state is ServerState.RUNNING
    assert before.version.partition(".")[0] == (before.data / "PG_VERSION").read_text().strip()


def test_the_owner_makes_databases_and_roles_and_is_no_superuser(cluster: Cluster) -> None:
    with connect(cluster.configure()) as connection:
        connection.execute("CREATE ROLE reader")
        connection.execute("CREATE DATABASE stations")
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (False,)


def test_start_and_stop_may_be_repeated(cluster: Cluster) -> None:
    cluster.configure()
    assert [cluster.stop().state, cluster.stop().state] == [ServerState.STOPPED] * 2
    assert [cluster.start().state, cluster.start().state] == [ServerState.RUNNING] * 2
    pid = cluster.status().pid
    assert pid
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) != os.getpid(), "the server would be our zombie"


def test_a_stopped_server_keeps_its_port_and_what_was_written(cluster: Cluster) -> None:
    credentials = cluster.configure()
    with connect(credentials) as connection:
        connection.execute("CREATE DATABASE stations")
        stopped = cluster.stop()
    assert (stopped.port, stopped.pid) == (credentials.port, None)
    cluster.start()
    with connect(credentials) as connection:
        assert connection.execute("SELECT FROM pg_database WHERE datname = 'stations'").fetchone() is not None


def test_before_configure_there_is_nothing_to_start_stop_or_remove(folder: Path) -> None:
    cluster = Cluster(folder / "pg", secrets=folder / "secrets")
    assert cluster.stop().state is ServerState.NOT_CONFIGURED
    cluster.remove()
    with pytest.raises(EmbeddedError, match="penstock db configure"):
        cluster.start()
    with pytest.raises(BinariesNotFound):
        cluster.configure(binaries=folder / "nothing")
    assert list(folder.iterdir()) == []


@pytest.mark.once("system")
def test_remove_leaves_no_file_and_no_process(cluster: Cluster, folder: Path, binaries: Path) -> None:
    cluster.configure(binaries=binaries)
    data = str(cluster.status().data)
    cluster.remove()
    assert list(folder.iterdir()) == []
    assert cluster.status().state is ServerState.NOT_CONFIGURED
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [line for line in lines if data.encode() in line]


def test_remove_keeps_directories_that_were_there_before(cluster: Cluster, folder: Path) -> None:
    (folder / "secrets").mkdir(0o755)
    (folder / "secrets" / "other").write_text("kept")
    cluster.configure()
    cluster.remove()
    assert [path.name for path in folder.iterdir()] == ["secrets"]
    assert [path.name for path in (folder / "secrets").iterdir()] == ["other"]
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o755


def test_two_configures_at_once_make_one_cluster(
    folder: Path, new_cluster: Callable[[Path], Cluster]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda each: each.configure(), [new_cluster(folder), new_cluster(folder)])
    assert first == second
    connect(second).close()


def test_a_taken_port_is_named_with_who_has_it(cluster: Cluster) -> None:
    credentials = cluster.configure()
    cluster.stop()
    with socket.create_server(("127.0.0.1", credentials.port)):
        with pytest.raises(EmbeddedError) as caught:
            cluster.start()
        assert str(credentials.port) in caught.value.what
        assert f"(pid {os.getpid()})" in caught.value.what
        assert "--port" in caught.value.hint
    assert cluster.start().state is ServerState.RUNNING


def test_another_port_may_be_chosen_later(cluster: Cluster) -> None:
    old = cluster.configure().port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=str(busy)):
            cluster.configure(port=busy)
        assert cluster.status().port == old
    new = cluster.configure(port=busy)
    assert new.port == busy == cluster.status().port
    connect(new).close()


def test_binaries_of_another_major_version_are_refused(cluster: Cluster, found: dict[str, Path]) -> None:
    if len(found) < 2:
        pytest.skip("needs the system's and the wheel's binaries")
    cluster.configure(binaries=found["system"])
    before = cluster.status()
    with pytest.raises(EmbeddedError, match="were made by PostgreSQL"):
        cluster.configure(binaries=found["wheel"])
    assert cluster.status() == before


def test_a_server_that_does_not_start_says_why_from_its_log(cluster: Cluster) -> None:
    cluster.configure()
    settings = cluster.stop().data / "postgresql.conf"
    settings.write_text(settings.read_text() + "\nshared_buffers = 'a lot'\n")
    with pytest.raises(EmbeddedError) as caught:
        cluster.start()
    assert "shared_buffers" in caught.value.why
    assert str(cluster.status().log) in caught.value.hint
