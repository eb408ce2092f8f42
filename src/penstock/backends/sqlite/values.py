"""Finds values that SQLite would store as something else."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    JSON,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Time,
    Uuid,
)

from penstock.backends.rows import Unfit
from penstock.backends.values import INFINITE, is_held, nonfinite, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, Dialect
    from sqlalchemy.types import TypeEngine

Check: TypeAlias = "tuple[TypeEngine[Any], Callable[[Sequence[Any]], bool]]"
"""A type, and what tells of values that nothing is wrong with them: in no line of Python for each."""

_STRICT = (Boolean, Date, DateTime, Enum, Interval, JSON, LargeBinary, Time, Uuid)
"""Types that refuse numbers which are none, or write them as something of their own."""

_BASIC = frozenset({type(None), bool, int, str, bytes, bytearray, memoryview})


def checks(dialect: Dialect, columns: Sequence[Column[Any]]) -> list[Check | None]:
    """How the values of each column are looked at; None where SQLAlchemy does so."""
    kinds = (column.type.dialect_impl(dialect) for column in columns)
    return [None if isinstance(kind, _STRICT) else (kind, _check(kind)) for kind in kinds]


def _check(kind: TypeEngine[Any]) -> Callable[[Sequence[Any]], bool]:
    if isinstance(kind, Numeric | Float):
        return lambda values: isfinite(_sum(values))
    if isinstance(kind, Integer):
        return lambda values: type(_sum(values)) is int
    if isinstance(kind, String):
        return lambda values: type("".join(filter(None, values))) is str
    return lambda values: _BASIC.issuperset(map(type, values))


def _sum(values: Sequence[Any]) -> Any:
    try:
        return sum(values)
    except TypeError:  # There are NULLs, as in most pieces or in none.
        return sum(filter(None, values))


def as_kept(
    rows: Sequence[Sequence[Any]], checks: Sequence[Check | None], first: int
) -> Sequence[Sequence[Any]]:
    """The rows without what SQLite would store as something else: numpy's whole numbers as bytes, say.

    Args:
        rows: The rows, as the driver takes them.
        checks: How each column is looked at.
        first: The number of the first row.

    Raises:
        Unfit: There is NaN, which would be NULL, or an infinite number in a column that is not for it.
    """
    clear = True
    for place, (check, values) in enumerate(zip(checks, zip(*rows, strict=True), strict=False)):
        if check is not None and not _is_clear(check, values):
            clear = False
            for number, value in enumerate(values, first):
                name = nonfinite(value)
                if name and not is_held(check[0], name, INFINITE):
                    raise Unfit(number, place)
    return rows if clear else [tuple(map(plain, row)) for row in rows]


def _is_clear(check: Check, values: Sequence[Any]) -> bool:
    """Whether nothing is wrong with values; else there is something else than the column is for."""
    try:
        return check[1](values)
    except (TypeError, ValueError, ArithmeticError):
        return False
