"""One postmaster process: starts it, signals it, waits for its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.embedded.account import ENVIRONMENT, Account, read_unfollowed, run
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What the system says of a process."""

    dead: bool
    uid: int
    command: str


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


def look_at(pid: int) -> Process | None:
    """A process as the system sees it now, or None when there is none."""
    return _look_in_proc(pid) if Path("/proc/self/status").exists() else _ask_ps(pid)


def _look_in_proc(pid: int) -> Process | None:
    folder = Path("/proc", str(pid))
    try:
        lines = (folder / "status").read_text("utf-8", "replace").splitlines()
        command = (folder / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    entries = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    words = os.fsdecode(command).rstrip("\0").split("\0")
    return Process(dead=entries["State"][0] in "ZX", uid=int(entries["Uid"][1]), command=" ".join(words))


def _ask_ps(pid: int) -> Process | None:
    args = ["ps", "-ww", "-o", "stat=,uid=,args=", "-p", str(pid)]
    done = subprocess.run(args, env=ENVIRONMENT, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return None
    state, uid, command = done.stdout.split(maxsplit=2)
    return Process(dead=state.startswith("Z"), uid=int(uid), command=command.strip())


def postmaster(data: Path) -> PidFile | None:
    """The server that runs on this data directory, or None: a pid file alone proves nothing."""
    found = read_pid_file(data)
    return found if found and serves(found.pid, data) else None


def serves(pid: int, data: Path) -> bool:
    """Whether this process is the postmaster of this data directory.

    It is not when it is a zombie, runs as somebody else than the data's owner, or was started as
    anything else than `postgres -D <data> …`: then the pid was given to another program.
    """
    found = look_at(pid)
    if found is None or found.dead or found.uid != data.stat().st_uid:
        return False
    program, _, rest = found.command.partition(" -D ")
    return Path(program).name == "postgres" and rest.startswith(f"{data} -c ")


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
    found = look_at(pid)
    return found is not None and not found.dead


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
    with _sender(found.pid) as send:
        # Checked after the process is held, so the pid can't change hands in between.
        if not serves(found.pid, data):
            return False
        send(number)
        return True


@contextmanager
def _sender(pid: int) -> Iterator[Callable[[signal.Signals], None]]:
    if sys.platform != "linux":
        yield lambda number: os.kill(pid, number)
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield lambda number: None
        return
    try:
        yield lambda number: signal.pidfd_send_signal(handle, number)
    finally:
        os.close(handle)


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
    """The pids of the processes that work in a data directory, for people to read; Linux only."""
    found = [folder.parent.name for folder in Path("/proc").glob("[0-9]*/cwd") if _leads_to(folder, data)]
    return ", ".join(found) or "none"


def _leads_to(link: Path, target: Path) -> bool:
    try:
        return link.readlink() == target
    except OSError:
        return False  # Not ours to look at, or gone.
