"""Gives test copies logins whose passwords only one process knows."""

from __future__ import annotations

from penstock.errors import KeyMissing
from penstock.secrets import Key, Keyring


class OwnKeys(Keyring):
    """A key that this process alone has, which seals; behind it the keys of another keyring.

    Args:
        keyring: Opens what is sealed for services; it may have no keys.

    >>> len(OwnKeys(Keyring()).keys()) >= 1
    True
    """

    def __init__(self, keyring: Keyring) -> None:
        super().__init__(keyring.file)
        self._own = Key.new()
        self._others = keyring

    def keys(self) -> list[Key]:
        """Every key, the own one first; raises KeyUnsafe and KeyInvalid for the others."""
        try:
            others = self._others.keys()
        except KeyMissing:
            others = []
        return [self._own, *others]
