"""Columns of Arrow are made of the rows of a binary COPY."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Any

from penstock.backends.arrow import load_arrow, missing
from penstock.backends.column_makers import unlike
from penstock.backends.frames import fitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

_HEADER = 19
"""Bytes before the first row: the signature, the flags, the length of an extension, which is nothing."""

_TRAILER = b"\xff\xff"

_ROWS = 20_000
_BYTES = 32_000_000
"""What is decoded at a time. A row has 1 GB at most, and a column of Arrow can have 2."""

_TEXTS = (18, 19, 25, 1042, 1043)
"""Types that are sent as the bytes of a text: "char", name, text, char, varchar."""

_BYTEA = 17

_DAYS, _MICROSECONDS = 10_957, 946_684_800_000_000
"""How long after 1970 the server begins to count."""


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A type of one length.

    Args:
        code: How numpy calls it.
        type: How Arrow calls what it counts from 1970, or from midnight; empty for a plain number.
        since: What is added, so that it counts from then.
    """

    code: str
    type: str = ""
    since: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self.code[2:])


_FIXED = {
    16: _Fixed(">u1"),  # bool
    20: _Fixed(">i8"),  # int8
    21: _Fixed(">i2"),  # int2
    23: _Fixed(">i4"),  # int4
    26: _Fixed(">u4"),  # oid
    700: _Fixed(">f4"),  # float4
    701: _Fixed(">f8"),  # float8
    1082: _Fixed(">i4", "date32", _DAYS),  # date
    1083: _Fixed(">i8", "time64[us]"),  # time
    1114: _Fixed(">i8", "timestamp[us]", _MICROSECONDS),  # timestamp
    1184: _Fixed(">i8", "timestamp[us]", _MICROSECONDS),  # timestamptz
}
_BOOL = 16

_LISTS = {
    1000: 16, 1001: 17, 1002: 18, 1003: 19, 1005: 21, 1007: 23, 1009: 25, 1014: 1042, 1015: 1043, 1016: 20,
    1021: 700, 1022: 701, 1028: 26, 1115: 1114, 1182: 1082, 1183: 1083, 1185: 1184,
}  # fmt: skip
"""Types of arrays, and those of their elements."""


def is_decoded(oid: int) -> bool:
    """Whether values of a type can be decoded; others the server has to make texts of."""
    return oid in _FIXED or oid in _TEXTS or oid == _BYTEA or oid in _LISTS


def batches(rows: Iterable[Any], schema: pa.Schema, oids: Sequence[int], size: int | None) -> Iterator[Any]:
    """Batches of a table.

    Args:
        rows: What the server sends, one row in each piece.
        schema: Of the table.
        oids: The types of the columns, as the server numbers them.
        size: How many rows a batch has at most; None for as many as is convenient.

    Raises:
        NotSupported: A value is not of its column's type.
    """
    for data, ends in _pieces(rows, min(size or _ROWS, _ROWS)):
        yield _batch(data, ends, schema, oids)


def _pieces(rows: Iterable[Any], most: int) -> Iterator[tuple[bytearray, list[int]]]:
    """The bytes of rows, by the thousands, without what is before and after them; and where each ends."""
    data, ends = bytearray(), [0]
    before = _HEADER
    for row in rows:  # None is kept: of so many objects Python would look for garbage.
        each = row[before:] if before else row
        before = 0
        if len(each) <= len(_TRAILER):  # A row says how many values it has, and has some.
            continue
        data += each
        ends.append(len(data))
        if len(ends) > most or len(data) > _BYTES:
            yield data, ends
            data, ends = bytearray(), [0]
    if data:
        yield data, ends


def _batch(data: bytearray, ends: list[int], schema: pa.Schema, oids: Sequence[int]) -> Any:
    """One batch; rows are walked through side by side, a column at a time."""
    np, arrow = _numpy(), load_arrow()
    places = np.array(ends[:-1], np.int64) + 2
    piece = _Piece(data + bytes(8))  # So that there is something to read in the place of a NULL.
    arrays = []
    for field, oid in zip(schema, oids, strict=True):
        lengths = piece.numbers(places, ">i4").astype(np.int64)
        null = lengths < 0
        lengths[null] = 0
        places = places + 4
        made = piece.column(field, oid, places, lengths, null if null.any() else None)
        arrays.append(_fitted(field, made))
        places += lengths
    return arrow.record_batch(arrays, schema=schema)


