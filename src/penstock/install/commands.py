"""The programs that are run: pip, and the scripts of an app."""

from __future__ import annotations

import errno
import os
import re
import shlex
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import InstallFailed, MissingExtra
from penstock.install.legacy import modules_of_tethys
from penstock.registry import journalled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.registry import Registry

_CREDENTIALS = re.compile(r"(https?://)[^/@\s]+@")
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program that is to be run.

    Args:
        action: What it is for, as the journal has it.
        words: The program, and what it is told.
        folder: Where it is run; the working directory by default.
        stands_in: Whether it finds modules that stand for those of Tethys.

    >>> print(Command(action="install app", words=("pip", "install", "https://me:pw@example.org/a b")))
    pip install 'https://***@example.org/a b'
    """

    action: str
    words: tuple[str, ...]
    folder: Path | None = None
    stands_in: bool = False

    def __str__(self) -> str:
        return shlex.join(_CREDENTIALS.sub(r"\1***@", word) for word in self.words)


def pip(action: str, *words: str) -> Command:
    """A command of the pip that belongs to this Python."""
    return Command(action=action, words=(sys.executable, "-m", "pip", *words))


def as_path(path: Path) -> str:
    """A path that pip does not take for the name of a distribution.

    >>> as_path(Path("lab")), as_path(Path("../lab")), as_path(Path("."))
    ('./lab', '../lab', '.')
    """
    is_clear = path.is_absolute() or path.parts[:1] in ((), ("..",))
    return str(path) if is_clear else os.path.join(".", path)


def need_pip() -> None:
    """Raise MissingExtra if this Python has no pip."""
    if find_spec("pip") is None:
        raise MissingExtra(
            "This Python has no pip.", why=f"It is {sys.executable}.", hint="python -m ensurepip --upgrade"
        )


def carry_out(command: Command, app: str, registry: Registry) -> None:
    """Run a program to its end, and write that down; what it prints goes where our words go.

    Args:
        command: The program.
        app: The app it is run for.
        registry: Keeps the journal.

    Raises:
        InstallFailed: It could not be run, or ended with an exit code other than 0.
    """
    with journalled(registry, command.action, app, {"command": str(command)}):
        try:
            with modules_of_tethys() if command.stands_in else nullcontext() as environment:
                code = _exit_code(command.words, command.folder, environment)
        except OSError as error:
            raise _failed(command, error.strerror or type(error).__name__) from error
        if code:
            raise _failed(command, f"It was ended by signal {-code}." if code < 0 else f"Exit code {code}.")


def _exit_code(words: Sequence[str], folder: Path | None, environment: Mapping[str, str] | None) -> int:
    try:
        return subprocess.run(words, cwd=folder, env=environment, check=False).returncode
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # As a shell does with a file that is no program and does not name one in its first line.
    return subprocess.run((_SHELL, *words), cwd=folder, env=environment, check=False).returncode


def _failed(command: Command, why: str) -> InstallFailed:
    return InstallFailed(f"This failed: {command}", why=why, hint="Read what it said above.")
