"""What a cluster tells about itself: its state, its address, its two roles."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
OWNER = "penstock"
ADMINISTRATOR = "penstock_admin"


class ServerState(enum.StrEnum):
    """What the server of a cluster is doing."""

    NOT_CONFIGURED = "not configured"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One look at the server of a cluster.

    Attributes:
        state: What the server does now.
        host: The address it listens on; always the loopback.
        port: The port chosen for it, None before `configure`.
        pid: The process id of its postmaster while there is one.
        version: The version of its binaries, such as "18.6"; empty before `configure`.
        data: The data directory.
        log: The server's log file.
        binaries: The directory of the binaries it runs from, None before `configure`.
    """

    state: ServerState
    host: str = HOST
    port: int | None
    pid: int | None
    version: str
    data: Path
    log: Path
    binaries: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How to log in: the address, the two roles, and the files that hold their passwords.

    Attributes:
        owner: The role for everyday use: makes databases and roles, is not a superuser.
        administrator: The superuser made with the cluster.
    """

    host: str = HOST
    port: int
    owner: str = OWNER
    owner_password_file: Path
    administrator: str = ADMINISTRATOR
    administrator_password_file: Path
