"""Parses the bytes of a TOML document; an error names its line."""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

from penstock.errors import ConfigProblems, Problem
from penstock.registry.locate import KeyPath, lines_of, without_addresses

_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parsed(data: bytes, label: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The document in a file, and the line of each of its keys.

    Args:
        data: The file's bytes; a byte order mark is allowed.
        label: What messages call the file.

    Raises:
        ConfigProblems: It is not UTF-8, or not TOML.

    >>> parsed(b"[links]", "penstock.toml")
    ({'links': {}}, {('links',): 1})
    """
    text = decoded(data, label)
    try:
        return tomllib.loads(text), lines_of(text)
    except RecursionError:
        problem = problem_in(label, 1, "Too many brackets inside each other.", "Use headers.")
    except ValueError as error:
        reason, line = _syntax(str(error), text)
        problem = problem_in(label, line, f"This is not TOML: {reason}.", "Correct the line; see toml.io")
    raise ConfigProblems([problem])


def label_of(path: Path) -> str:
    """A path as people see it: from the working directory if it is below that, else as given."""
    with suppress(OSError, ValueError):
        path = path.absolute().relative_to(Path.cwd())
    return os.fsencode(path).decode(errors="replace")


def decoded(data: bytes, label: str) -> str:
    """The text of a file, without a byte order mark; raises ConfigProblems if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
    raise ConfigProblems([problem_in(label, line, "This line is not UTF-8.", "Save the file as UTF-8.")])


def _syntax(said: str, text: str) -> tuple[str, int]:
    """What tomllib complains of, and the line."""
    place = _PLACE.search(said)
    if place is None:
        return "a value can't be read", 1
    reason = without_addresses(said[: place.start()])
    if place[1]:
        return f"{reason} (column {place[2]})", int(place[1])
    return f"{reason} (end of file)", text.rstrip("\n").count("\n") + 1


def problem_in(file: str, line: int, message: str, hint: str) -> Problem:
    """What is wrong with a line of a file, whatever its key."""
    return Problem(file=file, line=line, key="", message=message, hint=hint)
