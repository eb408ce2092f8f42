"""A real PgBouncer in transaction mode before the test run's own PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_servers import unavailable
from penstock.embedded.ports import choose_port
from penstock.registry import RoleMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import PostgreSQLServer, TestServer
    from penstock import Service

SESSIONS = 3
"""What the pooler opens at the server for one database and user."""

_CONFIG = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
{more}
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
server_idle_timeout = 1
"""


ASKING = "auth_user = penstock_admin"
"""Lets the pooler ask the server for the passwords of users that it does not know."""


@contextmanager
def running_pooler(server: PostgreSQLServer, more: str = "") -> Iterator[int]:
    """A pooler before a server; its port."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        unavailable("PgBouncer is not installed")
    folder = Path(tempfile.mkdtemp(prefix="penstock-pgbouncer-"))
    port = choose_port(folder)
    users = folder / "users.txt"
    known = {"penstock": server.owner_password_file, "penstock_admin": server.admin_password_file}
    users.write_text("".join(f'"{user}" "{file.read_text().strip()}"\n' for user, file in known.items()))
    config = folder / "pgbouncer.ini"
    values = {"server": server.port, "port": port, "users": users, "sessions": SESSIONS, "more": more}
    config.write_text(_CONFIG.format(**values))
    for path, mode in ((folder, 0o755), (users, 0o644), (config, 0o644)):
        path.chmod(mode)
    process = subprocess.Popen(
        [str(program), str(config)],
        user="nobody" if os.geteuid() == 0 else None,  # It refuses to run as root.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _await(port: int) -> None:
    from faults.scenes import until

    def answers() -> bool:
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0

    until(answers, "the pooler listens")


@pytest.fixture
def pooled_service(postgresql_ground: TestServer) -> Iterator[Service]:
    """A service through the pooler, with the server's own address as the administrator's."""
    assert postgresql_ground.server is not None
    with running_pooler(postgresql_ground.server) as port:
        service = postgresql_ground.service
        yield replace(service, url=f"postgresql://penstock@127.0.0.1:{port}", pooled=True)


@pytest.fixture
def asking_service(postgresql_ground: TestServer) -> Iterator[Service]:
    """The same, through a pooler that knows the logins of stores, since it asks the server."""
    assert postgresql_ground.server is not None
    with running_pooler(postgresql_ground.server, ASKING) as port:
        service = postgresql_ground.service
        url = f"postgresql://penstock@127.0.0.1:{port}"
        yield replace(service, url=url, pooled=True, roles=RoleMode.STORE)