class _Piece:
    """The bytes of some rows."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def numbers(self, places: Any, code: str) -> Any:
        """The numbers that begin at these places."""
        np = _numpy()
        width = len(self._data) - int(code[2:]) + 1
        return np.ndarray((width,), code, self._data, strides=(1,))[places]

    def column(self, field: pa.Field, oid: int, places: Any, lengths: Any, null: Any) -> Any:
        """Values of one type, as Arrow has them."""
        if oid in _LISTS:
            return self._lists(field, _LISTS[oid], places, null)
        fixed = _FIXED.get(oid)
        if fixed is None:
            made = self._bytes(places, lengths, null)
            return made if oid == _BYTEA else made.cast(load_arrow().string())
        return self._numbers(field, oid, fixed, places, null)

    def _numbers(self, field: pa.Field, oid: int, fixed: _Fixed, places: Any, null: Any) -> Any:
        np, arrow = _numpy(), load_arrow()
        values = self.numbers(places, fixed.code)
        values = values != 0 if oid == _BOOL else values.astype(fixed.code[1:])
        if fixed.since:
            limits = np.iinfo(values.dtype)
            known = (values > limits.min) & (values <= limits.max - fixed.since)
            if not (known if null is None else known | null).all():
                raise unlike(field.name, field.type, "It is infinity.")
            values = np.where(known, values, 0) + values.dtype.type(fixed.since)
        made = arrow.array(values, mask=null)
        return made.view(fixed.type) if fixed.type else made

    def _bytes(self, places: Any, lengths: Any, null: Any) -> Any:
        """Every second one of the parts into which the values cut the bytes."""
        np, arrow = _numpy(), load_arrow()
        count = len(places)
        if not count:  # Arrays may be empty, all of them.
            return arrow.array([], arrow.binary())
        cuts = np.empty(2 * count, np.int32)
        cuts[0::2], cuts[1::2] = places, places + lengths
        buffers = [None, arrow.py_buffer(cuts), arrow.py_buffer(self._data)]
        parts = arrow.Array.from_buffers(arrow.binary(), 2 * count - 1, buffers)
        return parts.take(arrow.array(np.arange(0, 2 * count, 2, dtype=np.int32), mask=null))

    def _lists(self, field: pa.Field, oid: int, places: Any, null: Any) -> Any:
        """Arrays: each says how many dimensions it has, and how long it is; elements are as values."""
        np, arrow = _numpy(), load_arrow()
        dimensions = self.numbers(places, ">i4")
        if null is not None:
            dimensions[null] = 0
        if (dimensions > 1).any():
            raise unlike(field.name, field.type, "It has several dimensions.")
        some = dimensions == 1
        begin = places[some]
        counts = self.numbers(begin + 12, ">i4").astype(np.int64)
        fixed = _FIXED.get(oid)
        if fixed is not None and not self.numbers(begin + 4, ">i4").any():  # None has a NULL.
            inner, lengths, absent = _steps(begin + 20, counts, 4 + fixed.size) + 4, None, None
        else:
            inner, lengths, absent = self._walked(begin + 20, counts)
        ends = np.zeros(len(places) + 1, np.int32)
        ends[1:][some] = counts
        elements = self.column(field, oid, inner, lengths, absent)
        made = arrow.array(np.cumsum(ends, dtype=np.int32))
        mask = None if null is None else arrow.array(null)
        return arrow.ListArray.from_arrays(made, elements, mask=mask)

    def _walked(self, places: Any, counts: Any) -> tuple[Any, Any, Any]:
        """Where elements of different lengths begin, how long they are, and which are NULL."""
        np, read = _numpy(), Struct(">i").unpack_from
        begin, lengths = [], []
        for first, count in zip(places.tolist(), counts.tolist(), strict=True):
            place = first
            for _ in range(count):
                (length,) = read(self._data, place)
                begin.append(place + 4)
                lengths.append(length)
                place += 4 + max(length, 0)
        long = np.array(lengths, np.int64)
        null = long < 0
        return np.array(begin, np.int64), np.where(null, 0, long), null if null.any() else None


def _steps(places: Any, counts: Any, step: int) -> Any:
    """So many places after each of these, one a step behind the other."""
    np = _numpy()
    before = np.cumsum(counts) - counts
    return np.repeat(places - before * step, counts) + np.arange(counts.sum(), dtype=np.int64) * step


def _fitted(field: pa.Field, array: Any) -> Any:
    """A column as the table has it."""
    types = load_arrow().types
    if types.is_binary(field.type) and not types.is_binary(array.type):
        raise unlike(field.name, field.type, f"The server sends {array.type}.")
    return fitted(field, array)


def _numpy() -> Any:
    try:
        import numpy as np
    except ImportError as error:
        raise missing("numpy", error) from error
    return np
