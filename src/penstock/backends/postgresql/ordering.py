"""Rows are put in the order of their keys: so writers never wait in turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
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

CHAR = 1042
"""The number of the type char."""

COMPARED: dict[int, type] = {
    16: bool,
    17: bytes,
    **dict.fromkeys((20, 21, 23, 26), int),
    **dict.fromkeys(TEXTS, str),
    **dict.fromkeys((1114, 1184), datetime),
    1082: date,
    2950: UUID,
}
"""What Python compares as the server does, by the number of the type: texts if they are compared by bytes."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How Python tells values of a column from each other as the server does, and in its order.

    Args:
        kind: What they must be for that.
        longest: How long texts may be, so that they are stored as they are.
    """

    kind: type
    longest: int | None = None

    def holds(self, values: Sequence[Any]) -> bool:
        """Whether it does so for these values."""
        if set(map(type, values)) != {self.kind}:
            return False
        if self.kind is datetime:  # In other zones, two moments are the same for Python when clocks go back.
            return {type(value.tzinfo) for value in values} <= {type(None), timezone}
        return self.longest is None or max(map(len, values)) <= self.longest


def ordered(
    rows: _Rows, key: Sequence[int], compared: Sequence[Comparison | None], *, last_of_each: bool
) -> tuple[_Rows, Sequence[int]] | None:
    """Rows in the order of their keys, with the numbers under which they were given.

    Args:
        rows: The rows.
        key: The numbers of the columns that are their key.
        compared: How Python compares the values of these.
        last_of_each: Whether of rows with the same key only the last is kept.

    Returns:
        None if it is left to the server: a key is missing, or of another kind.
    """
    if not key or None in compared:
        return None
    columns = [column_of(rows, place) for place in key]
    keys = columns[0] if len(key) == 1 else list(zip(*columns, strict=True))
    if not all(how and how.holds(values) for how, values in zip(compared, columns, strict=True)):
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
