"""Opens the file of a store that this user may read, but not write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.backends.sqlite.files import uri_of

if TYPE_CHECKING:
    from pathlib import Path

_HEADER, _VERSIONS, _WAL = 20, slice(18, 20), b"\2\2"
"""How a file says that it has a write-ahead log.

See https://sqlite.org/fileformat2.html, "File format version numbers".
"""


def usable_uri(path: Path) -> str:
    """The path as an SQLite URI: for reading and writing, or for what this user may do.

    A file with a write-ahead log is opened by making two files beside it. Where none can be made, and none is
    there, nobody is at work on the database, and it is read as it stands (https://sqlite.org/wal.html,
    "Read-Only Databases"); `state_of` tells when somebody is.
    """
    if _is_writable(path):
        return uri_of(path)
    still = "&immutable=1" if has_log_mode(path) and not _log_of(path) else ""
    return f"file:{quote(str(path))}?mode=ro{still}"


def state_of(path: Path) -> tuple[int, ...] | None:
    """What changes about a file that is only read when others write it; None for one that can be written."""
    if _is_writable(path):
        return None
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, _log_of(path)


def has_log_mode(path: Path) -> bool:
    """Whether the file says that it has a write-ahead log, whoever opens it and how."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER)[_VERSIONS] == _WAL
    except OSError:
        return False


def _is_writable(path: Path) -> bool:
    """Whether it can be written, or is not there, which is not told here."""
    return not os.path.exists(path) or (
        os.access(path, os.R_OK | os.W_OK) and (_log_of(path) or os.access(path.parent, os.W_OK))
    )


def _log_of(path: Path) -> bool:
    return os.path.exists(f"{path}-wal")
