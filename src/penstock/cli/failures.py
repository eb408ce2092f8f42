"""How a command that failed ends: in words on stderr, or as JSON on stdout."""

from __future__ import annotations

import errno
import os
import re
import shlex
import traceback as tracebacks
from pathlib import Path

import click

from penstock.cli import output
from penstock.cli.frames import app_frames
from penstock.cli.hints import debug_wanted, json_wanted, typed
from penstock.errors import PenstockError, StorageUnavailable
from penstock.spelling import did_you_mean

_EXTRA_ARGUMENTS = re.compile(r"(unexpected extra arguments?) \(.*\)", re.DOTALL)
_NO_COMMAND = re.compile(r"No such command ['\"](.*?)['\"]\.", re.DOTALL)
_REFUSALS = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.ENAMETOOLONG
)  # fmt: skip
_COMMANDS = "reference/commands.html"


def say(error: BaseException) -> None:
    """Say what went wrong; with `--json` by a document with the key `error`, on stdout."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    elif json_wanted():
        if debug_wanted():
            output.traceback(error)
        output.document({"error": document_of(error)})
    elif isinstance(error, PenstockError):
        output.error(error)
    elif is_interrupt(error):
        output.interrupted()
    else:
        if debug_wanted():
            output.traceback(error)
        frames = [] if isinstance(error, click.ClickException) else app_frames(error)
        output.failure(document_of(error), frames)


def typed_error(error: BaseException) -> BaseException:
    """The error, or that a file can't be used: what only the file system refuses is nobody's bug."""
    if not isinstance(error, OSError) or error.errno not in _REFUSALS or error.filename is None:
        return error
    path = Path(os.fsdecode(error.filename)).absolute()
    there = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    found = StorageUnavailable(
        f"{path} can't be read or written.",
        why=error.strerror or "",
        hint=f"Change its owner or mode, or choose another directory: ls -ld {shlex.quote(str(there))}",
    )
    found.__cause__ = error
    return found


def document_of(error: BaseException) -> dict[str, str]:
    """An error for a JSON document."""
    if isinstance(error, PenstockError):
        return output.problem_row(error) or {}
    if is_interrupt(error):
        return _row("interrupted", "Stopped.")
    if isinstance(error, click.ClickException):
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        return _row("usage", _words_of(error), f"{path} --help" if path else "")
    frames = tracebacks.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    # Never the exception's words, which may hold anything.
    return _row(
        "bug",
        f"This is a bug: {type(error).__name__}{place}.",
        " ".join(["penstock --debug", *typed()[:1], "…"]),
    )


def is_interrupt(error: BaseException) -> bool:
    """Whether the user broke the command off."""
    return isinstance(error, KeyboardInterrupt | click.Abort | EOFError)


def _row(code: str, what: str, hint: str = "") -> dict[str, str]:
    return {"code": code, "what": output.clean(what), "why": "", "hint": hint, "docs": _COMMANDS}


def _words_of(problem: click.ClickException) -> str:
    """What is wrong with a command line, and what a misspelt command was meant to be."""
    text = _EXTRA_ARGUMENTS.sub(r"\1", problem.format_message())
    misspelt = _NO_COMMAND.match(text)
    if misspelt is None or not isinstance(problem, click.UsageError) or problem.ctx is None:
        return text
    group = problem.ctx.command
    known = group.list_commands(problem.ctx) if isinstance(group, click.Group) else []
    return f"{misspelt[0]} {did_you_mean(misspelt[1], known)}".rstrip()
