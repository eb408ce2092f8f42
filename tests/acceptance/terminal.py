"""Runs the command `penstock` as a person does: in a pipe, or on a terminal."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acceptance.forks import Forks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PENSTOCK = _USUAL = Path(sys.executable).with_name("penstock")

LAB = """
from penstock import App, Connection, Database
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Gage(Base):
    __tablename__ = "gage"
    number: Mapped[str] = mapped_column(String(60), primary_key=True)

def seed(session, first_time):
    if first_time:
        session.add_all([Gage(number="1"), Gage(number="2")])

def seed_table(connection, first_time):
    Base.metadata.create_all(connection)

class Lab(App):
    package = "lab"
    gages = Database("Every gage.", metadata=Base.metadata, initializer=seed)
    basins = Database("One store per basin.", metadata=Base.metadata, many=True, required=False)
    servers = Connection("Where new stores are made.", required=False)
"""
"""An app with a store, a kind and a connection."""

ONE = """
from penstock import App, Database

class One(App):
    package = "one"
    only = Database("The only store.")
"""
"""An app with one store."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str = ""

    @property
    def all(self) -> str:
        """All that it printed."""
        return self.out + self.err


@dataclass
class Terminal:
    """A working directory and an environment in which commands are run.

    Args:
        folder: The working directory.
        env: Variables beside the few that every command gets.
        forked: Whether commands are forked, which takes less time, or executed; on a terminal they are
            always executed.
    """

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    forked: bool = True
    printed: list[str] = field(default_factory=list)

    def __call__(self, *words: object, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Done:
        """Run `penstock`, with files as its input and output."""
        environment = self._environment(env)
        usual = PENSTOCK == _USUAL and "PYTHONPATH" not in environment
        run = forks().run if self.forked and usual else _executed
        code, out, err = run([*map(str, words)], self.folder, environment, stdin)
        self.printed.append((out + err).decode())
        check_hints(self.printed[-1], words)
        return Done(code, out.decode(), err.decode())

    def ok(self, *words: object, **options: Any) -> str:
        """Run it, and expect that all is well; what it says on stdout."""
        done = self(*words, **options)
        assert done.code == 0, f"penstock {' '.join(map(str, words))}\n{done.out}\n{done.err}"
        assert "Traceback" not in done.all
        return done.out

    def json(self, *words: object, **options: Any) -> Any:
        """Run it with --json; the document it prints, whatever the exit code."""
        return json.loads(self(*words, "--json", **options).out)

    def typed(
        self,
        *words: object,
        answers: Sequence[tuple[str, str]] = (),
        width: int = 120,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run it on a terminal; each answer is typed once its question has appeared."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        process = subprocess.Popen(
            [PENSTOCK, *map(str, words)],
            cwd=self.folder,
            env=self._environment({"TERM": "xterm-256color", **(env or {})}),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  (one system call, safe after fork)
        )
        os.close(theirs)
        try:
            shown = _converse(ours, list(answers))
            code = process.wait(60)
        finally:
            process.kill()
            os.close(ours)
        self.printed.append(shown)
        return Done(code, shown.replace("\r\n", "\n"))

    def app(self, name: str, text: str) -> None:
        """Put an app into the working directory."""
        package = self.folder / name
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / "app.py").write_text(text)

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.startswith("COV")}
        always = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        always["SSL_CERT_FILE"] = os.environ["SSL_CERT_FILE"]
        return {**kept, **always, **self.env, **(more or {})}


def check_hints(printed: str, words: Sequence[object]) -> None:
    """No hint tells to do once more what was just done."""
    typed = [str(word) for word in words]
    for told in re.findall(r"try: .*?penstock ([a-z][^,;()\n]*)", printed):
        there = told.split()
        first = 2 if there[0] in ("apps", "db", "secrets", "services", "settings", "stores") else 1
        options = {word for word in there[first:] if word.startswith("-")} - {"-d"}
        again = there[:first] == typed[:first] and options <= set(typed)
        assert not again, f"penstock {' '.join(typed)}\nsays: {told}"


@cache
def forks() -> Forks:
    """Those of this test process."""
    made = Forks(_USUAL)
    atexit.register(made.close)
    return made


def _executed(
    words: Sequence[str], folder: Path, env: Mapping[str, str], stdin: bytes
) -> tuple[int, bytes, bytes]:
    """Run `penstock` as a shell does; its exit code, and what it printed."""
    done = subprocess.run(
        [PENSTOCK, *words], cwd=folder, env=env, input=stdin, capture_output=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def on_a_terminal(words: Sequence[str], typed: str, folder: Path, env: Mapping[str, str]) -> str:
    """Run a shell on a terminal, where this is typed ahead; all that is shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,  # noqa: PLW1509  (one system call, safe after fork)
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    try:
        return _converse(ours, []).replace("\r", "\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _take_terminal() -> None:
    """Make the terminal the one that Ctrl-C and password prompts belong to."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _converse(ours: int, answers: list[tuple[str, str]], seconds: float = 60) -> str:
    """All that is shown, until the other side is closed."""
    shown, seen, end = b"", 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if not select.select([ours], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux says EIO where others give an end of file.
            break
        if not data:
            break
        shown += data
        if answers and (at := shown.find(answers[0][0].encode(), seen)) >= 0:
            seen = at + len(answers[0][0].encode())
            time.sleep(0.2)  # The terminal's echo is turned off after the question is shown.
            os.write(ours, answers.pop(0)[1].encode() + b"\n")
    return shown.decode(errors="replace")
