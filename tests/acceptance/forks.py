"""Forks a `penstock` for every command, from a process that has loaded it.

A command is a process of its own as any other, with its own folder, environment, input and output, but it
begins in milliseconds. Run as a program, with that of `penstock`, this is the process that is forked.
"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BESIDE = ("alembic.command", "rich.live", "rich.progress", "rich.table", "psycopg", "pymysql")
_ROOMS = ("backends", "cli", "provision", "registry")
_PATIENCE = 120
_LARGEST = 1_000_000


_SHORT = """#!{python} -ISs
import json, os, socket, sys
if "PYTHONPATH" in os.environ:
    os.execv({program!r}, ["penstock", *sys.argv[1:]])
order = {{"words": sys.argv[1:], "folder": os.getcwd(), "env": dict(os.environ)}}
with socket.socket(socket.AF_UNIX) as ask:
    ask.connect({address!r})
    socket.send_fds(ask, [json.dumps(order).encode()], [0, 1, 2])
    os._exit(int(ask.recv(16)) % 256)
"""
"""A program that has its command run by a fork: for shells."""


class Forks:
    """Runs commands by processes that are forked.

    Args:
        program: What is installed as `penstock`.
    """

    def __init__(self, program: Path) -> None:
        self._program = program
        self._folder = Path(mkdtemp(prefix="penstock-forks-"))
        self._folder.chmod(0o711)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen()
            self._server = subprocess.Popen(
                [sys.executable, "-P", __file__, program, str(listener.fileno())],
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
                pass_fds=[listener.fileno()],
            )

    @property
    def _address(self) -> str:
        return str(self._folder / "s")

    @property
    def programs(self) -> Path:
        """A folder with a `penstock` for shells, which begins sooner."""
        program = self._folder / "bin" / "penstock"
        if not program.exists():
            program.parent.mkdir()
            made = _SHORT.format(python=sys.executable, program=str(self._program), address=self._address)
            program.write_text(made, "utf-8")
            program.chmod(0o755)
        return program.parent

    def run(
        self, words: Sequence[str], folder: Path, env: Mapping[str, str], stdin: bytes
    ) -> tuple[int, bytes, bytes]:
        """Run a command; its exit code, and what it printed."""
        order = {"words": words, "folder": str(folder), "env": dict(env)}
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            with socket.socket(socket.AF_UNIX) as ask:
                ask.connect(self._address)
                files = [file.fileno() for file in (given, out, err)]
                socket.send_fds(ask, [json.dumps(order).encode()], files)
                code = int(ask.recv(16))
            out.seek(0)
            err.seek(0)
            return code, out.read(), err.read()

    def close(self) -> None:
        """End the process that is forked."""
        self._server.kill()
        self._server.wait()
        shutil.rmtree(self._folder)


# --- the process that is forked ------------------------------------------------------------------


def load() -> None:
    """Import what commands import."""
    for room in _ROOMS:
        for found in pkgutil.walk_packages(import_module(f"penstock.{room}").__path__, f"penstock.{room}."):
            import_module(found.name)
    for name in _BESIDE:
        import_module(name)


def await_order(listener: socket.socket) -> None:
    """Return in a new process for every order, which has become what the order says."""
    parent = os.getppid()
    listener.settimeout(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while os.getppid() == parent:
        try:
            asked, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            data, files, *_ = socket.recv_fds(asked, _LARGEST, 3)
            command = os.fork()
            if command == 0:
                asked.close()
                return _become(json.loads(data), files)
            _, status = os.waitpid(command, 0)
            asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
        asked.close()
    os._exit(0)


def _become(order: dict[str, Any], files: Sequence[int]) -> None:
    signal.alarm(_PATIENCE)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # Those of before take what they write to for what it was then: a file, a pipe or a terminal.
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv[1:] = order["words"]


def _command(program: str) -> int:
    """Be the program, but for the last of it: to take all that is loaded apart takes Python long."""
    code: Any = 1
    try:
        runpy.run_path(program, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code)


if __name__ == "__main__":
    load()
    program, number = sys.argv[1:]
    sys.argv = [program]
    sys.path.insert(0, str(Path(program).parent))
    await_order(socket.socket(fileno=int(number)))
    os._exit(_command(program))
