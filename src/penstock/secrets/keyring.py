"""The keys of a keyring: the first one seals, each of them opens."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from penstock.errors import DefinedElsewhere, KeyMissing
from penstock.secrets import keyfile, sealed
from penstock.secrets.keys import Key, parse_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from penstock.secrets.contract import SecretRef
    from penstock.secrets.sealed import Seal

_VARIABLE = "PENSTOCK_KEY"


class Keyring:
    """Seals and opens passwords, with keys from `PENSTOCK_KEY` or, if that is not set, a file.

    They are read when they are needed, each time anew, so a process that runs notices a new key. A desktop's
    keyring is never asked: without one, such libraries keep plain text.

    Args:
        file: The key file; None (the default) if there is none.

    >>> Keyring().source
    'PENSTOCK_KEY'
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    @property
    def file(self) -> Path | None:
        """The key file, if that is where the keys are."""
        return None if os.environ.get(_VARIABLE) else self._file

    @property
    def source(self) -> str:
        """Where the keys are looked for."""
        return _VARIABLE if self.file is None else str(self.file)

    def keys(self) -> list[Key]:
        """Every key, the one that seals first.

        Raises:
            KeyMissing: There is none.
            KeyUnsafe: The key file is not private.
            KeyInvalid: What is there is not a key.
        """
        text = os.environ.get(_VARIABLE, "") if self.file is None else keyfile.read(self.file)
        keys = parse_keys(text, self.source)
        if not keys:
            empty = "is not set" if self.file is None else "is empty"
            raise KeyMissing(f"There is no key: {self.source} {empty}.", hint="penstock init")
        return list(dict.fromkeys(keys))

    def seal(self, password: str, to: Seal) -> SecretRef:
        """Seal a password with the first key; raises like `keys`."""
        return sealed.seal(self.keys()[0], password, to)

    def open(self, ref: SecretRef, to: Seal) -> str:
        """The password in a sealed reference.

        Raises:
            KeyMissing: The key that it was sealed with is not there.
            SealBroken: It was sealed to something else, or changed.
            KeyUnsafe, KeyInvalid: The keys can't be read.
        """
        sealed.check_form(ref, to)
        try:
            known = {key.id: key for key in self.keys()}
        except KeyMissing as error:
            raise self._lost(ref, to, error.what) from None
        if ref.key_id not in known:
            raise self._lost(ref, to, f"{self.source} holds {', '.join(known)}.")
        return sealed.unseal(known[ref.key_id], ref, to)

    # --- keys come and go, in a file --------------------------------------------------------------

    def make_file(self) -> bool:
        """Make the key file, with a new key; False if it is there, or PENSTOCK_KEY is in its place."""
        file = self.file
        if file is None:
            return False
        with self.held():
            if os.path.lexists(file):
                return False
            keyfile.write(file, [Key.new()])
        return True

    def add_key(self) -> Key:
        """Make a new key, which seals from now on; to be called while `held`."""
        key = Key.new()
        keyfile.write(self.writable_file(), [key, *self.keys()])
        return key

    def drop_keys(self, ids: Collection[str]) -> None:
        """Forget keys for ever; to be called while `held`, and never with the first one's id."""
        keyfile.write(self.writable_file(), [key for key in self.keys() if key.id not in ids])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no other process of this host seal, or change the key file, until the block ends."""
        with nullcontext() if self.file is None else keyfile.locked(self.file):
            yield

    def writable_file(self) -> Path:
        """The key file, to be changed; raises DefinedElsewhere for keys in `PENSTOCK_KEY`."""
        if self.file is None:
            raise DefinedElsewhere(
                f"The keys are in {_VARIABLE}, which no command can change.",
                hint=f'Put a new key in front: {_VARIABLE}="$(openssl rand -base64 32),${_VARIABLE}"',
            )
        return self.file

    def _lost(self, ref: SecretRef, to: Seal, why: str) -> KeyMissing:
        return KeyMissing(
            f"There is no key {ref.key_id}, with which {to.subject} was sealed.",
            why=why,
            hint=f"Put the key back into {self.source}, or give the password again: {to.renew}",
        )
