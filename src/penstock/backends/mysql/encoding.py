"""Values as MariaDB reads them, in a statement or in a file that is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from numbers import Integral, Real
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import orjson

from penstock.backends.rows import Binder, Unfit, chosen_of, column_of

if TYPE_CHECKING:
    from collections.abc import Iterable

Texts: TypeAlias = "list[str]"

NULL = type(None)
_DATA = (bytes, bytearray, memoryview)
_BASES = (bool, int, float, Decimal, str, *_DATA, datetime, date, time, timedelta, UUID)
_KINDS = dict(zip(_BASES, _BASES, strict=True)) | {int: Integral, float: Real}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How values are written.

    Args:
        null: What stands for NULL.
        quote: What is around a text, and around whatever is no number.
        special: Finds what must be escaped in a text.
        escape: Writes a text that may have something of that.
        real: What a number ends in, so that it is a floating one.
        data: How bytes are written.
        between: What is between values, between rows, before the first and after the last row.
    """

    null: str
    quote: str
    special: re.Pattern[str]
    escape: Callable[[str], str]
    real: str
    data: Callable[[bytes], str]
    between: tuple[str, str, str, str]

    def rows(self, columns: Sequence[Sequence[str]], count: int) -> str:
        """Columns of values, written one by one, as rows."""
        value, row, first, last = self.between
        each = map(value.join, zip(*columns, strict=True)) if columns else [""] * count
        return f"{first}{row.join(each)}{last}"

    def column(self, values: Sequence[Any]) -> Texts:
        """The values of a column, each written.

        Raises:
            ValueError, TypeError: One of them is nothing that MariaDB has.
        """
        kinds = set(map(type, values))
        with_null = NULL in kinds
        kinds.discard(NULL)
        given = [value for value in values if value is not None] if with_null else values
        if len(kinds) == 1:
            made = self._alike(kind_of(kinds.pop()), given)
        else:
            made = [self._alike(kind_of(type(value)), [value])[0] for value in given]
        if not with_null:
            return made
        rest = iter(made)
        return [self.null if value is None else next(rest) for value in values]

    def _alike(self, kind: type, values: Sequence[Any]) -> Texts:
        if kind is str:
            return self._texts(values)
        if kind is float:
            return self._floats(values)
        if kind in _DATA:
            return [self.data(bytes(value)) for value in values]
        if kind is datetime:
            return self._quoted(_moments(values))
        made = list(map(_PLAIN[kind], map(int, values) if kind is int else values))
        if kind not in (bool, int, Decimal):
            return self._quoted(made)
        if max(map(len, made)) > _MOST_DIGITS:
            made = [text if _is_exact(text) else f"{Decimal(text):E}" for text in made]
        return made

    def _texts(self, values: Sequence[str]) -> Texts:
        together = "".join(values)
        together.encode()
        if self.special.search(together) is None:
            return self._quoted(values)
        return [self.escape(value) for value in values]

    def _quoted(self, values: Sequence[str]) -> Texts:
        quote = self.quote
        return [quote + value + quote for value in values] if quote else list(values)

    def _floats(self, values: Sequence[float]) -> Texts:
        if not all(map(isfinite, values)):
            raise ValueError("There is no NaN, and nothing infinite, in MariaDB.")
        # As repr does it, five times as fast: the shortest decimal that is read as the same float.
        made = orjson.dumps(list(map(float, values))).decode()[1:-1].split(",")
        return [one if "e" in one else one + self.real for one in made] if self.real else made


_MOST_DIGITS, _SMALLEST = 65, -38
"""Of an exact number: how many digits it has at most, and the exponent of the least one."""

_LARGEST = 10**_MOST_DIGITS


def _is_exact(text: str) -> bool:
    """Whether a number may be exact for MariaDB, which reads nines for digits too many, in silence."""
    return _SMALLEST <= Decimal(text).adjusted() < _MOST_DIGITS


def exact_or_float(value: Any) -> Any:
    """A value for a driver, which writes all digits of a number: as a float, if those are too many."""
    if type(value) is int:
        return value if -_LARGEST < value < _LARGEST else float(value)
    if type(value) is Decimal and value.is_finite():
        return value if _SMALLEST <= value.adjusted() < _MOST_DIGITS else float(value)
    return value


