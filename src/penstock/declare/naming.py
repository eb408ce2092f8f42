"""App and store become a database name: case, characters, length, collisions."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from penstock.errors import InvalidName

LONGEST_NAME = 63
"""Bytes that every backend keeps of a database name (PostgreSQL's NAMEDATALEN - 1)."""

LONGEST_LABEL = 200
"""Characters an app, a setting, a store or a service may be called by."""

TEST_PREFIX = "penstock_test_"
"""What the name of every test copy's database begins with."""

_HASH_DIGITS = 8
_KEPT = re.compile(r"[^a-z0-9_]")


@dataclass(frozen=True, slots=True, order=True)
class StoreName:
    """A store's name within its app: a plain one, or one of a kind.

    Args:
        name: The whole name, as in every listing and call: `gages`, or `basins.logan`.

    >>> StoreName("basins.logan").kind, StoreName("gages").kind
    ('basins', None)
    """

    name: str

    def __post_init__(self) -> None:
        checked_label("store", self.name)
        if self.kind is not None and not (self.kind and self.member):
            raise InvalidName(
                f"Store name {self.name!r} has nothing on one side of its dot.",
                hint="Name a store of a kind as KIND.NAME, for example 'basins.logan'.",
            )

    @property
    def kind(self) -> str | None:
        """The kind this store belongs to, or None for a plain store."""
        head, dot, _ = self.name.partition(".")
        return head if dot else None

    @property
    def member(self) -> str:
        """The name within the kind; the whole name of a plain store."""
        _, dot, tail = self.name.partition(".")
        return tail if dot else self.name

    @property
    def setting(self) -> str:
        """The setting that declares this store, if one does: the kind, or the name itself."""
        return self.kind if self.kind is not None else self.name

    def __str__(self) -> str:
        return self.name


def physical_name(package: str, store: StoreName) -> str:
    """The name of the database that a new store gets on its server.

    `<package>_<name>` or `<package>_<kind>_<name>`, lower-cased, every character outside
    `[a-z0-9_]` replaced by an underscore. Where that is longer than 63 bytes, or loses more than
    case, spaces and hyphens, it is cut and gets a hash of the full name (the first 8 hexadecimal
    digits of its SHA-256), so that different names stay different.

    >>> physical_name("lab", StoreName("Main DB")), physical_name("lab", StoreName("basins.logan"))
    ('lab_main_db', 'lab_basins_logan')
    >>> physical_name("lab", StoreName("été"))
    'lab__t__d549b797'
    """
    parts = [package, *([store.kind] if store.kind is not None else []), store.member]
    spoken = "_".join(parts).lower()
    plain = _KEPT.sub("_", spoken)
    harmless = re.sub(r"[ -]", "_", spoken)
    if plain == harmless and len(plain) <= LONGEST_NAME:
        return plain
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_HASH_DIGITS]
    return f"{plain[: LONGEST_NAME - _HASH_DIGITS - 1]}_{digest}"


@dataclass(frozen=True, slots=True)
class Copies:
    """A set of test copies of stores, told from all other sets by the names of their databases.

    Args:
        run: The test run it belongs to: 8 hexadecimal digits.
        name: Its name within the run.

    >>> Copies("1a2b3c4d", "gw0").database("lab", StoreName("gages"))
    'penstock_test_1a2b3c4d_lab_gages_ddc55d8f'
    """

    run: str
    name: str

    @property
    def prefix(self) -> str:
        """What the names of the run's databases begin with."""
        return f"{TEST_PREFIX}{self.run}_"

    def database(self, package: str, store: StoreName) -> str:
        """The name of the database of a store's copy; it ends in a hash of the set and the full name."""
        full = f"{self.name}\0{package}\0{store.name}"
        digest = hashlib.sha256(full.encode()).hexdigest()[:_HASH_DIGITS]
        shown = physical_name(package, store)[: LONGEST_NAME - len(self.prefix) - _HASH_DIGITS - 1]
        return f"{self.prefix}{shown}_{digest}"


def run_of_copy(database: str) -> str | None:
    """The test run that the database of a copy belongs to; None for any other database.

    >>> run_of_copy("penstock_test_1a2b3c4d_lab_gages_5d2f7b1c"), run_of_copy("lab_gages")
    ('1a2b3c4d', None)
    """
    found = re.match(rf"{TEST_PREFIX}([0-9a-f]{{8}})_", database)
    return found[1] if found else None


def checked_label(what: str, text: object) -> str:
    """Return `text` if it can name an app, setting, store or service, else raise InvalidName.

    >>> checked_label("app", "")
    Traceback (most recent call last):
    penstock.errors.InvalidName: The name of this app is empty.
      try: Give it a name of 1 to 200 characters.
    """
    if not isinstance(text, str):
        raise InvalidName(f"The name of this {what} is {text!r}, which is not text.")
    if not text.strip():
        raise InvalidName(
            f"The name of this {what} is empty.", hint=f"Give it a name of 1 to {LONGEST_LABEL} characters."
        )
    if len(text) > LONGEST_LABEL:
        raise InvalidName(
            f"The name of this {what} has {len(text)} characters: {text[:40]!r}…",
            hint=f"Use at most {LONGEST_LABEL}.",
        )
    if not text.isprintable():
        raise InvalidName(
            f"The name {text!r} of this {what} has characters that can't be shown.",
            hint="Leave out control characters, line ends and unpaired surrogates.",
        )
    return text
