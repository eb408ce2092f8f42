"""Columns of Arrow are made of what a driver gives, mostly without Python."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from sqlalchemy import JSON, Boolean, Date, DateTime, Enum, Float, Interval, LargeBinary, Numeric, Time, Uuid

from penstock.backends.arrow import load_arrow
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.types import TypeEngine

    from penstock.backends.arrow import Plan

    Processor: TypeAlias = Callable[[Any], Any]
    Quick: TypeAlias = Callable[[Sequence[Any], Any], Any]

_DAY = 86_400_000_000
"""Microseconds of a day."""

_KEY = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


class ColumnMaker:
    """Makes arrays of the values of one column.

    Args:
        plan: How it becomes a column of a table.
        process: What SQLAlchemy makes of a value of the driver's; None where that is the same, or was done.
        is_raw: Whether the values are as the driver gives them.
    """

    def __init__(self, plan: Plan, process: Processor | None = None, *, is_raw: bool = False) -> None:
        self.plan = plan
        self._process = process
        self._quick = _quick_of(plan, process) if is_raw and process and not plan.computed else None

    def array(self, type_: Any, values: Sequence[Any]) -> Any:
        """An array; raises NotSupported.

        Args:
            type_: Its type; None if only the values tell.
            values: The values.
        """
        made = None if self._quick is None else _tried(self._quick, values, type_)
        if made is not None:
            return made
        process, shape = self._process, self.plan.shape
        if process is not None:
            values = [process(value) for value in values]
        if shape is not None:
            values = [None if value is None else shape(value) for value in values]
        return _array(self.plan.name, type_, values)


def unlike(name: str, type_: Any, why: str = "") -> NotSupported:
    """The error of a value that is not of its column's type; it does not say which value."""
    return NotSupported(
        f"Column {name!r} of the table has values that are no {type_ or 'type of Arrow'}.",
        why=why,
        hint="Say in the SELECT what they are: cast(column, Type).",
    )


def _array(name: str, type_: Any, values: Sequence[Any]) -> Any:
    arrow = load_arrow()
    try:
        return _whole(values, type_) if type_ == arrow.int64() else arrow.array(values, type=type_)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise unlike(name, type_) from error


def _whole(values: Sequence[Any], type_: Any) -> Any:
    """Whole numbers: told that they are, Arrow would cut off what is behind the point."""
    arrow = load_arrow()
    made = arrow.array(values)
    if arrow.types.is_floating(made.type) or arrow.types.is_null(made.type):
        return made.cast(type_)
    return made if made.type == type_ else arrow.array(values, type=type_)


# --- without Python -------------------------------------------------------------------------------
#
# Each of these makes at once what SQLAlchemy and a shape make value by value. It is right for the values
# that it was written for, and refuses others, which then go the long way; so it decides nothing.


