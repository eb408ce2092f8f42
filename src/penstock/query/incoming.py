"""Takes data frames and tables apart into rows, a block at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, JSON, Float, Integer, Numeric, Uuid

from penstock.backends.arrow import is_geometry, load_arrow, uuid_of
from penstock.backends.columnar import Columns, Held
from penstock.backends.values import null_of, plain
from penstock.errors import NotSupported, RowRefused
from penstock.query.given import check_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Column
    from sqlalchemy.types import TypeEngine

    from penstock.query.target import Target

    Convert: TypeAlias = Callable[[Any], Any]

_HAS_SRID = 0x20000000
_BLOCK = 50_000
"""Rows that are taken out of a frame at a time."""


def frame_of(given: Any, target: Target, columns: Sequence[str] | None = None) -> Frame | None:
    """What is given, if it is a data frame or a table; None if it is anything else.

    Args:
        given: Rows, or a frame.
        target: Where they are to be stored.
        columns: What the caller says that rows hold; of a frame nothing must be said.

    Raises:
        NotSupported: It is a query that has not run yet, or two of its columns have one name.
        UnknownColumn: A column of it is none of the target's.
        MissingExtra: `penstock[frames]` is not installed.
        WrongObject: These are no rows.
    """
    kind = type(given)
    if kind.__name__ == "LazyFrame":
        raise NotSupported("A lazy frame has no rows yet.", hint="Give frame.collect().")
    if kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas":
        frame: Frame = _Pandas(given, target)
    elif hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__"):
        frame = _Stream(given, target)
    else:
        check_rows(given)
        return None
    if columns is not None:
        raise NotSupported("A frame names its columns itself.", hint="Leave columns=(…) out.")
    return frame


class Frame:
    """A data frame or a table, whose columns are those of a target.

    Attributes:
        names: What its columns are called.
    """

    def __init__(self, names: Sequence[Any], target: Target) -> None:
        twice = sorted({str(name) for name in names if list(names).count(name) > 1})
        if twice:
            raise NotSupported(f"Two columns of the frame are called {', '.join(map(repr, twice))}.")
        unknown = [name for name in names if name not in target.columns]
        if unknown:
            raise target.unknown(*unknown)
        self.names = tuple(names)
        self._columns = [target.columns[name] for name in names]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Its rows, as SQLAlchemy takes their values."""
        first = 0
        for block in self._blocks():
            columns = [
                _converted(column, values, first) for column, values in zip(self._columns, block, strict=True)
            ]
            yield from zip(*columns, strict=True)
            first += len(columns[0]) if columns else 0

    def blocks(self) -> Iterator[tuple[int, Columns]]:
        """Its rows, 50,000 at a time but for the last ones, with the number of the first of them."""
        first = 0
        for arrays in self._parts():
            held = [
                self._held(column, each, first) for column, each in zip(self._columns, arrays, strict=True)
            ]
            count = len(arrays[0]) if arrays else 0
            if count:
                yield first, Columns(count, held)
            first += count

    def _held(self, column: Column[Any], given: Any, first: int) -> Held:
        """One column of a block, of what `_parts` gives."""

        def make(part: Any, start: int) -> list[Any]:
            return _converted(column, _of_array(column, part), first + start)

        if load_arrow().types.is_floating(given.type) and isinstance(column.type, Integer):
            given = _whole(given)
        return Held(given, make, converts=_converter(column.type) is not None)

    def mappings(self) -> Iterator[dict[str, Any]]:
        """Its rows, by attribute."""
        return (dict(zip(self.names, row, strict=True)) for row in self.rows())

    def _blocks(self) -> Iterator[list[list[Any]]]:
        """The values of each column, of some rows at a time."""
        raise NotSupported("A frame of no known kind.")

    def _parts(self) -> Iterator[list[Any]]:
        """The arrays of each column, of as many rows as there are in a block."""
        raise NotSupported("A frame of no known kind.")


class _Stream(Frame):
    """Whatever gives its rows as a stream of Arrow."""

    def __init__(self, given: Any, target: Target) -> None:
        arrow = load_arrow()
        objects = [name for name, kind in _schema(given) if str(kind) == "Object"]
        if objects:  # Of these, polars gives others where they are in memory.
            raise NotSupported(
                f"The frame's {objects[0]} has objects of Python.", hint="Give its rows: frame.iter_rows()."
            )
        try:
            self._reader = _reader(given)
        except (arrow.ArrowException, TypeError, ValueError) as error:
            raise NotSupported(
                f"A {type(given).__name__} is no table.", why=f"Arrow can't read it ({type(error).__name__})."
            ) from error
        super().__init__(self._reader.schema.names, target)

    def _blocks(self) -> Iterator[list[list[Any]]]:
        for batch in self._reader:
            for start in range(0, batch.num_rows, _BLOCK):
                some = batch.slice(start, _BLOCK)
                yield list(map(_of_array, self._columns, some.columns))

    def _parts(self) -> Iterator[list[Any]]:
        waiting: list[Any] = []
        for batch in self._reader:
            start = 0
            while start < batch.num_rows:
                some = batch.slice(start, _BLOCK - sum(map(len, waiting)))
                start += some.num_rows
                waiting.append(some)
                if sum(map(len, waiting)) == _BLOCK:
                    yield _joined(waiting)
                    waiting = []
        if waiting:
            yield _joined(waiting)


