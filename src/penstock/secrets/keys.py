"""A key that passwords are sealed with, and how it is written down."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass, field

from penstock.errors import KeyInvalid

_SIZE = 32
_BETWEEN = re.compile(r"[\s,]+")
_FROM_URL_SAFE = str.maketrans("-_", "+/")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of AES-256, named by a hash of itself, so that no key can pass for another.

    Args:
        secret: 32 random bytes.

    >>> Key(bytes(32)).id
    '66687aad'
    """

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Key:
        """A key that nobody had before."""
        return cls(secrets.token_bytes(_SIZE))

    @property
    def id(self) -> str:
        """Its name, which is no secret: the first 8 hexadecimal digits of its SHA-256."""
        return hashlib.sha256(self.secret).hexdigest()[:8]

    def written(self) -> str:
        """The key as text, `ID:BASE64`: a secret."""
        return f"{self.id}:{base64.b64encode(self.secret).decode()}"


def parse_keys(text: str, source: str) -> list[Key]:
    """The keys in a text, between commas or white space: `ID:BASE64`, or 32 bytes as Base64 alone.

    Args:
        text: The text; never repeated in an error.
        source: What an error calls the place it is from.

    Raises:
        KeyInvalid: Something in it is not a key, or a key is not the one that its id says.
    """
    return [_key(word, number, source) for number, word in enumerate(_BETWEEN.split(text.strip()), 1) if word]


def _key(word: str, number: int, source: str) -> Key:
    name, _, encoded = word.rpartition(":")
    plain = encoded.translate(_FROM_URL_SAFE).rstrip("=")
    try:
        key = Key(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (binascii.Error, ValueError):
        raise _invalid(number, source, "It is not Base64.") from None
    if len(key.secret) != _SIZE:
        raise _invalid(number, source, f"It has {len(key.secret)} bytes; a key has {_SIZE}.")
    if name not in ("", key.id):
        raise _invalid(number, source, "It is not the key that the id before it stands for.")
    return key


def _invalid(number: int, source: str, why: str) -> KeyInvalid:
    return KeyInvalid(
        f"What stands at place {number} in {source} is not a key.",
        why=why,
        hint="Write ID:BASE64 as `penstock init` does, or the Base64 alone: openssl rand -base64 32",
    )
