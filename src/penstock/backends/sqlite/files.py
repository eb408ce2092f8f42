"""The files of a SQLite store: where they are, how they are made and removed."""

from __future__ import annotations

import fcntl
import gc
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from penstock.backends.sqlite import library
from penstock.errors import StorageUnavailable, StoreBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.backends.address import DatabaseAddress, Server

BUSY_TIMEOUT = 30.0
"""Seconds to wait for another writer."""

_ALONE_TIMEOUT = 1.0
_PAUSE = 0.02
_SUFFIX = ".sqlite"
_SIDE_FILES = ("-wal", "-shm", "-journal")


def directory_of(server: Server) -> Path:
    """The directory that a SQLite service stands for."""
    return Path(server.login.url.database or "")


def path_of(address: DatabaseAddress) -> Path:
    """The file of a store; a name with a dot or a slash in it is taken as it is."""
    verbatim = "." in address.database or "/" in address.database
    return directory_of(address.server) / (address.database if verbatim else address.database + _SUFFIX)


def uri_of(path: Path) -> str:
    """The path as an SQLite URI that opens a file for reading and writing but never makes one."""
    return f"file:{quote(str(path))}?mode=rw"


def is_there(path: Path) -> bool:
    """Whether the file exists; raises StorageUnavailable unless its directory can be looked into."""
    check_reachable(path.parent)
    return os.path.exists(path)


