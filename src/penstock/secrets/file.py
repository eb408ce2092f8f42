"""Passwords in files: file:/run/secrets/name, without its last newline."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import SecretError, SecretMissing

_LONGEST = 65536


def read(locator: str) -> str:
    """The password in the file at `locator`; raises SecretMissing or SecretError."""
    try:
        data = Path(locator).read_bytes()
    except OSError as error:
        raise SecretMissing(
            f"The secret file {locator} can't be read.",
            why=error.strerror or type(error).__name__,
            hint="Create the file, readable by this user only, with the password as its one line.",
        ) from error
    if len(data) > _LONGEST:
        raise SecretError(f"The secret file {locator} is too large to be a password.")
    try:
        return data.removesuffix(b"\r\n" if data.endswith(b"\r\n") else b"\n").decode()
    except UnicodeDecodeError:
        raise SecretError(f"The secret file {locator} is not UTF-8 text.") from None
