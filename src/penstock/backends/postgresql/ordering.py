"""Rows are put in the order of their keys: so writers never wait in turn."""

from __future__ import annotations

from datetime import date, datetime
from itertools import islice, pairwise
from operator import lt
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from penstock.backends.rows import chosen_of, column_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_Rows: TypeAlias = "Sequence[Sequence[Any]]"

TEXTS = (25, 1043)
"""The numbers of the types text and varchar."""

COMPARED: dict[int, type] = {
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys((1114, 1184), datetime),
    1082: date,
    2950: UUID,
}
"""What Python compares as the server does, by the number of the type: texts if they are compared by bytes."""


def ordered(
    rows: _Rows, key: Sequence[int], kinds: Sequence[type | None], *, last_of_each: bool
) -> tuple[_Rows, Sequence[int]] | None:
    """Rows in the order of their keys, with the numbers under which they were given.

    Args:
        rows: The rows.
        key: The numbers of the columns that are their key.
        kinds: What the values of these must be for Python to compare them as the server does.
        last_of_each: Whether of rows with the same key only the last is kept.

    Returns:
        None if it is left to the server: a key is missing, or of another kind.
    """
    if not key or None in kinds:
        return None
    columns = [column_of(rows, place) for place in key]
    keys = columns[0] if len(key) == 1 else list(zip(*columns, strict=True))
    if any(set(map(type, column)) != {kind} for column, kind in zip(columns, kinds, strict=True)):
        return None
    try:
        if all(map(lt, keys, islice(keys, 1, None))):
            return rows, range(len(keys))
        order = sorted(range(len(keys)), key=keys.__getitem__)
    except TypeError:  # Moments with a time zone, and without.
        return None
    if last_of_each:
        order = [one for one, other in pairwise(order) if keys[one] != keys[other]] + order[-1:]
    return chosen_of(rows, order), order