class _Pandas(Frame):
    """A data frame of pandas: its columns, not its index."""

    def __init__(self, given: Any, target: Target) -> None:
        load_arrow()
        self._given = given
        super().__init__(list(given.columns), target)

    def _blocks(self) -> Iterator[list[list[Any]]]:
        for start in range(0, len(self._given), _BLOCK):
            some = self._given.iloc[start : start + _BLOCK]
            yield [
                _of_series(column, some[name]) for column, name in zip(self._columns, self.names, strict=True)
            ]

    def _parts(self) -> Iterator[list[Any]]:
        for start in range(0, len(self._given), _BLOCK):
            some = self._given.iloc[start : start + _BLOCK]
            yield [some[name] for name in self.names]

    def _held(self, column: Column[Any], given: Any, first: int) -> Held:
        array = _texts(given) if given.dtype == object else _array(column, given)
        if array is None:
            return Held.of_values(_converted(column, _of_series(column, given), first))
        return super()._held(column, array, first)


def _schema(given: Any) -> Iterable[tuple[str, Any]]:
    """What the columns of a frame of polars are called, and their types; nothing of another."""
    of_polars = type(given).__module__.partition(".")[0] == "polars" and hasattr(given, "columns")
    return given.schema.items() if of_polars else ()


def _reader(given: Any) -> Any:
    arrow = load_arrow()
    if isinstance(given, arrow.RecordBatchReader):
        return given
    if hasattr(given, "__arrow_c_stream__"):
        return arrow.RecordBatchReader.from_stream(given)
    batch = arrow.record_batch(given)
    return arrow.RecordBatchReader.from_batches(batch.schema, [batch])


def _joined(batches: Sequence[Any]) -> list[Any]:
    """The arrays of each column of some batches, one after the other."""
    return [_one(parts) for parts in zip(*(batch.columns for batch in batches), strict=True)]


def _one(parts: Sequence[Any]) -> Any:
    arrow = load_arrow()
    parts = list(map(_without_views, parts))
    if len(parts) > 1 and arrow.types.is_dictionary(parts[0].type):  # Each may have its own.
        parts = [part.dictionary_decode() for part in parts]
    return parts[0] if len(parts) == 1 else arrow.concat_arrays(parts)


def _without_views(array: Any) -> Any:
    """The array; texts and bytes that are views as such, of which Arrow can't take some."""
    arrow, types = load_arrow(), load_arrow().types
    if types.is_dictionary(array.type):
        known = _without_views(array.dictionary)
        return array if known is array.dictionary else arrow.DictionaryArray.from_arrays(array.indices, known)
    if types.is_string_view(array.type):
        return array.cast(arrow.large_string())
    return array.cast(arrow.large_binary()) if types.is_binary_view(array.type) else array


# --- values of pandas -----------------------------------------------------------------------------


def _of_series(column: Column[Any], series: Any) -> list[Any]:
    """The values of a column; what pandas calls missing is None."""
    if series.dtype == object:
        return [
            None if missing else plain(value)
            for value, missing in zip(series.tolist(), series.isna().tolist(), strict=True)
        ]
    return _of_array(column, _array(column, series))


def _texts(series: Any) -> Any | None:
    """The array of a column of objects that are all texts; None if they are not."""
    arrow = load_arrow()
    known = series.notna().to_numpy()
    if not (known.any() and isinstance(series.iloc[known.argmax()], str)):
        return None
    try:
        array = arrow.array(series)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return array if array.type == arrow.string() else None


def _array(column: Column[Any], series: Any) -> Any:
    """The array of a column of no objects."""
    arrow = load_arrow()
    try:
        array = arrow.array(series)  # What is missing is NULL in it.
    except (arrow.ArrowException, TypeError, ValueError) as error:
        raise _no_column(column, f"It is {series.dtype}.") from error
    return _without_views(array.combine_chunks() if isinstance(array, arrow.ChunkedArray) else array)


# --- values of Arrow ------------------------------------------------------------------------------


def _of_array(column: Column[Any], array: Any) -> list[Any]:
    """The values of an array as Python has them."""
    arrow, types = load_arrow(), load_arrow().types
    if isinstance(array, arrow.ChunkedArray):
        array = array.combine_chunks()
    if types.is_dictionary(array.type):
        known = _of_array(column, array.dictionary)
        return [None if place is None else known[place] for place in array.indices.to_pylist()]
    if isinstance(array.type, arrow.BaseExtensionType):
        if array.type.extension_name == "arrow.uuid":
            return list(array.to_pylist())  # Its bytes would be no UUID for a column of texts.
        array = _storage(column, array)
    if types.is_floating(array.type) and isinstance(column.type, Integer):
        array = _whole(array)
    if types.is_nested(array.type):
        return list(array.to_pylist())
    return _fast(array)


