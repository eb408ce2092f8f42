"""One postmaster process: starts it, signals it, waits for its end."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from penstock.embedded.account import Account, read_unfollowed, run
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE = 0.02
# The shell runs as the server's account, so it is that account that opens the log; and as the server
# is not our child, it neither ends with us nor stays behind as our zombie.
LAUNCHER = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """What a server writes into `postmaster.pid`.

    Attributes:
        status: "starting", "ready", "standby" or "stopping"; empty while it is not written yet.
        memory: The id of its shared memory segment, which orphaned backends stay attached to.
    """

    pid: int
    status: str
    memory: int | None


def read_pid_file(data: Path) -> PidFile | None:
    """The pid file of a data directory, or None when there is none that makes sense."""
    try:
        lines = read_unfollowed(data / "postmaster.pid").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    lines += [""] * (8 - len(lines))
    if not lines[0].strip().isdigit():
        return None
    _, _, identifier = lines[6].strip().rpartition(" ")
    segment = int(identifier) if identifier.isdigit() else None
    return PidFile(pid=int(lines[0]), status=lines[7].strip(), memory=segment)


def postmaster(data: Path) -> PidFile | None:
    """The server that runs on this data directory, or None: a pid file alone proves nothing."""
    found = read_pid_file(data)
    return found if found and serves(found.pid, data) else None


def serves(pid: int, data: Path) -> bool:
    """Whether this process is the postmaster of this data directory.

    It is not when it is a zombie, runs as somebody else than the data's owner, or was started as
    anything else than `postgres -D <data> …`: then the pid was given to another program.
    """
    try:
        found = psutil.Process(pid)
        owner, command = found.uids().effective, " ".join(found.cmdline())
    except psutil.Error:
        return False
    program, _, rest = command.partition(" -D ")
    return owner == data.stat().st_uid and Path(program).name == "postgres" and rest.startswith(f"{data} -c ")


def launch(account: Account, program: Path, data: Path, log: Path, settings: dict[str, str]) -> int:
    """Start a server that outlives this process, and give its pid."""
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    args = ["/bin/sh", "-c", LAUNCHER, "sh", str(log), str(program), "-D", str(data), *options]
    done = run(account, args, timeout=30)
    if not done.stdout.strip().isdigit():
        raise EmbeddedError("The PostgreSQL server can't be started.", why=done.stderr.strip())
    return int(done.stdout)


def is_alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def wait_until(done: Callable[[], bool], timeout: float) -> bool:
    """Ask again and again until the answer is yes; False after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(PAUSE)
    return True


def signal_postmaster(data: Path, number: signal.Signals) -> bool:
    """Signal the server of this data directory, and nothing else.

    Returns:
        Whether there was one.
    """
    found = read_pid_file(data)
    if found is None:
        return False
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(found.pid)  # It is not signalled if the pid changes hands from here on.
        if serves(found.pid, data):
            process.send_signal(number)
            return True
    return False


def end(data: Path, timeout: float) -> None:
    """Stop the server: by a fast shutdown, then an immediate one, then SIGKILL.

    Raises:
        EmbeddedError: It is still there after all of that.
    """
    brief = max(1.0, min(timeout, 5.0))
    for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, brief), (signal.SIGKILL, 5.0)):
        if not signal_postmaster(data, number) or wait_until(lambda: postmaster(data) is None, patience):
            return
    raise EmbeddedError(f"The server on {data} does not stop.", why="it survived SIGKILL for 5 seconds")


def clear_stale(data: Path, timeout: float) -> None:
    """After a crash, wait for orphaned backends to end, then forget the dead server's pid file.

    Raises:
        EmbeddedError: Something still uses the data directory after `timeout` seconds.
    """
    stale = read_pid_file(data)
    if stale is None:
        return
    if not wait_until(lambda: attached(stale.memory) == 0, timeout):
        raise EmbeddedError(
            f"Processes of a server that ended still use {data}.",
            why=f"{attached(stale.memory)} of them hold its shared memory; pids seen: {orphans(data)}",
            hint="wait for their queries to end, or end them, and try again",
        )
    (data / "postmaster.pid").unlink(missing_ok=True)


def attached(memory: int | None) -> int:
    """How many processes hold this shared memory segment, from Linux' table; 0 elsewhere."""
    table = Path("/proc/sysvipc/shm")
    if memory is None or not table.exists():
        return 0
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    return next((int(row[6]) for row in rows if int(row[1]) == memory), 0)


def orphans(data: Path) -> str:
    """The pids of the processes that work in a data directory, for people to read."""
    found = [str(one.pid) for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(data)]
    return ", ".join(found) or "none"
