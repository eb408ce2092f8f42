"""Passwords in environment variables: `env:NAME`."""

from __future__ import annotations

import os

from penstock.errors import SecretMissing


def read(locator: str) -> str:
    """The value of the environment variable `locator`; raises SecretMissing."""
    try:
        return os.environ[locator]
    except KeyError:
        raise SecretMissing(
            f"The environment variable {locator} is not set.",
            why=f"A password is read from env:{locator}.",
            hint=f"Set {locator} in the environment of this process.",
        ) from None
