"""Password files: generated once, mode 0600, read only when nobody else can."""

from __future__ import annotations

import os
import secrets as tokens
import stat
from typing import TYPE_CHECKING

from penstock.embedded.status import ADMINISTRATOR, OWNER
from penstock.errors import EmbeddedError

if TYPE_CHECKING:
    from pathlib import Path


def password_file(secrets: Path, role: str) -> Path:
    """Where the password of a role is kept."""
    return secrets / f"{role}.password"


def ensure_password(path: Path) -> None:
    """Generate a password into a file of mode 0600, unless the file is there."""
    for leftover in path.parent.glob(f"{path.name}.new-*"):
        leftover.unlink()
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.new-{tokens.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(tokens.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def forget_passwords(secrets: Path) -> None:
    """Delete the password files, and drafts of them."""
    for role in (OWNER, ADMINISTRATOR):
        for path in secrets.glob(f"{role}.password*"):
            path.unlink()


def read_password(path: Path) -> str:
    """The password in a file, which must be a plain one nobody else can read.

    Raises:
        EmbeddedError: The file is missing, not a plain file, open to others, or empty.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            password = file.read().removesuffix("\n")
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise _unusable(path, "it is not a plain file that only its owner can read (mode 0600)")
    if not password:
        raise _unusable(path, "it is empty")
    return password


def _unusable(path: Path, why: str) -> EmbeddedError:
    hint = "restore the file with mode 0600, or remove the embedded server and configure it anew"
    return EmbeddedError(f"The password file {path} can't be used.", why=why, hint=hint)
