"""Reads a file that decides what is run only if nobody else could have written it."""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from penstock.errors import ConfigError, ConfigNotFound, ConfigUnsafe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 1_000_000
"""Bytes a configuration file may have."""


def read_trusted(path: Path) -> bytes:
    """The bytes of a configuration file that belongs to this user or root, and that not everybody may change.

    Raises:
        ConfigNotFound: There is no such file.
        ConfigUnsafe: Somebody else may have written it.
        ConfigError: It is no file, too large, or this user may not read it.
    """
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _not_found(path) from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a directory.", hint="Name the file in it.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} can't be read.",
            why=getattr(error, "strerror", None) or str(error),
            hint=f"Look at who may read it: ls -l {_quoted(path)}",
        ) from error


def _not_found(path: Path) -> ConfigNotFound:
    """The error of a file that is not there, or that a symbolic link only promises."""
    if path.is_symlink():
        return ConfigNotFound(
            f"{path} is a symbolic link to nothing.",
            why=f"{path.readlink()} does not exist.",
            hint=f"Make that file, or remove the link: rm {_quoted(path)}",
        )
    return ConfigNotFound(
        f"There is no file {path}.", hint="Make it, or name another one: PENSTOCK_CONFIG=FILE"
    )


@contextmanager
def open_trusted(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file that belongs to this user or root, and that not everybody may change or exchange.

    Raises:
        ConfigUnsafe: Somebody else may have written it.
        ConfigError: It is something else than a file.
        OSError: It is not there, or this user may not read it.
    """
    with open(path, "rb", opener=without_waiting) as file:
        # Opened first, then looked at, so that nobody can exchange it in between.
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ConfigError(f"{path} is not a plain file.", hint="Name a plain file.")
        _check_owner(path, facts)
        _check_mode(path, facts)
        _check_owner(path, path.lstat())
        for folder in dict.fromkeys((*path.parents, *path.resolve().parents)):
            _check_folder(folder)
        yield file


def without_waiting(path: str, flags: int) -> int:
    """An opener that returns at once, also from a named pipe that has no other end."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read(path: Path) -> bytes:
    with open_trusted(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ConfigError(
            f"{path} has more than {LARGEST} bytes.", hint="Name a file with services and links."
        )
    return data


def _check_owner(path: Path, facts: os.stat_result) -> None:
    user = os.geteuid()
    if facts.st_uid not in (user, 0):
        raise ConfigUnsafe(
            f"{path} belongs to another user, so it is not trusted.",
            why=f"Its owner is user {facts.st_uid}, this process runs as user {user}.",
            hint=f"Read it; if it is yours: sudo chown {user} {_quoted(path)}",
        )


def _check_mode(path: Path, facts: os.stat_result) -> None:
    if facts.st_mode & stat.S_IWOTH:
        raise ConfigUnsafe(
            f"{path} can be changed by every user, so it is not trusted.",
            why=f"Its mode is {stat.filemode(facts.st_mode)}.",
            hint=f"Read it; then: chmod o-w {_quoted(path)}",
        )


def _check_folder(folder: Path) -> None:
    """A folder where everybody may exchange files, unless it is mounted read-only (Kubernetes)."""
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX and not _is_read_only(folder):
        raise ConfigUnsafe(
            f"Every user can exchange files in {folder}, so nothing below it is trusted.",
            why=f"The mode of {folder} is {stat.filemode(mode)}.",
            hint=f"chmod o-w {_quoted(folder)}",
        )


def _is_read_only(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
