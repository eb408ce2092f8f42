"""Where the demo plays: a folder, commands, checks, and nothing left at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from penstock import Stores, use

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

_T = TypeVar("_T")

_PACKAGE = Path(__file__).parent
_FOREIGN = ("PENSTOCK_", "PG", "DATABASE_URL", "SERVICE_BINDING_ROOT", "VCAP_SERVICES")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Unexpected(Exception):
    """Something is not as the demo expects it."""


class Stopped(BaseException):
    """A signal asked the demo to end."""


class Endings:
    """Turns the signals that ask for an end into `Stopped`: at once, or after what can't be cut in two."""

    def __init__(self) -> None:
        self._holding = False
        self._waiting = ""

    def become_exceptions(self) -> None:
        """Begin; signals that are ignored, as by nohup, stay ignored."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._arrived)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal that arrives meanwhile is answered at the end of the block."""
        outer, self._holding = self._holding, True
        try:
            yield
        finally:
            self._holding = outer
        if self._waiting and not outer:
            raise Stopped(self._waiting)

    def are_ignored(self) -> None:
        """From now on nothing is answered: cleaning up is what an end would lead to."""
        self._holding = True

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        self._waiting = signal.Signals(number).name
        if not self._holding:
            raise Stopped(self._waiting)


endings = Endings()


class Stage:
    """A folder to play in, with the app's package in it as in any project; removed by `with`.

    Attributes:
        folder: The folder.
        seconds: How long each part took, in order.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-demo-")).resolve()
        (self.folder / _PACKAGE.name).symlink_to(_PACKAGE)
        self.seconds: dict[str, float] = {}
        self._server: Path | None = None

    # --- playing --------------------------------------------------------------------------------

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """A part of the demo, with a heading, timed."""
        say(f"\n\n{title}\n{'-' * len(title)}")
        begun = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - begun

    def penstock(self, *arguments: str) -> str:
        """Run a command of Penstock in the folder, show it and what it prints, and return that.

        Raises:
            Unexpected: It ends with an error.
        """
        say(f"\n$ penstock {' '.join(arguments)}")
        lines = []
        with _started(_command(*arguments), self.folder) as process:
            for line in process.stdout or ():
                lines.append(line)
                say(f"  {line}".rstrip())
        if process.returncode:
            raise Unexpected(f"penstock {' '.join(arguments)}: ended with exit code {process.returncode}")
        return "".join(lines)

    def remember_server(self) -> None:
        """Note where the server keeps its data: elsewhere, if root runs this and the server does not."""
        done = self._quietly("db", "status", "--json")
        if done.returncode == 0:
            self._server = Path(json.loads(done.stdout)["data"]).parent

    @contextmanager
    def app(self) -> Iterator[Stores]:
        """Let the app use the project in the folder, as it does in a process that is started there."""
        with Stores.from_config(self.folder / "penstock.toml") as stores, use(stores):
            yield stores

    # --- leaving --------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        endings.are_ignored()
        left = self._clean()
        if left:
            before = f" (after: {error})" if error else ""
            raise Unexpected(f"left behind: {', '.join(left)}{before}")

    def _clean(self) -> list[str]:
        """Stop the server if it still runs, delete the folder, and tell what is left all the same."""
        problems = self._remove_server()
        shutil.rmtree(self.folder, ignore_errors=True)
        places = {self.folder, self._server or self.folder}
        problems += [f"the folder {place}" for place in places if place.exists()]
        return problems + [f"the process {process}" for process in _processes_in(places)]

    def _remove_server(self) -> list[str]:
        if not (self.folder / ".penstock" / "postgres").exists():
            return []
        self.remember_server()
        done = self._quietly("db", "remove", "--yes", "--force")
        return [f"the server, since {done.stderr.strip()}"] if done.returncode else []

    def _quietly(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            _command(*arguments),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C on the terminal is not for it.
        )


def check(what: str, found: _T, expected: _T) -> None:
    """Say that something is as expected.

    Raises:
        Unexpected: It is not.
    """
    if found != expected:
        raise Unexpected(f"{what}: {expected!r} expected, {found!r} found")
    say(f"  ok  {what}")


def say(text: str = "") -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


# --- processes ------------------------------------------------------------------------------------


def forget_outer_configuration() -> None:
    """Let neither this process nor its children see the addresses of whoever runs it."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    if gages := os.environ.get("GAGES"):
        os.environ["GAGES"] = str(Path(gages).resolve())  # The commands run in another folder.


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "penstock", *arguments]


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, so that Ctrl-C reaches it through us, once; then its end."""
    process = None
    try:
        with endings.held():
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        yield process
        process.wait()
    except BaseException:
        if process is not None and process.poll() is None:
            _interrupt(process)
        raise
    finally:
        if process is not None and process.stdout is not None:
            process.stdout.close()


def _interrupt(process: subprocess.Popen[str]) -> None:
    """What Ctrl-C does to a command and to all that it runs; more, if that is not enough."""
    with endings.held(), suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _processes_in(places: Iterable[Path]) -> list[str]:
    """The processes that work in one of these folders, or name it in their command line."""
    names = [str(place) for place in places]
    shown = _linux_processes() if Path("/proc/self").exists() else _ps()
    return [line.strip() for line, where in shown if any(name in line or name in where for name in names)]


def _linux_processes() -> Iterator[tuple[str, str]]:
    """Every process: number and command line, working directory."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield f"{entry.name} {words}", _working_directory(entry)


def _working_directory(entry: Path) -> str:
    try:
        return str((entry / "cwd").readlink())
    except OSError:
        return ""  # Somebody else's, or it has just ended.


def _ps() -> Iterator[tuple[str, str]]:
    done = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    return ((line, "") for line in done.stdout.splitlines())
