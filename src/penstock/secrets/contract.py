"""What a secret reference is, and what a source of secrets does."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from penstock.errors import SecretError
from penstock.plugins import Plugins
from penstock.spelling import did_you_mean

SEALED = "sealed"
"""The scheme of a password that is itself in the reference, encrypted."""

URI = "uri"
"""The scheme of a password inside a whole address: `uri:` and where that address is."""

_SCHEMES = ("env", "file", SEALED)
PLUGINS = Plugins(group="penstock.secrets", what="secret source", own=(*_SCHEMES, URI, "vcap"))
"""The sources that other packages have."""

_KEY_ID = re.compile(r"v1\.([0-9a-f]{8})\.")


@dataclass(frozen=True, slots=True, repr=False)
class SecretRef:
    """Where a password is, not what it is: `env:NAME`, `file:/run/secrets/name`, or sealed in the registry.

    Args:
        scheme: The source: `env`, `file`, `sealed`, or one that another package has.
        locator: What the source looks up: a variable's name, a file's path, a sealed text.

    >>> str(SecretRef.parse("env:MAIN_PW"))
    'env:MAIN_PW'
    """

    scheme: str
    locator: str

    @classmethod
    def parse(cls, text: str) -> SecretRef:
        """Read a reference; raises SecretError if it is not one (the text is not repeated)."""
        scheme, colon, locator = text.partition(":")
        if not colon or not locator.strip() or not _is_scheme(scheme):
            raise SecretError(
                "This is not a secret reference.",
                why="A reference says where a password is, never what it is.",
                hint=f"{did_you_mean(scheme, _SCHEMES)} Write env:NAME or file:/path/of/the/file.".lstrip(),
            )
        return cls(scheme, locator)

    @property
    def key_id(self) -> str:
        """The key that a sealed password was sealed with; empty if there is none, or it can't be read."""
        found = _KEY_ID.match(self.locator) if self.scheme == SEALED else None
        return found[1] if found else ""

    @property
    def shown(self) -> str:
        """The reference for people: of a sealed password, only the key.

        >>> SecretRef.parse("sealed:v1.1a2b3c4d.c2VhbGVk").shown
        'sealed (key 1a2b3c4d)'
        """
        return f"{SEALED} (key {self.key_id or '?'})" if self.scheme == SEALED else str(self)

    def __str__(self) -> str:
        return f"{self.scheme}:{self.locator}"

    def __repr__(self) -> str:
        return f"SecretRef({self.shown})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A password with the user that it is of, such as a vault leases.

    Args:
        password: The password.
        user: The user, who is taken in place of the address's; None for that one.

    >>> Credentials(user="v-lab-1a2b", password="Utah")
    Credentials(user='v-lab-1a2b')
    """

    password: str = field(repr=False)
    user: str | None = None


class SecretSource(Protocol):
    """One place passwords come from."""

    def __call__(self, locator: str, /) -> str | Credentials:
        """Look the password up; it is asked each time a connection is made.

        Args:
            locator: What stands behind the scheme in a reference.

        Raises:
            SecretMissing: It is not there.
        """


def _is_scheme(scheme: str) -> bool:
    return scheme in _SCHEMES or scheme in PLUGINS.schemes()
