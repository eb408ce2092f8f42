"""Folders that can't be written, and programs that the modes of files bind."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fix_servers import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RIGHTS = "-dac_override,-dac_read_search"


def bound_by_modes(words: list[str]) -> list[str]:
    """The command line of a program that may not do what modes forbid; skips if there is no way."""
    if os.geteuid() != 0:
        return words
    if shutil.which("setpriv") is None:
        unavailable("setpriv takes root's rights away, and is not installed")
    return ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}", *words]


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    """A block in which nothing in a folder can be changed, by those who are bound by modes."""
    paths = [folder, *folder.rglob("*")]
    before = {path: path.stat().st_mode for path in paths}
    for path, mode in before.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in before.items():
            if path.exists():
                path.chmod(mode)


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """What is in a folder, and when each of it was changed."""
    return {str(path.relative_to(folder)): _change(path) for path in sorted(folder.rglob("*"))}


def _change(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
