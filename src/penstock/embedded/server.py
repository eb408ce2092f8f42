"""Starts the server of a cluster, and says why if it does not start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.embedded import process
from penstock.embedded.account import Account, read_unfollowed
from penstock.embedded.data import check_version
from penstock.embedded.ports import is_free, require_free
from penstock.embedded.status import HOST, ServerState
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from penstock.embedded.binaries import Binaries
    from penstock.embedded.layout import ClusterPaths

LOG_LIMIT = 10_000_000
TAIL_LINES = 12


def look(paths: ClusterPaths) -> tuple[ServerState, int | None]:
    """What the server of a cluster does, and its postmaster's pid."""
    running = process.postmaster(paths.data)
    if running is None:
        return ServerState.STOPPED, None
    known = {"ready": ServerState.RUNNING, "stopping": ServerState.STOPPING}
    return known.get(running.status, ServerState.STARTING), running.pid


def start_server(
    paths: ClusterPaths, binaries: Binaries, account: Account, port: int, timeout: float
) -> None:
    """Start the server unless it runs, and wait until it accepts connections.

    Raises:
        EmbeddedError: It does not start: the port is taken, or the end of its log says why.
    """
    process.wait_until(lambda: look(paths)[0] is not ServerState.STOPPING, timeout)
    if process.postmaster(paths.data):
        _await_ready(paths, port, _log_size(paths), None, timeout)
        return
    check_version(paths.data, binaries)
    process.clear_stale(paths.data, timeout)
    require_free(port)
    seen = _turn_log(paths)
    pid = process.launch(account, binaries.program("postgres"), paths.data, paths.log, settings(port))
    _await_ready(paths, port, seen, pid, timeout)


def settings(port: int) -> dict[str, str]:
    """What the server is told on its command line, where no configuration file can undo it."""
    return {
        "port": str(port),
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
    }


def _await_ready(paths: ClusterPaths, port: int, seen: int, pid: int | None, timeout: float) -> None:
    def settled() -> bool:
        running = process.postmaster(paths.data)
        if running is None:
            # Before it has written its pid file, the process we launched is all there is to see.
            return pid is None or not process.is_alive(pid)
        return running.status == "ready"

    in_time = process.wait_until(settled, timeout)
    if look(paths)[0] is not ServerState.RUNNING:
        raise _not_started(paths, port, seen) if in_time else _not_ready(paths, seen, timeout)


def _not_started(paths: ClusterPaths, port: int, seen: int) -> EmbeddedError:
    if not is_free(port):
        require_free(port)
    return EmbeddedError(
        "The embedded PostgreSQL server did not start.",
        why=_tail(paths, seen),
        hint=f"the whole log is {paths.log}",
    )


def _not_ready(paths: ClusterPaths, seen: int, timeout: float) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded PostgreSQL server accepts no connections after {timeout:g} seconds.",
        why=_tail(paths, seen),
        hint="it may still be recovering from a crash: look again with `penstock db status`",
    )


def _turn_log(paths: ClusterPaths) -> int:
    """Set a log that has grown too long aside, and give the size of the one to come."""
    if _log_size(paths) > LOG_LIMIT:
        paths.log.replace(paths.log.with_suffix(".log.1"))
    return _log_size(paths)


def _log_size(paths: ClusterPaths) -> int:
    try:
        return paths.log.lstat().st_size
    except FileNotFoundError:
        return 0


def _tail(paths: ClusterPaths, seen: int) -> str:
    try:
        text = read_unfollowed(paths.log, max(seen, _log_size(paths) - 8192))
    except OSError as error:
        return f"its log can't be read: {error.strerror}"
    return "\n       ".join(text.splitlines()[-TAIL_LINES:]) or "its log says nothing"