def identity_of(path: Path | str) -> tuple[int, int] | None:
    """Device and inode of the file, which a file made anew does not share; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def check_reachable(directory: Path) -> None:
    """Raise StorageUnavailable unless files in the directory can be used."""
    _check_access(directory, os.X_OK, "entered")


def check_directory(directory: Path) -> None:
    """Raise StorageUnavailable unless files can be made in the directory."""
    _check_access(directory, os.W_OK | os.X_OK, "written to")


def _check_access(directory: Path, mode: int, what: str) -> None:
    if not os.path.exists(directory):
        raise StorageUnavailable(
            f"The directory {directory} of this service does not exist.", hint=f"mkdir -p {directory}"
        )
    if not os.path.isdir(directory):
        raise StorageUnavailable(f"{directory} is not a directory.", hint="Name a directory.")
    if not os.access(directory, mode):
        raise StorageUnavailable(
            f"The directory {directory} can't be {what}.",
            why="This user has no permission to do that.",
            hint=f"Change its owner or mode, or use another directory: ls -ld {directory}",
        )


def check_file(path: Path, mode: int = os.R_OK | os.W_OK) -> None:
    """Raise StorageUnavailable for a file that may not be read, or written."""
    if os.path.isfile(path) and not os.access(path, mode):
        verb, participle = ("write", "written") if mode & os.W_OK else ("read", "read")
        raise StorageUnavailable(
            f"{path} can't be {participle}.",
            why=f"This user has no permission to {verb} it.",
            hint=f"Change its owner or mode: ls -l {path}",
        )


def create_file(path: Path) -> bool:
    """Make the empty file; False if it is there already."""
    check_directory(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    except FileExistsError:
        return False
    except OSError as error:
        raise storage_error(error, path) from error
    return True


def set_journal_mode(path: Path, *, spatial: bool = False) -> None:
    """Turn the write-ahead log on; it is a property of the file and stays on.

    SQLite does not wait for the readers of a file whose mode is changed, so the waiting is done here.
    """
    end = time.monotonic() + BUSY_TIMEOUT
    with closing(library.connect(uri_of(path), spatial=spatial, uri=True)) as connection:
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL").fetchone()
                return
            except library.errors() as error:
                if not _is_busy(error) or time.monotonic() > end:
                    raise
            time.sleep(_PAUSE)


def remove_database(path: Path, *, spatial: bool = False) -> None:
    """Remove a store's file and all that stands beside it, or empty it while others have it open.

    The file of a database in use must not be unlinked: whoever has it open deletes the `-wal` file
    by its name when he closes, and by then that may be the one of a new database at this path.
    Leaving write-ahead mode succeeds only for the last one who has the file open
    (https://sqlite.org/wal.html, "Activating and Configuring WAL Mode"; https://sqlite.org/howtocorrupt.html,
    "Unlinking or renaming a database file while in use").

    Raises:
        Error: Of the library: it is locked for writing by others, or can't be written.
        StorageUnavailable: The files can't be removed.
    """
    _take_away(path, lambda: _unlink(path), lambda: None, spatial=spatial)


def move_database(path: Path, to: Path, *, spatial: bool = False) -> None:
    """Move a store's file, or its content while others have it open; see `remove_database`.

    Raises:
        Error: Of the library: it is locked for writing by others, or can't be written.
        StorageUnavailable: The file can't be moved.
    """
    library_of = library.library(spatial=spatial)
    _take_away(path, lambda: rename(path, to), lambda: copy(path, to, library_of), spatial=spatial)


def _take_away(path: Path, alone: Callable[[], None], in_use: Callable[[], None], *, spatial: bool) -> None:
    """Do one thing if nobody else has the file open; else another one, with no writer, and empty the file."""
    with closing(_connected(path, spatial=spatial)) as connection:
        connection.isolation_level = None
        if _is_alone(connection) or (_forgotten_closed() and _is_alone(connection)):
            connection.execute("BEGIN EXCLUSIVE")
            alone()
            return
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT * 1000:.0f}")
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("BEGIN IMMEDIATE")
        in_use()
        _empty(connection)
        connection.execute("COMMIT")


def rename(path: Path, to: Path) -> None:
    """Give a file another name in its directory; raises StorageUnavailable."""
    try:
        os.rename(path, to)
        _keep_names(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error


def copy(path: Path, to: Path, lib: Any) -> None:
    """Copy the whole database into a file that appears when it is complete.

    It is read by a connection of its own: one that writes can't be a backup's source
    (https://sqlite.org/c3ref/backup_finish.html).
    """
    draft = _draft_of(to)
    _unlink(draft)
    with closing(lib.connect(uri_of(path), uri=True)) as source, closing(lib.connect(str(draft))) as drawn:
        source.backup(drawn)
        drawn.execute("PRAGMA journal_mode=DELETE")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    rename(draft, to)


def has_draft(path: Path) -> bool:
    """Whether a copy was begun that was to have this name."""
    return is_there(_draft_of(path))


def remove_draft(path: Path) -> None:
    """Remove it, since nobody is at work on it any more."""
    _unlink(_draft_of(path))


def _draft_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.draft")


def _keep_names(directory: Path) -> None:
    """Let new names survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connected(path: Path, *, spatial: bool) -> Any:
    return library.connect(uri_of(path), spatial=spatial, uri=True, timeout=_ALONE_TIMEOUT)


def _is_alone(connection: Any) -> bool:
    """Whether nobody else has the database open; then it no longer has a write-ahead log."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except library.errors() as error:
        if not _is_busy(error):
            raise
        return False
    return str(mode) == "delete"


def _forgotten_closed() -> bool:
    """Close what this process has open for sessions that are garbage, and not collected yet."""
    gc.collect()
    return True


def _is_busy(error: Exception) -> bool:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _empty(connection: Any) -> None:
    """Drop everything in the database, in the transaction that has begun."""
    made = "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'table') ORDER BY type DESC"
    for kind, name in connection.execute(made).fetchall():
        if not name.startswith("sqlite_"):
            quoted = name.replace('"', '""')
            connection.execute(f'DROP {kind} IF EXISTS "{quoted}"')


def _unlink(path: Path) -> None:
    try:
        for file in (path, *(path.with_name(path.name + side) for side in _SIDE_FILES)):
            file.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, path) from error


def lock_path(path: Path) -> Path:
    """The file beside a store that stands for its lock."""
    return path.with_name(path.name + ".lock")


@contextmanager
def file_lock(path: Path, timeout: float) -> Iterator[None]:
    """Hold the operating system's lock beside a store's file."""
    check_directory(path.parent)
    check_file(path)
    lock = FileLock(lock_path(path), timeout=timeout)
    try:
        lock.acquire()
    except Timeout:
        raise StoreBusy(
            f"{path} is locked by another process for more than {timeout:g} s.",
            hint="Wait for the other sync to end, then run the command again.",
        ) from None
    except OSError as error:
        raise storage_error(error, path) from error
    try:
        yield
    finally:
        lock.release()


def names_in(directory: Path, prefix: str) -> list[str]:
    """The stores in a directory whose names begin so."""
    return sorted(path.stem for path in directory.glob(f"{prefix}*{_SUFFIX}"))


@contextmanager
def named_lock(path: Path, *, shared: bool, timeout: float) -> Iterator[None]:
    """Hold the operating system's lock of a file, alone or with others who share it.

    The file stays: if it were removed, others could have the lock of the one that is gone.
    """
    check_directory(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, path, timeout)
        yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int, path: Path, timeout: float) -> None:
    end = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise StoreBusy(f"Another process has the lock {path}.") from None
        time.sleep(_PAUSE)


def storage_error(error: OSError, path: Path) -> StorageUnavailable:
    """The operating system's refusal, in its own words."""
    return StorageUnavailable(
        f"{path} can't be written.",
        why=error.strerror or type(error).__name__,
        hint=f"Look at the directory and the disk: ls -ld {path.parent}; df -h {path.parent}",
    )
