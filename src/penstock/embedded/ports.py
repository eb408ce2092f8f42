"""Chooses a free loopback port, and finds the process that holds a taken one."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from pathlib import Path

from penstock.embedded.status import HOST
from penstock.errors import EmbeddedError

# Below the range the kernel hands out to clients: a port from there may be gone at the next start.
FIRST, COUNT = 20_000, 10_000
LOWEST, HIGHEST = 1024, 65_535
LISTENING = "0A"  # TCP_LISTEN, as in the kernel's tables.


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
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        if sockets & _open_files(process):
            return f"{_name(process)} (pid {process.name})"
    return ""


def _listening(port: int) -> list[str]:
    """The inodes of the sockets that listen on a port, from Linux' tables."""
    rows: list[list[str]] = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows += [line.split() for line in table.read_text().splitlines()[1:]]
    return [row[9] for row in rows if row[3] == LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _open_files(process: Path) -> set[str]:
    try:
        return {_target(entry) for entry in (process / "fd").iterdir()}
    except OSError:
        return set()  # Somebody else's process, or one that just ended.


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""  # Closed in the meantime, as the one that lists this folder.


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a program"
