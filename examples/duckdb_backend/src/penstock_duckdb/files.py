"""The files of stores: where they are, who has them open, how they come and go."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from penstock.errors import StorageUnavailable, StoreBusy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.backends import DatabaseAddress, Server

SUFFIX = ".duckdb"
_LOG = ".wal"
_PAUSE = 0.02


def directory_of(server: Server) -> Path:
    """The directory that a service stands for."""
    return Path(server.login.url.database or "")


def path_of(address: DatabaseAddress) -> Path:
    """The file of a store; a name with a dot in it is that of a file."""
    name = address.database if "." in address.database else address.database + SUFFIX
    return directory_of(address.server) / name


def is_there(path: Path) -> bool:
    """Whether the file exists; raises StorageUnavailable if its directory does not."""
    if not path.parent.is_dir():
        raise StorageUnavailable(
            f"The directory {path.parent} of this service does not exist.", hint=f"mkdir -p {path.parent}"
        )
    return path.exists()


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, which one made anew does not share; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def create(path: Path) -> bool:
    """Make a database; False if there is one. Nobody sees half of it, since it gets its name at the end."""
    if is_there(path):
        return False
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".new-") as folder:
            made = Path(folder, path.name)
            duckdb.connect(str(made)).close()
            os.link(made, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unavailable(path, error) from error
    return True


def remove(path: Path) -> None:
    """Remove a database that nobody uses."""
    _check_alone(path)
    _do(path, lambda: path.unlink(missing_ok=True))


def rename(path: Path, name: str) -> None:
    """Give a database that nobody uses another name."""
    _check_alone(path)
    _do(path, lambda: path.rename(path.with_name(name)))


def copy(path: Path, new: Path) -> bool:
    """Make a database as a copy of one that nobody uses; False if there is one of the new name."""
    if is_there(new):
        return False
    _check_alone(path)
    with TemporaryDirectory(dir=new.parent, prefix=".new-") as folder:
        made = Path(folder, new.name)
        _do(new, lambda: copyfile(path, made))
        try:
            os.link(made, new)
        except FileExistsError:
            return False
    return True


@contextmanager
def locked(path: Path, timeout: float, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock by a file beside the database; it stays there, so that nobody locks one that is gone."""
    is_there(path)
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    end = time.monotonic() + timeout
    with path.with_name(f".{path.name}.lock").open("a") as file:
        while not _took(file.fileno(), mode):
            if time.monotonic() >= end:
                raise StoreBusy(f"{path} is locked by others.", hint="Wait for them, then try again.")
            time.sleep(_PAUSE)
        yield  # The lock goes with the file.


def _took(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_alone(path: Path) -> None:
    """Raise StoreBusy if the file is open anywhere; and leave nothing in its log.

    DuckDB lets one process have a file. In that process it hands out the database that is open already, also
    if its file was removed since; but not to who asks for other settings, as is done here.
    """
    try:
        duckdb.connect(str(path), config={"custom_user_agent": "penstock alone"}).close()
    except (duckdb.ConnectionException, duckdb.IOException) as error:
        raise StoreBusy(
            f"{path} is open elsewhere.", why=said(error), hint="Close what uses it, then try again."
        ) from error
    path.with_name(path.name + _LOG).unlink(missing_ok=True)  # Empty by now, or not there.


def said(error: BaseException) -> str:
    """The first line of what DuckDB says."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _do(path: Path, work: Callable[[], object]) -> None:
    try:
        work()
    except OSError as error:
        raise _unavailable(path, error) from error


def _unavailable(path: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(
        f"{path} can't be used.", why=error.strerror or type(error).__name__, hint=f"ls -ld {path.parent}"
    )
