"""Columns of Arrow become the bytes of a binary COPY, without values of Python's."""

from __future__ import annotations

import codecs
import logging
from datetime import date, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.backends.arrow import load_arrow
from penstock.backends.postgresql.encoder import single
from penstock.backends.rows import Unfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from penstock.backends.columnar import Columns, Held
    from penstock.backends.postgresql.encoder import Field

    Rule: TypeAlias = Callable[[Any], Any]
    """Makes of an array one that pgpq writes as the column wants it; or None, or raises if it can't."""

_logger = logging.getLogger(__name__)

_AT_A_TIME = 4096
"""Rows that are encoded while the server stores those before them."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (of types with and without time zone)
_EARLIEST, _LATEST = datetime.min, datetime.max  # noqa: DTZ901
_DAY = 86_400_000_000
"""A day in microseconds."""

_UTF8 = "utf-8"


def streamed(
    rows: Columns, fields: Sequence[Field], codec: str, names: Sequence[str]
) -> Iterator[bytes] | None:
    """What is sent for rows; None if it is left to the way of rows.

    A column whose type Arrow and pgpq do not know, or write otherwise, is encoded by itself from its values
    as Python has them.

    Args:
        rows: The rows.
        fields: How each column is written.
        codec: In what the server expects texts, as Python calls it.
        names: What the columns are called.

    Raises:
        Unfit: A value is of a type that its column can't hold.
    """
    encoder_of = _pgpq()
    if encoder_of is None:
        return None
    arrays = [_native(held, field, codec) for held, field in zip(rows.columns, fields, strict=True)]
    by_python = [name for name, array in zip(names, arrays, strict=True) if array is None]
    if by_python:
        _logger.debug("Python makes the values of %s", ", ".join(by_python))
    if len(by_python) == len(arrays):
        return None
    for number, (held, field) in enumerate(zip(rows.columns, fields, strict=True)):
        if arrays[number] is None:
            arrays[number] = _by_python(number, held, field, codec)
    arrow = load_arrow()
    batch = arrow.RecordBatch.from_arrays(arrays, [f"c{number}" for number in range(len(arrays))])
    return _pieces(encoder_of(batch.schema), batch)


def _pieces(encoder: Any, batch: Any) -> Iterator[bytes]:
    yield encoder.write_header()
    for start in range(0, batch.num_rows, _AT_A_TIME):
        yield encoder.write_batch(batch.slice(start, _AT_A_TIME))
    yield encoder.finish()  # What it still holds, and the end.


@cache
def _pgpq() -> Any | None:
    try:
        from pgpq import ArrowToPostgresBinaryEncoder
    except ImportError:
        return None
    return ArrowToPostgresBinaryEncoder


def _by_python(number: int, held: Held, field: Field, codec: str) -> Any:
    """One column, whose values Python has made bytes of: these are sent as they are."""
    values = held.values
    try:
        made = single(field, values, codec)
    except Exception as error:  # Which one it is is found by the way of rows.
        raise Unfit(0, number) from error
    return load_arrow().array(made, "binary")


def _native(held: Held, field: Field, codec: str) -> Any | None:
    """The array that is sent for a column; None if there is none that stands for the same."""
    arrow = load_arrow()
    array = held.array
    if array is None or not field.oid:
        return None
    if arrow.types.is_null(array.type):
        return arrow.nulls(len(array), "binary")
    rules = _CONVERTED if held.converts else _RULES
    rule = rules.get(field.oid)
    if rule is None or (field.oid in _OF_TEXTS and codecs.lookup(codec).name != _UTF8):
        return None
    try:
        return rule(array.dictionary_decode() if arrow.types.is_dictionary(array.type) else array)
    except (arrow.ArrowException, ValueError, TypeError, OverflowError):
        return None


# --- rules ----------------------------------------------------------------------------------------


def _integer(bits: int, array: Any) -> Any | None:
    types = load_arrow().types
    return array.cast(f"int{bits}") if types.is_integer(array.type) else None


def _float(bits: int, array: Any) -> Any | None:
    """A number; one that is rounded to infinity is refused."""
    arrow = load_arrow()
    if not (arrow.types.is_floating(array.type) or arrow.types.is_integer(array.type)):
        return None
    made = array.cast(f"float{bits}")
    known = array if arrow.types.is_floating(array.type) else made
    lost = arrow.compute.and_(arrow.compute.is_finite(known), arrow.compute.is_inf(made))
    return None if arrow.compute.any(lost).as_py() else made


def _truth(array: Any) -> Any | None:
    return array if load_arrow().types.is_boolean(array.type) else None


def _text(array: Any) -> Any | None:
    types = load_arrow().types
    known = types.is_string(array.type) or types.is_large_string(array.type)
    return array if known or types.is_string_view(array.type) else None


def _bytes(array: Any) -> Any | None:
    types = load_arrow().types
    if types.is_binary_view(array.type):
        return array.cast("large_binary")
    known = types.is_binary(array.type) or types.is_large_binary(array.type)
    return array if known or types.is_fixed_size_binary(array.type) else None


def _date(array: Any) -> Any | None:
    arrow = load_arrow()
    if not arrow.types.is_date(array.type):
        return None
    made = array.cast("date32")
    return made if _is_within(made.cast("int32"), *map(_days, (date.min, date.max))) else None


def _time(array: Any) -> Any | None:
    arrow = load_arrow()
    if not arrow.types.is_time(array.type):
        return None
    made = array.cast(arrow.time64("us"), safe=False)
    return made if _is_within(made.cast("int64"), 0, _DAY - 1) else None


def _moment(array: Any, *, zoned: bool) -> Any | None:
    """Moments to the microsecond, as far as Python has them in every zone."""
    arrow = load_arrow()
    if not arrow.types.is_timestamp(array.type) or (array.type.tz is not None) is not zoned:
        return None
    array = array.cast(arrow.timestamp(array.type.unit))
    if array.type.unit == "ns":  # A cast would round to 1970.
        array = arrow.compute.floor_temporal(array, unit="microsecond")
    made = array.cast(arrow.timestamp("us"))
    margin = timedelta(days=1 if zoned else 0)
    return made if _is_within(made.cast("int64"), _us(_EARLIEST + margin), _us(_LATEST - margin)) else None


def _span(array: Any) -> Any | None:
    """Spans of time: in days, and the rest in microseconds, as Python has them."""
    arrow = load_arrow()
    if not arrow.types.is_duration(array.type):
        return None
    import numpy as np

    whole = array.cast(arrow.duration("us"), safe=False).cast("int64")
    days, rest = np.divmod(whole.fill_null(0).to_numpy(), _DAY)
    made = np.zeros(len(array), [("rest", ">i8"), ("days", ">i4"), ("months", ">i4")])
    made["rest"], made["days"] = rest, days
    return _fixed(made.tobytes(), 16, array)


def _uuid(array: Any) -> Any | None:
    arrow = load_arrow()
    if isinstance(array.type, arrow.BaseExtensionType):
        array = array.storage if array.type.extension_name == "arrow.uuid" else arrow.nulls(0)
    return array if array.type == arrow.binary(16) else None


def _decimal(array: Any) -> Any | None:
    """Decimal numbers, with as many digits after the point as they say."""
    arrow = load_arrow()
    if arrow.types.is_integer(array.type):
        return array.cast(arrow.decimal128(20, 0))
    if not arrow.types.is_decimal(array.type) or array.type.scale < 0:
        return None
    digits = min(array.type.precision, 38)
    return array.cast(arrow.decimal128(digits, array.type.scale))


def _list(rule: Rule, kind: str, array: Any) -> Any | None:
    """Lists of one dimension, of what a rule takes."""
    arrow = load_arrow()
    types = arrow.types
    listed = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    if not any(is_so(array.type) for is_so in listed) or rule(arrow.array([], array.type.value_type)) is None:
        return None
    return array.cast(arrow.list_(getattr(arrow, kind)()))


# --- help -----------------------------------------------------------------------------------------


def _is_within(whole: Any, least: int, most: int) -> bool:
    found = load_arrow().compute.min_max(whole).as_py()
    return found["min"] is None or (least <= found["min"] and found["max"] <= most)


def _days(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _fixed(data: bytes, size: int, like: Any) -> Any:
    """An array of values of one length, with NULL where another has it."""
    arrow = load_arrow()
    made = arrow.FixedSizeBinaryArray.from_buffers(
        arrow.binary(size), len(like), [None, arrow.py_buffer(data)], null_count=0
    )
    missing = arrow.scalar(None, made.type)
    return arrow.compute.if_else(like.is_null(), missing, made) if like.null_count else made


_RULES: dict[int, Rule] = {
    16: _truth,
    17: _bytes,
    20: partial(_integer, 64),
    21: partial(_integer, 16),
    23: partial(_integer, 32),
    25: _text,
    700: partial(_float, 32),
    701: partial(_float, 64),
    1009: partial(_list, _text, "string"),
    1016: partial(_list, partial(_integer, 64), "int64"),
    1022: partial(_list, partial(_float, 64), "float64"),
    1042: _text,
    1043: _text,
    1082: _date,
    1083: _time,
    1114: partial(_moment, zoned=False),
    1184: partial(_moment, zoned=True),
    1186: _span,
    1700: _decimal,
    2950: _uuid,
}
"""By the number of the column's type, where the values are what the column takes."""

_OF_TEXTS = (25, 1009, 1042, 1043)

_CONVERTED: dict[int, Rule] = {1700: _decimal, 2950: _uuid}
"""The rules for columns whose values Python converts from other types."""
