"""Workers that gunicorn forks each have their own connections."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.scenes import until
from fix_apps import make_lab
from penstock import Stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_registries import RegistryHome
    from fix_servers import TestServer

_TESTS = Path(__file__).parents[1]


class Unix(http.client.HTTPConnection):
    """A request through a socket in a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


def ask(path: Path, number: int) -> tuple[int, dict[str, Any]]:
    """The status and the answer of one request."""
    connection = Unix(path)
    try:
        connection.request("GET", f"/{number}")
        response = connection.getresponse()
        body = response.read()
        return response.status, json.loads(body) if response.status == 200 else {"said": body.decode()}
    finally:
        connection.close()


def listens(path: Path) -> bool:
    """Whether somebody is at the other end of the socket."""
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


@contextmanager
def gunicorn(kind: str, registry: str, path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A master with four workers that were forked after the program was loaded."""
    command = [
        *(sys.executable, "-m", "gunicorn", "acceptance.wsgi_app:application", "--preload"),
        *("--workers", "4", "--worker-class", kind, "--threads", "4" if kind == "gthread" else "1"),
        *("--bind", f"unix:{path}", "--worker-tmp-dir", str(path.parent), "--graceful-timeout", "20"),
        *("--no-control-socket",),
    ]
    with log.open("wb") as output:
        master = subprocess.Popen(
            command,
            cwd=_TESTS,
            env={**os.environ, "LAB_REGISTRY": registry, "PYTHONPATH": str(_TESTS)},
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: listens(path) or master.poll() is not None, "gunicorn listens", 60)
        assert master.poll() is None, log.read_text()
        yield master
    finally:
        if master.poll() is None:
            master.send_signal(signal.SIGTERM)
        assert master.wait(60) == 0, log.read_text()


@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_e7_workers_forked_after_the_store_was_used_work_and_share_no_connection(
    postgresql_ground: TestServer, sqlite_registry: RegistryHome, tmp_path: Path, kind: str
) -> None:
    lab = make_lab()
    with Stores(sqlite_registry.open(), apps=[lab]) as stores:
        stores.registry.put_service(postgresql_ground.service)
        stores.links.add("main", lab, "gages")
        assert stores.sync(lab, ["gages"])[0].ok
    path, log = tmp_path / "gunicorn.sock", tmp_path / "gunicorn.log"
    with gunicorn(kind, sqlite_registry.url, path, log) as master:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda number: ask(path, number), range(200)))
        assert {status for status, _ in answers} == {200}, log.read_text()
        said = [answer for _, answer in answers]
        check_nothing_is_shared(said, master.pid)
        alive = sessions(postgresql_ground)
        assert {said[0]["master"]["backend"]} < alive
        assert len(alive) <= 4 * 4 + 2
    assert max(answer["rows"] for answer in said) == 2 + 1 + 200
    until(lambda: sessions(postgresql_ground) == set(), "no session is left")
    assert "Traceback" not in log.read_text()


def check_nothing_is_shared(said: list[dict[str, Any]], master: int) -> None:
    """Each session of the server served one process, and the master's none of the workers."""
    first = said[0]["master"]
    assert first["worker"] == master
    workers: dict[int, set[int]] = {}
    for answer in said:
        workers.setdefault(answer["backend"], set()).add(answer["worker"])
    assert all(len(users) == 1 for users in workers.values())
    assert first["backend"] not in workers
    assert len({answer["worker"] for answer in said}) >= 2


def sessions(ground: TestServer) -> set[int]:
    """The server's processes that serve the store."""
    rows = ground.run_sql("postgres", "SELECT pid FROM pg_stat_activity WHERE datname = 'lab_gages'")
    return {pid for (pid,) in rows}
