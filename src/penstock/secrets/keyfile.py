"""A file with one key a line, which nobody but its owner can read."""

from __future__ import annotations

import fcntl
import os
import secrets
import shlex
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.errors import KeyInvalid, KeyMissing, KeyUnsafe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from penstock.secrets.keys import Key

_LARGEST = 100_000


def read(path: Path) -> str:
    """The text of a key file.

    Raises:
        KeyMissing: There is no such file.
        KeyUnsafe: Somebody else can read or change it.
        KeyInvalid: It is no file of keys, or this user may not read it.
    """
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise KeyMissing(f"There is no key file {path}.", hint="penstock init") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyInvalid(
            f"The key file {path} can't be read.",
            why=getattr(error, "strerror", None) or type(error).__name__,
            hint=f"Look at who may read it: ls -l {_quoted(path)}",
        ) from None


def write(path: Path, keys: Iterable[Key]) -> None:
    """Put keys into a key file, in place of those in it; it always holds either all old or all new ones."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(f"{key.written()}\n" for key in keys)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _keep_name(path.parent)
    except OSError as error:
        raise KeyInvalid(
            f"The key file {path} can't be written.",
            why=error.strerror or type(error).__name__,
            hint=f"Look at who may write to its folder: ls -ld {_quoted(path.parent)}",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others of this host that ask for it from changing a key file, until the block ends."""
    try:
        lock = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # Where no file can be made, nobody can change the key file either.
        yield
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _read(path: Path) -> str:
    # Opened first, then looked at, so that nobody can exchange it in between.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        _check(path, os.fstat(file.fileno()))
        return file.read(_LARGEST).decode()


def _check(path: Path, facts: os.stat_result) -> None:
    user = os.geteuid()
    if not stat.S_ISREG(facts.st_mode):
        raise KeyInvalid(f"The key file {path} is not a plain file.", hint="Name a plain file.")
    if facts.st_uid not in (user, 0):
        raise KeyUnsafe(
            f"The key file {path} belongs to another user, so it is not used.",
            why=f"Its owner is user {facts.st_uid}, this process runs as user {user}.",
            hint=f"If it is yours: sudo chown {user} {_quoted(path)}",
        )
    if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnsafe(
            f"Other users can reach the key file {path}, so it is not used.",
            why=f"Its mode is {stat.filemode(facts.st_mode)}.",
            hint=f"chmod 600 {_quoted(path)}; if others may have read it, penstock secrets rotate-key",
        )


def _keep_name(folder: Path) -> None:
    """Let the new name of a file survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