def kind_of(kind: type) -> type:
    """As what values of a type are written; raises TypeError."""
    for known, base in _KINDS.items():
        if issubclass(kind, base):
            return known
    raise TypeError(f"A {kind.__name__} is nothing that MariaDB has.")


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError("There is no NaN, and nothing infinite, in MariaDB.")
    return format(value, "f")


def _moments(values: Sequence[datetime]) -> Texts:
    if set(map(attrgetter("tzinfo"), values)) != {None}:
        values = [value.replace(tzinfo=None) for value in values]
    made = list(map(str, values))
    if "NaT" in made:
        raise ValueError("MariaDB can't store NaT, a missing time.")
    return made


def _clock(value: time) -> str:
    return str(value if value.tzinfo is None else value.replace(tzinfo=None))


def _span(value: timedelta) -> str:
    size = abs(value)
    minutes, seconds = divmod(size.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    sign = "-" if value.days < 0 else ""
    return f"{sign}{size.days * 24 + hours:02d}:{minutes:02d}:{seconds:02d}.{size.microseconds:06d}"


_PLAIN: dict[type, Callable[[Any], str]] = {
    bool: lambda value: "1" if value else "0",
    int: int.__repr__,
    Decimal: _decimal,
    date: date.__str__,
    time: _clock,
    timedelta: _span,
    UUID: str,
}


def _in_statement(text: str) -> str:
    """A text in quotes, which no mode of the server reads otherwise: a backslash may be an escape or not."""
    if "\\" in text:
        return f"_utf8mb4 x'{text.encode().hex()}'"
    return "'" + text.replace("'", "''") + "'"


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\0": "\\0"})

STATEMENT = Form(
    null="NULL",
    quote="'",
    special=re.compile(r"[\\']"),
    escape=_in_statement,
    real="e0",
    data=lambda value: f"_binary x'{value.hex()}'",
    between=(",", "),(", "(", ")"),
)
"""In a statement."""

FILE = Form(
    null="\\N",
    quote="",
    special=re.compile(r"[\\\t\n\0]"),
    escape=lambda text: text.translate(_ESCAPES),
    real="",
    data=bytes.hex,
    between=("\t", "\n", "", "\n"),
)
"""In a file whose values are between tabs; bytes are in hexadecimal digits."""


def columns_of(
    rows: Sequence[Sequence[Any]], numbers: range, binders: Sequence[Binder | None]
) -> list[Sequence[Any]]:
    """The columns of some rows, as the driver takes them.

    Args:
        rows: The rows.
        numbers: Of those that are meant.
        binders: What makes of a value what the driver takes, for each column.

    Raises:
        Unfit: A value is of a type that its column can't hold.
    """
    # Rows in between would be many objects at once, for which Python looks through all that there are.
    some = chosen_of(rows, numbers)
    columns: list[Sequence[Any]] = [column_of(some, place) for place in range(len(binders))]
    return bound_columns(columns, binders, numbers.start)


def bound_columns(
    columns: list[Sequence[Any]], binders: Sequence[Binder | None], first: int = 0
) -> list[Sequence[Any]]:
    """Columns of values as the driver takes them; see `columns_of`."""
    for place, bind in enumerate(binders):
        if bind is not None:
            columns[place] = _each(bind, columns[place], first, place)
    return columns


def encoded(form: Form, columns: Iterable[Sequence[Any]], first: int = 0) -> list[Texts]:
    """The columns, each of their values written.

    Raises:
        Unfit: A value is nothing that MariaDB has.
    """
    return [_encoded(form, values, first, place) for place, values in enumerate(columns)]


def _encoded(form: Form, values: Sequence[Any], first: int, place: int) -> Texts:
    try:
        return form.column(values)
    except (ValueError, TypeError):
        return _each(lambda value: form.column([value])[0], values, first, place)


def _each(make: Callable[[Any], Any], values: Sequence[Any], first: int, place: int) -> list[Any]:
    made: list[Any] = []
    try:
        for value in values:
            made.append(make(value))
    except Exception as error:
        raise Unfit(first + len(made), place) from error
    return made
