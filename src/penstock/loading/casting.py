"""Casts text to the type of a column; refuses text that is no value of it."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sqlalchemy import ARRAY, JSON, Enum
from sqlalchemy.types import TypeDecorator, TypeEngine

from penstock.backends.arrow import is_geometry, load_arrow, python_type
from penstock.backends.datetimes import AlwaysAware

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Make: TypeAlias = Callable[[Any], Any]

_WHOLE = r"^[+-]?[0-9]+$"
_NOT_FINITE = r"[+-]?(?:nan|inf|infinity)"
_NUMBER = rf"^(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|{_NOT_FINITE})$"
_TRUE, _FALSE = "^(?:true|t|yes|y|on|1)$", "^(?:false|f|no|n|off|0)$"
_SPAN = re.compile(
    r"(?:(?P<days>-?\d+) days?)?\s*"
    r"(?:(?P<minus>-?)(?P<hours>\d+):(?P<minutes>\d\d):(?P<seconds>\d\d(?:\.\d{1,6})?))?"
)


class Misfit(ValueError):
    """A value is not of its column's type.

    Args:
        row: The number of its row, among those that were given.
    """

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


class Cast(NamedTuple):
    """How a column of a file becomes one of a table.

    Args:
        type: The type of Arrow that it becomes.
        make: Makes that of an array; None where it is that already.
    """

    type: Any
    make: Make | None = None

    def apply(self, array: Any) -> Any:
        """An array of values of the type; raises Misfit."""
        if self.make is None:
            return array
        try:
            return self.make(array)
        except _REFUSALS:
            raise Misfit(self._first_misfit(array)) from None

    def _first_misfit(self, array: Any) -> int:
        good, bad = 0, len(array)
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._goes(array.slice(good, middle - good)):
                good = middle
            else:
                bad = middle
        return good

    def _goes(self, array: Any) -> bool:
        try:
            assert self.make is not None  # noqa: S101 (else nothing could have failed)
            self.make(array)
        except _REFUSALS:
            return False
        return True


_REFUSALS = (ValueError, TypeError, ArithmeticError, RuntimeError)
"""What Arrow raises, whose errors are such as well, and what Python does."""


def cast_of(column_type: TypeEngine[Any], given: Any) -> Cast:
    """How values that a file has become those of a column.

    Args:
        column_type: The type of the column.
        given: The type of Arrow that the file's values have.
    """
    arrow, types = load_arrow(), load_arrow().types
    kind = _without_python(column_type)
    if types.is_dictionary(given):
        inner = cast_of(column_type, given.value_type)
        return Cast(inner.type, lambda array: inner.apply(array.dictionary_decode()))
    if types.is_string(given) or types.is_large_string(given) or types.is_string_view(given):
        cast = _of_text(kind, aware=isinstance(column_type, AlwaysAware))
        if types.is_string(given):
            return cast
        return Cast(cast.type, lambda array: cast.apply(array.cast(arrow.string())))
    simple = not (types.is_nested(given) or types.is_binary(given) or types.is_null(given))
    if simple and not isinstance(kind, Enum | JSON) and python_type(kind) is str:
        return Cast(arrow.string(), lambda array: array.cast(arrow.string()))
    return Cast(given)


def is_document(column_type: TypeEngine[Any]) -> bool:
    """Whether a column holds documents of JSON."""
    return isinstance(_without_python(column_type), JSON)


def _without_python(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return kind


def _of_text(kind: TypeEngine[Any], *, aware: bool) -> Cast:
    arrow = load_arrow()
    if isinstance(kind, ARRAY):
        made = _of_text(kind.item_type, aware=aware).type
        for _ in range(kind.dimensions or 1):
            made = arrow.list_(made)
        read = partial(_list, _NUMBERS.get(python_type(kind.item_type)))
        return Cast(made, lambda array: _each(array, read, made))
    if isinstance(kind, Enum):
        return Cast(arrow.string(), lambda array: _labels(array, kind.enums))
    known = None if isinstance(kind, JSON) or is_geometry(kind) else python_type(kind)
    if known is datetime:
        moment = arrow.timestamp("us", "UTC" if aware or getattr(kind, "timezone", False) else None)
        return Cast(moment, lambda array: _trimmed(array).cast(moment))
    if known is int and getattr(kind, "display_width", None) == 1:  # A boolean, where there is no such type.
        return Cast(arrow.int64(), _flag)
    return _SIMPLE[known]() if known in _SIMPLE else Cast(arrow.string())


_SIMPLE: dict[Any, Callable[[], Cast]] = {
    int: lambda: Cast(load_arrow().int64(), _whole),
    float: lambda: Cast(load_arrow().float64(), _floating),
    Decimal: lambda: Cast(load_arrow().string(), _exact),
    bool: lambda: Cast(load_arrow().bool_(), _boolean),
    date: lambda: Cast(load_arrow().date32(), lambda array: _trimmed(array).cast(load_arrow().date32())),
    time: lambda: _by_python(load_arrow().time64("us"), time.fromisoformat),
    timedelta: lambda: _by_python(load_arrow().duration("us"), _span),
    bytes: lambda: _by_python(load_arrow().binary(), _bytes),
}


def _by_python(made: Any, read: Callable[[str], Any]) -> Cast:
    return Cast(made, lambda array: _each(_trimmed(array), read, made))


def _each(array: Any, read: Callable[[str], Any], made: Any) -> Any:
    values = [None if text is None else read(text) for text in array.to_pylist()]
    return load_arrow().array(values, made)


# --- numbers --------------------------------------------------------------------------------------


def _trimmed(array: Any) -> Any:
    return load_arrow().compute.utf8_trim_whitespace(array)


def _matching(array: Any, pattern: str) -> Any:
    """The texts without what is around them; raises ValueError if one is of another form."""
    compute = load_arrow().compute
    texts = _trimmed(array)
    if compute.all(compute.match_substring_regex(texts, pattern, ignore_case=True)).as_py() is False:
        raise ValueError
    return texts


def _whole(array: Any) -> Any:
    arrow = load_arrow()
    texts = _matching(array, _WHOLE)  # Arrow would take 0x10 for a number, too.
    return arrow.compute.utf8_ltrim(texts, "+").cast(arrow.int64())


def _floating(array: Any) -> Any:
    arrow = load_arrow()
    texts = _matching(array, _NUMBER)
    found = texts.cast(arrow.float64())
    if arrow.compute.any(arrow.compute.is_inf(found)).as_py():  # 1e999 is not, but becomes it.
        finite = texts.filter(arrow.compute.is_inf(found))
        _matching(finite, rf"^{_NOT_FINITE}$")
    return found


def _exact(array: Any) -> Any:
    return _matching(array, _NUMBER)


def _boolean(array: Any) -> Any:
    compute = load_arrow().compute
    texts = _trimmed(array)
    true, false = (compute.match_substring_regex(texts, words, ignore_case=True) for words in (_TRUE, _FALSE))
    if compute.all(compute.or_(true, false)).as_py() is False:
        raise ValueError
    return true


def _flag(array: Any) -> Any:
    """Integers; the words of booleans count as 1 and 0."""
    compute = load_arrow().compute
    texts = _trimmed(array)
    for words, number in ((_TRUE, "1"), (_FALSE, "0")):
        known = compute.match_substring_regex(texts, words, ignore_case=True)
        texts = compute.if_else(known, number, texts)
    return _whole(texts)


# --- others ---------------------------------------------------------------------------------------


def _labels(array: Any, known: Sequence[str]) -> Any:
    """Texts that are all among those that an enumeration has."""
    if set(array.unique().to_pylist()) - {None, *known}:
        raise ValueError
    return array


def _list(number: Make | None, text: str) -> Any:
    """A list of JSON, whose numbers are what an array of the column's type takes."""
    found = json.loads(text, parse_float=Decimal)
    if not isinstance(found, list):
        raise ValueError
    return found if number is None else _of_numbers(found, number)


def _of_numbers(found: Any, number: Make) -> Any:
    if isinstance(found, list):
        return [_of_numbers(each, number) for each in found]
    if isinstance(found, bool):
        raise ValueError
    return None if found is None else number(found)


def _exact_text(number: Any) -> str:
    return str(Decimal(number))


_NUMBERS: dict[Any, Make] = {float: float, Decimal: _exact_text}


def _bytes(text: str) -> bytes:
    if not text.startswith("\\x"):
        raise ValueError
    return bytes.fromhex(text[2:])


def _span(text: str) -> timedelta:
    """A span of time, as PostgreSQL and Python write it: `1 day 02:03:04.5`."""
    found = _SPAN.fullmatch(text.replace(",", ""))
    if found is None or not text:
        raise ValueError
    hours, minutes, seconds = (float(found[name] or 0) for name in ("hours", "minutes", "seconds"))
    within = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timedelta(days=int(found["days"] or 0)) + (-within if found["minus"] else within)
