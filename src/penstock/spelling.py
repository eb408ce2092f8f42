"""Finds what a misspelt name was meant to be."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST, _SHORTEST_BEGINNING = 80, 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint with the name that is nearest to a misspelt one; empty if none is near.

    Args:
        name: What was written.
        known: The names there are.

    >>> did_you_mean("Gagse", ["basins", "gages"])
    'Did you mean gages?'
    >>> did_you_mean("sync", ["stores", "syncstores"])
    'Did you mean syncstores?'
    >>> did_you_mean("tables", ["gages"])
    ''
    """
    written = name[:_LONGEST].casefold()
    spelled = {each.casefold(): each for each in known if each != name}
    close = get_close_matches(written, spelled, 1)
    if not close and len(written) >= _SHORTEST_BEGINNING:
        close = [each for each in spelled if each.startswith(written)][:1]
    return f"Did you mean {spelled[close[0]]}?" if close else ""
