"""Starting the server of a place, and saying why when it does not start."""

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
    from penstock.embedded.places import Place

LOG_LIMIT = 10_000_000
TAIL_LINES = 12


def look(place: Place) -> tuple[ServerState, int | None]:
    """What the server of a place does, and its postmaster's pid."""
    running = process.postmaster(place.data)
    if running is None:
        return ServerState.STOPPED, None
    known = {"ready": ServerState.RUNNING, "stopping": ServerState.STOPPING}
    return known.get(running.status, ServerState.STARTING), running.pid


def start_server(place: Place, binaries: Binaries, account: Account, port: int, timeout: float) -> None:
    """Start the server unless it runs, and wait until it accepts connections.

    Raises:
        EmbeddedError: It does not start: the port is taken, or the end of its log says why.
    """
    process.wait_until(lambda: look(place)[0] is not ServerState.STOPPING, timeout)
    if process.postmaster(place.data):
        _await_ready(place, port, _log_size(place), None, timeout)
        return
    check_version(place.data, binaries)
    process.clear_stale(place.data, timeout)
    require_free(port)
    seen = _turn_log(place)
    pid = process.launch(account, binaries.program("postgres"), place.data, place.log, settings(port))
    _await_ready(place, port, seen, pid, timeout)


def settings(port: int) -> dict[str, str]:
    """What the server is told on its command line, where no configuration file can undo it."""
    return {
        "port": str(port),
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "password_encryption": "scram-sha-256",
    }


def _await_ready(place: Place, port: int, seen: int, pid: int | None, timeout: float) -> None:
    def settled() -> bool:
        running = process.postmaster(place.data)
        if running is None:
            # Before it has written its pid file, the process we launched is all there is to see.
            return pid is None or not process.is_alive(pid)
        return running.status == "ready"

    in_time = process.wait_until(settled, timeout)
    if look(place)[0] is not ServerState.RUNNING:
        raise _not_started(place, port, seen) if in_time else _not_ready(place, seen, timeout)


def _not_started(place: Place, port: int, seen: int) -> EmbeddedError:
    if not is_free(port):
        require_free(port)
    return EmbeddedError(
        "The embedded PostgreSQL server did not start.",
        why=_tail(place, seen),
        hint=f"the whole log is {place.log}",
    )


def _not_ready(place: Place, seen: int, timeout: float) -> EmbeddedError:
    return EmbeddedError(
        f"The embedded PostgreSQL server accepts no connections after {timeout:g} seconds.",
        why=_tail(place, seen),
        hint="it may still be recovering from a crash: look again with `penstock db status`",
    )


def _turn_log(place: Place) -> int:
    """Set a log that has grown too long aside, and give the size of the one to come."""
    if _log_size(place) > LOG_LIMIT:
        place.log.replace(place.log.with_suffix(".log.1"))
    return _log_size(place)


def _log_size(place: Place) -> int:
    try:
        return place.log.lstat().st_size
    except FileNotFoundError:
        return 0


def _tail(place: Place, seen: int) -> str:
    try:
        text = read_unfollowed(place.log, max(seen, _log_size(place) - 8192))
    except OSError as error:
        return f"its log can't be read: {error.strerror}"
    return "\n       ".join(text.splitlines()[-TAIL_LINES:]) or "its log says nothing"
