"""What is wrong in a configuration file, on which line, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import Problem
from penstock.registry.locate import KeyPath, locate, shown, without_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping


class Wrong(Exception):
    """One thing wrong with the value of one key.

    Args:
        message: What is wrong, to be read after the key.
        hint: What to write instead.
        key: Where; while it is raised, relative to what is being read.
    """

    def __init__(self, message: str, hint: str, key: KeyPath = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.key = key


def problem_at(file: str, lines: Mapping[KeyPath, int], wrong: Wrong, line: int = 0) -> Problem:
    """What is wrong with a key of a file, given the lines of that file's keys, or the line itself."""
    return Problem(
        file=file,
        line=line or locate(lines, wrong.key),
        key=shown(wrong.key),
        message=without_addresses(wrong.message),
        hint=wrong.hint,
    )