def _tried(quick: Quick, values: Sequence[Any], type_: Any) -> Any:
    arrow = load_arrow()
    try:
        return quick(values, type_)
    except (arrow.ArrowException, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _quick_of(plan: Plan, process: Processor) -> Quick | None:
    """The quick way for a column; None where there is none."""
    kind = plan.kind
    if not type(kind).__module__.startswith("sqlalchemy."):
        return None  # An app's own type may do anything.
    if isinstance(kind, Enum):
        return _labels(process, plan.shape)
    if isinstance(kind, JSON):
        return _documents(process)
    if isinstance(kind, Numeric | Float) and plan.type != load_arrow().float64():
        return _decimals(process)
    return _probed(kind, process)


def _probed(kind: TypeEngine[Any], process: Processor) -> Quick | None:
    """The way whose probe SQLAlchemy reads as expected: a type may have a format of its own."""
    for of, given, meant, quick in _PROBES:
        if isinstance(kind, of) and _reads(process, given) in (meant, str(meant)):
            return quick
    return None


def _reads(process: Processor, value: Any) -> Any:
    try:
        return process(value)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None


def _strings(values: Sequence[Any]) -> Any:
    arrow = load_arrow()
    return arrow.array(values, type=arrow.string())


def _plain(values: Sequence[Any], type_: Any) -> Any:
    return load_arrow().array(values, type=type_)


def _truths(values: Sequence[Any], type_: Any) -> Any:
    arrow = load_arrow()
    made = arrow.array(values)
    return made.cast(type_) if made.type in (arrow.int64(), arrow.null()) else None


def _bytes(values: Sequence[Any], type_: Any) -> Any:
    return _plain(values, type_) if set(map(type, values)) <= {bytes, type(None)} else None


def _parsed(values: Sequence[Any], type_: Any) -> Any:
    """Moments or days; Python has no year 0."""
    arrow = load_arrow()
    texts = _strings(values)
    first = arrow.compute.min(texts).as_py()
    return texts.cast(type_) if first is None or first >= "0001" else None


def _parsed_utc(values: Sequence[Any], type_: Any) -> Any:
    moments = _parsed(values, load_arrow().timestamp("us"))
    return moments if moments is None else moments.cast(type_)


def _utc(values: Sequence[Any], type_: Any) -> Any:
    """Moments without a zone; what has one goes the long way."""
    if any(value is not None and value.tzinfo is not None for value in values):
        return None
    return load_arrow().array(values, type=type_)


def _clocks(values: Sequence[Any], type_: Any) -> Any:
    arrow = load_arrow()
    texts = arrow.compute.binary_join_element_wise("1970-01-01", _strings(values), " ")
    return texts.cast(arrow.timestamp("us")).view(type_)


def _clocks_of_spans(values: Sequence[Any], type_: Any) -> Any:
    arrow = load_arrow()
    numbers = arrow.array(values, type=arrow.duration("us")).view(arrow.int64())
    ends = arrow.compute.min_max(numbers).as_py()
    outside = ends["min"] is not None and (ends["min"] < 0 or ends["max"] >= _DAY)
    return None if outside else numbers.view(type_)


def _spans(values: Sequence[Any], type_: Any) -> Any:
    """How long after 1970, which is how SQLAlchemy stores them where there is no such type."""
    moments = _parsed(values, load_arrow().timestamp("us"))
    return moments if moments is None else moments.view(type_)


def _spans_of_moments(values: Sequence[Any], type_: Any) -> Any:
    arrow = load_arrow()
    return arrow.array(values, type=arrow.timestamp("us")).view(type_)


def _uuids(values: Sequence[Any], type_: Any) -> Any:
    compute = load_arrow().compute
    texts = _strings(values)
    if not _match(texts, "^[0-9a-f]{32}$"):
        return None
    return compute.replace_substring_regex(texts, "^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5")


def _written_uuids(values: Sequence[Any], type_: Any) -> Any:
    texts = _strings(values)
    return texts if _match(texts, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$") else None


def _match(texts: Any, pattern: str) -> bool:
    compute = load_arrow().compute
    return bool(compute.all(compute.match_substring_regex(texts, pattern), min_count=0).as_py())


def _labels(process: Processor, shape: Processor | None) -> Quick:
    """An enumeration has few values, so each is looked at once."""

    def quick(values: Sequence[Any], type_: Any) -> Any:
        made = {value: process(value) for value in set(values)}
        if shape is not None:
            made = {value: None if one is None else shape(one) for value, one in made.items()}
        return _strings([made[value] for value in values])

    return quick


def _documents(process: Processor) -> Quick:
    """JSON stays as it is written; what is none is found."""

    def text(value: Any) -> str | None:
        found = process(value)
        if found is None:
            return None
        return value if type(value) is str else json.dumps(found)

    return lambda values, _: _strings([None if value is None else text(value) for value in values])


def _decimals(process: Processor) -> Quick | None:
    """Decimal numbers of floating ones: rounded to as many digits as SQLAlchemy rounds to."""
    third = _reads(process, 1 / 3)
    if not isinstance(third, Decimal):
        return None
    write = f"%.{-int(third.as_tuple().exponent)}f".__mod__
    if str(third) != write(1 / 3):
        return None

    def quick(values: Sequence[Any], type_: Any) -> Any:
        arrow = load_arrow()
        if not arrow.compute.all(arrow.compute.is_finite(arrow.array(values, type=arrow.float64()))).as_py():
            return None
        return _strings([None if value is None else write(value) for value in values]).cast(type_)

    return quick


_PROBES: tuple[tuple[Any, Any, Any, Quick], ...] = (
    (Boolean, 1, True, _truths),
    (Numeric | Float, 1.5, 1.5, _plain),
    (LargeBinary, b"\0", b"\0", _bytes),
    (DateTime, "2001-02-03 04:05:06.000007", datetime(2001, 2, 3, 4, 5, 6, 7), _parsed),  # noqa: DTZ001
    (DateTime, "2001-02-03 04:05:06.000007", datetime(2001, 2, 3, 4, 5, 6, 7, UTC), _parsed_utc),
    (DateTime, datetime(2001, 2, 3), datetime(2001, 2, 3, tzinfo=UTC), _utc),  # noqa: DTZ001
    (Date, "2001-02-03", date(2001, 2, 3), _parsed),
    (Time, "04:05:06.000007", time(4, 5, 6, 7), _clocks),
    (Time, timedelta(hours=4, microseconds=7), time(4, 0, 0, 7), _clocks_of_spans),
    (Interval, "1970-01-02 00:00:00.000003", timedelta(days=1, microseconds=3), _spans),
    (Interval, datetime(1970, 1, 2, 0, 0, 0, 3), timedelta(days=1, microseconds=3), _spans_of_moments),  # noqa: DTZ001
    (Uuid, _KEY.hex, _KEY, _uuids),
    (Uuid, str(_KEY), _KEY, _written_uuids),
)
"""A type, what a driver may give, what SQLAlchemy then reads, and the way that does the same."""
