"""Chooses a free loopback port, and finds the process that holds a taken one."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from contextlib import suppress
from pathlib import Path

import psutil

from penstock.embedded.status import HOST
from penstock.errors import EmbeddedError

# Below the range the kernel hands out to clients: a port from there may be gone at the next start.
FIRST, COUNT = 20_000, 10_000
LOWEST, HIGHEST = 1024, 65_535


def choose_port(home: Path) -> int:
    """A free port; another home starts its search elsewhere, so two stopped clusters rarely share one."""
    digest = hashlib.sha256(os.fsencode(home)).digest()
    start = int.from_bytes(digest[:4], "big")
    for step in range(COUNT):
        port = FIRST + (start + step) % COUNT
        if is_free(port):
            return port
    raise EmbeddedError(f"No port from {FIRST} to {FIRST + COUNT - 1} is free on {HOST}.")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def check_port(port: int) -> None:
    """Refuse a port no unprivileged server can have.

    Raises:
        EmbeddedError: It is not from 1024 to 65535.
    """
    if not LOWEST <= port <= HIGHEST:
        raise EmbeddedError(
            f"Port {port} can't be used for the embedded server.",
            why="the server runs without privileges, so its port is from 1024 to 65535",
            hint="penstock db configure --port 20000",
        )


def require_free(port: int) -> None:
    """Refuse a port something else listens on.

    Raises:
        EmbeddedError: Names the port and, where it can be found, the process that has it.
    """
    if not is_free(port):
        other = choose_port(Path.cwd())
        raise EmbeddedError(
            f"Port {port} on {HOST} is taken by {holder(port) or 'another program'}.",
            hint=f"end that program, or choose another port: penstock db configure --port {other}",
        )


def holder(port: int) -> str:
    """The program that listens on the port, as "name (pid 123)"; empty when it can't be found."""
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.Error):  # Somebody else's process, or one that just ended.
            for line in process.net_connections("tcp"):
                if line.status == psutil.CONN_LISTEN and line.laddr.port == port:
                    return f"{process.info['name']} (pid {process.pid})"
    return ""
