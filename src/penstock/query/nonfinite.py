"""What is done with NaN and infinity, and the error where they are refused."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from math import isfinite
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from uuid import UUID

from sqlalchemy import Integer

from penstock.backends.values import INFINITE, is_held, nonfinite, nonfinite_in, plain, unheld, without_nan
from penstock.errors import RowRefused
from penstock.query.given import check_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Column

    from penstock.backends.rows import RowBackend, Writing
    from penstock.query.target import Target

_CERTAIN = frozenset({type(None), bool, int, str, bytes, date, datetime, UUID})
"""Types that have no such values."""

_BASIC = _CERTAIN | {float, Decimal}
"""Types of Python's."""

_VALUES = methodcaller("values")

_AGAIN = "Nothing was stored. Mend the row, then write all of them again."


class Missing(TypedDict, total=False):
    """What is done about values that are missing.

    Attributes:
        nan: "keep" stores NaN where the server holds it, and refuses it elsewhere; "null" stores NULL.
    """

    nan: Literal["keep", "null"]


def nulls_nan(*, nan: str = "keep") -> bool:
    """Whether NULL is stored for NaN; raises ValueError for another word than "keep" and "null"."""
    if nan not in ("keep", "null"):
        raise ValueError(f'nan={nan!r} is neither "keep" nor "null".')
    return nan == "null"


def without_nan_in(target: Target, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with None for NaN, NaT and NA."""
    columns = target.columns
    known = [columns[name] for name in row if name in columns]
    if len(known) < len(row):
        return dict(row)  # It is refused for what it has.
    return dict(zip(row, without_nan(known, [list(row.values())])[0], strict=True))


def all_in_python(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Rows with the values of Python's for those of numpy's."""
    given = list(rows)
    if not all(issubclass(kind, Mapping) for kind in set(map(type, given))):
        for number, row in enumerate(given):
            check_values(row, f"row {number}")
    return given if kinds_of(given) <= _BASIC else list(map(in_python, given))


def kinds_of(rows: Iterable[Mapping[str, Any]]) -> set[type]:
    """The types of all their values."""
    return set(map(type, chain.from_iterable(map(_VALUES, rows))))


def in_python(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with the values of Python's for those of numpy's."""
    if _BASIC.issuperset(map(type, row.values())):
        return row
    return {name: plain(value) for name, value in row.items()}


def check_nonfinite(target: Target, rows: Sequence[Mapping[str, Any]], backend: RowBackend) -> None:
    """Raise RowRefused if a row has NaN, or an infinite number, for a column that does not hold it."""
    kinds = kinds_of(rows)
    if kinds <= _CERTAIN or (kinds <= _CERTAIN | {float} and all(map(isfinite, _floats(rows)))):
        return
    for number, row in enumerate(rows):
        for name, value in row.items():
            if unheld(target.columns[name], value, backend.nonfinite):
                raise refused(target, number, target.columns[name], value)


def _floats(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    return [value for row in rows for value in row.values() if type(value) is float]


def _said_of(column: Column[Any], value: Any) -> str:
    """What a message says of a value that a column can't hold."""
    if nonfinite(value):
        return nonfinite(value)
    if isinstance(value, datetime):
        return f"a datetime {'without' if value.tzinfo is None else 'with'} a time zone"
    if type(value) is int and isinstance(column.type, Integer):
        return "an int out of its range"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def refused(target: Target, number: int, column: Column[Any], value: Any) -> RowRefused:
    """The error of a row with a value that its column can't hold."""
    name = nonfinite_in(column, value)
    hint = (
        f'{_AGAIN} With nan="null", NULL is stored for {name}.' if name and name not in INFINITE else _AGAIN
    )
    what = f"{name} in a {type(value).__name__}" if name and not nonfinite(value) else _said_of(column, value)
    return RowRefused(
        f"Row {number} of {target.name} can't be stored:"
        f" {what} is no value for {column.name} ({column.type}).",
        hint=hint,
        row=number,
    )


def strange_column(writing: Writing, row: Sequence[Any], backend: RowBackend, said: str) -> int | None:
    """The number of the column for whose NaN, or infinite value, a server has refused a row.

    Args:
        writing: What was to be written.
        row: The row.
        backend: Of the server.
        said: The column that the server means; empty if it does not say.
    """
    for number, (column, value) in enumerate(zip(writing.columns, row, strict=True)):
        name = nonfinite_in(column, value)
        if (
            name
            and said in ("", column.name, f"{writing.table.name}.{column.name}")
            and not _is_fine(column, name, backend)
        ):
            return number
    return None


def _is_fine(column: Column[Any], name: str, backend: RowBackend) -> bool:
    """Whether a column certainly holds what is called so."""
    exact = getattr(column.type, "asdecimal", False)
    return is_held(column.type, name, backend.nonfinite) and not (exact and name in INFINITE)
