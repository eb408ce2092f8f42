"""The scripts that an app wants to be run once it is installed."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

from penstock.errors import ConfigProblems, Problem
from penstock.install.commands import Command

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.install.fields import Item


def scripts(items: tuple[Item, ...], folder: Path) -> tuple[Command, ...]:
    """The commands that run the scripts of a folder: a `.py` by this Python, others by themselves.

    Args:
        items: The scripts, each with its arguments as in a shell.
        folder: What their paths are relative to, and where they are run.

    Raises:
        ConfigProblems: One is not there, or can't be executed.
    """
    commands, problems = [], []
    for item in items:
        try:
            path, *arguments = shlex.split(item.text)
        except ValueError:
            problems.append(_problem(item, "A quotation has no end.", "Close it."))
            continue
        program = (folder / path).absolute()
        problem = _wrong(item, program, path)
        problems += [] if problem is None else [problem]
        words = (sys.executable, str(program)) if program.suffix == ".py" else (str(program),)
        commands.append(Command(action="run script", words=(*words, *arguments), folder=folder))
    if problems:
        raise ConfigProblems(problems)
    return tuple(commands)


def _wrong(item: Item, program: Path, path: str) -> Problem | None:
    if not program.is_file():
        return _problem(item, f"There is no file {path!r}.", "Write its path relative to this file.")
    if program.suffix != ".py" and not os.access(program, os.X_OK):
        return _problem(item, f"{path!r} can't be executed.", f"chmod +x {shlex.quote(str(program))}")
    return None


def _problem(item: Item, message: str, hint: str) -> Problem:
    file, _, line = item.where.rpartition(":")
    return Problem(file=file, line=int(line), key="post", message=message, hint=hint)
