"""Values that a server may not store: NaN, infinity, values of numpy and pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite, isnan
from operator import is_not, ne
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ARRAY, JSON, DateTime, Float, Integer, Numeric, null
from sqlalchemy.types import TypeDecorator

from penstock.backends.rows import Unfit, column_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Column
    from sqlalchemy.types import TypeEngine

INFINITE = frozenset({"Infinity", "-Infinity"})
NAN = "NaN"

_MISSING = {"NaTType": "NaT", "NAType": "NA"}
"""The types of what pandas has for a value that is missing, and what it is called."""

_SIMPLE = frozenset({type(None), bool, int, float, str, bytes, date, datetime, time, timedelta, UUID})
"""Types of scalar values, which hold no others; of floats, NaN is checked apart."""


def nonfinite(value: Any) -> str:
    """What a value is called that is no number, no moment, or infinite; empty for any other."""
    if type(value).__name__ in _MISSING:
        return _MISSING[type(value).__name__]
    if is_of_numpy(value):
        return "NaT" if value.dtype.kind in "mM" and value != value else nonfinite(plain(value))  # noqa: PLR0124
    if isinstance(value, Decimal):  # A NaN that signals can't be compared, nor made a float.
        finite, unlike = value.is_finite(), value.is_nan()
    elif isinstance(value, float):
        finite, unlike = isfinite(value), isnan(value)
    else:
        return ""
    return "" if finite else NAN if unlike else "Infinity" if value > 0 else "-Infinity"


def nonfinite_in(column: Column[Any], value: Any) -> str:
    """The same, also of what a document or an array holds."""
    if not isinstance(column.type, JSON | ARRAY) or isinstance(value, str | bytes):
        return nonfinite(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence):
        return next(filter(None, (nonfinite_in(column, each) for each in value)), "")
    return nonfinite(value)


def is_held(kind: TypeEngine[Any], name: str, held: frozenset[str]) -> bool:
    """Whether a column takes what is called so, where a server holds these."""
    return name in held and isinstance(kind, Numeric | Float)


def unheld(column: Column[Any], value: Any, held: frozenset[str]) -> str:
    """What a value is called that a column can't take, where a server holds these; empty if it can.

    What an app's own type makes of a value is not known here; in a document it may be a text.
    """
    name = "" if isinstance(column.type, TypeDecorator | JSON) else nonfinite(value)
    return "" if is_held(column.type, name, held) else name


def without_nan(columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The rows with NULL for NaN, NaT and NA, also in documents and arrays; themselves if they have none."""
    places = [place for place in range(len(columns)) if _may_miss(column_of(rows, place))]
    if not places:
        return rows
    kinds = [(place, columns[place].type) for place in places]
    doubtful = [(place, null_of(kind), isinstance(kind, JSON | ARRAY)) for place, kind in kinds]
    made = [list(row) for row in rows]
    for row in made:
        for place, instead, inside in doubtful:
            row[place] = _without_nan(row[place], instead, inside)
    return made


def _may_miss(values: Sequence[Any]) -> bool:
    """Whether one of these may be, or hold, what stands for a missing value."""
    kinds = set(map(type, values))
    if not kinds <= _SIMPLE:
        return True
    return float in kinds and any(map(ne, values, values))  # NaN is the one that differs from itself.


def column_without_nan(column: Column[Any], values: Iterable[Any]) -> list[Any]:
    """The values of one column, with NULL for NaN, NaT and NA."""
    instead, inside = null_of(column.type), isinstance(column.type, JSON | ARRAY)
    return [_without_nan(value, instead, inside) for value in values]


def null_of(kind: TypeEngine[Any]) -> Any:
    """What stands for NULL in a column: None may be a value of JSON, too."""
    return null() if isinstance(kind, JSON) and not kind.none_as_null else None


def _without_nan(value: Any, instead: Any, inside: bool) -> Any:
    if inside and isinstance(value, Mapping):
        return {name: _without_nan(each, None, inside) for name, each in value.items()}
    if inside and isinstance(value, list | tuple):
        return [_without_nan(each, None, inside) for each in value]
    name = nonfinite(value)
    return instead if name and name not in INFINITE else value


def plain(value: Any) -> Any:
    """A value of numpy's or pandas' as Python has it; moments to the microsecond; NaT as it is."""
    name = type(value).__name__
    if name == "Timestamp" and hasattr(value, "to_pydatetime"):
        return value.to_pydatetime(warn=False)
    if name == "Timedelta" and hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    if not (is_of_numpy(value) or name == "ndarray"):
        return value
    kind = value.dtype.kind
    made = value.tolist()
    if kind in "mM" and isinstance(made, int):  # Python has no nanoseconds.
        made = value.astype(f"{kind}8[us]").tolist()
    return value if made is None else made


def checked(
    columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]], held: frozenset[str]
) -> Sequence[Sequence[Any]]:
    """The rows; raises Unfit if a column can't take a value, where a server holds what is called so."""
    for number, row in enumerate(rows):
        for place, (column, value) in enumerate(zip(columns, row, strict=True)):
            if unheld(column, value, held):
                raise Unfit(number, place)
    return rows


def nan_to_null(
    columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]] | None:
    """The rows with values of Python's; if they were so, with those of the columns' types; or None."""
    return _made(columns, rows, lambda _, value: plain(value)) or _made(columns, rows, _of_type)


def _made(
    columns: Sequence[Column[Any]],
    rows: Sequence[Sequence[Any]],
    make: Callable[[Column[Any], Any], Any],
) -> Sequence[Sequence[Any]] | None:
    made, changed = list(rows), False
    for number, row in enumerate(rows):
        new = list(map(make, columns, row))
        if any(map(is_not, new, row)):
            made[number], changed = new, True
    return made if changed else None


def _of_type(column: Column[Any], value: Any) -> Any:
    """A value as servers make it one of a column's type."""
    kind = column.type
    if isinstance(kind, Integer) and isinstance(value, float) and isfinite(value):
        return round(value)  # Halves become the even one.
    if isinstance(kind, Integer) and isinstance(value, Decimal) and value.is_finite() and value == int(value):
        return int(value)
    if isinstance(kind, DateTime) and not kind.timezone and type(value) is date:
        return datetime.combine(value, time())
    return value


def is_of_numpy(value: Any) -> bool:
    """Whether it is a single value of numpy's."""
    return type(value).__module__ == "numpy" and type(value).__name__ != "ndarray" and hasattr(value, "dtype")
