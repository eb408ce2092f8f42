"""What an app declares beside its stores, as people are shown it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherDeclaration:
    """Something that an app declares and that has nothing to do with stores.

    Args:
        kind: What it is, in words.
        name: What the app calls it.
        description: What it is for.
        required: Whether the app can't work without a value; None where there are no values.
        source: Where its value comes from; empty for nowhere.
        value_kind: Whether its value is a secret; None if it has no value that `penstock.toml` could give.
    """

    kind: str
    name: str
    description: str = ""
    required: bool | None = None
    source: str = ""
    value_kind: Literal["plain", "secret"] | None = None