def _storage(column: Column[Any], array: Any) -> Any:
    name = array.type.extension_name
    if not name.startswith("arrow."):
        raise _no_column(column, f"It is {array.type}.")
    return array.storage


def _whole(array: Any) -> Any:
    """Whole numbers as such; some others among them are left to the server."""
    arrow = load_arrow()
    try:
        return array.cast(arrow.float64()).cast(arrow.int64())
    except arrow.ArrowInvalid:
        return array


def _fast(array: Any) -> list[Any]:
    """The values, by way of numpy where that is faster and says NULL."""
    arrow, types = load_arrow(), load_arrow().types
    kind = array.type
    if types.is_timestamp(kind):
        return _moments(array)
    if types.is_time(kind):
        array = array.cast(arrow.time64("us"), safe=False)
    elif types.is_duration(kind):
        array = array.cast(arrow.duration("us"), safe=False)
    elif types.is_date(kind):
        array = array.cast(arrow.date32())
    spoken = (types.is_duration, types.is_date, types.is_string, types.is_large_string)
    numbers = types.is_integer(kind) or types.is_floating(kind)
    if any(is_so(kind) for is_so in spoken) or (numbers and array.null_count == 0):
        return list(array.to_numpy(zero_copy_only=False).tolist())
    return list(array.to_pylist())


def _moments(array: Any) -> list[Any]:
    """Moments, in the zone that they have if they have one: what is stored without it is the time there."""
    arrow = load_arrow()
    name = array.type.tz
    if array.type.unit == "ns":  # A cast would round to 1970.
        array = arrow.compute.floor_temporal(array.cast(arrow.timestamp("ns")), unit="microsecond")
    found = array.cast(arrow.timestamp("us"), safe=False).to_numpy(zero_copy_only=False).tolist()
    if name is None:
        return list(found)
    zone = _zone(name)
    return [
        value.replace(tzinfo=UTC).astimezone(zone) if isinstance(value, datetime) else value
        for value in found
    ]


def _zone(name: str) -> tzinfo:
    """A zone by what Arrow calls it: a name, or its distance from UTC."""
    if name in ("UTC", "+00:00"):
        return UTC
    sign = name[0]
    return datetime.strptime(name, "%z").tzinfo or UTC if sign in "+-" else ZoneInfo(name)


def _is_floating(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, Float) and not kind.asdecimal


# --- values of columns ----------------------------------------------------------------------------


def _converted(column: Column[Any], values: list[Any], first: int) -> list[Any]:
    """The values as SQLAlchemy takes them for a column."""
    convert, none = _converter(column.type), null_of(column.type)
    if convert is None:
        return values
    found: list[Any] = []
    try:
        for value in values:
            found.append(none if value is None else convert(value))
    except (ValueError, ArithmeticError) as error:
        raise RowRefused(
            f"Row {first + len(found)} can't be stored for its {column.name}.",
            why=f"That value is not of its type: {column.type}.",
            row=first + len(found),
        ) from error
    return found


def _converter(kind: TypeEngine[Any]) -> Convert | None:
    """What makes of a value that a frame could only say by another type what SQLAlchemy takes."""
    if isinstance(kind, ARRAY):
        inner = _converter(kind.item_type)
        return None if inner is None else lambda values: _each(inner, values)
    if isinstance(kind, JSON):
        return lambda value: json.loads(value) if isinstance(value, str) else value
    if is_geometry(kind):
        srid: int = kind.srid  # type: ignore[attr-defined]  # GeoAlchemy's
        return lambda value: _geometry(value, srid)
    if isinstance(kind, Numeric) and not _is_floating(kind):
        return lambda value: Decimal(value) if isinstance(value, str) else value
    if isinstance(kind, Uuid):
        return uuid_of if kind.as_uuid else lambda value: str(value) if isinstance(value, UUID) else value
    return None


def _each(convert: Convert, values: Any) -> Any:
    if isinstance(values, list):
        return [None if value is None else _each(convert, value) for value in values]
    return convert(values)


def _geometry(value: Any, srid: int) -> Any:
    """A shape from its bytes, which may name a system of coordinates, or leave it to the column.

    They are WKB as PostGIS extends it: a bit in the type says that there is an SRID.
    """
    if not isinstance(value, bytes):
        return value
    from geoalchemy2 import WKBElement

    (kind,) = Struct("<I" if value[0] else ">I").unpack_from(value, 1)
    return WKBElement(value, extended=True) if kind & _HAS_SRID else WKBElement(value, srid, extended=False)


def _no_column(column: Column[Any], why: str) -> NotSupported:
    return NotSupported(
        f"The frame's {column.name} is of a type that can't be stored.",
        why=why,
        hint="Make another column of it first: of texts, numbers, moments.",
    )
