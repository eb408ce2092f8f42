"""Rows that are held as columns: Python makes values only where it has to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from penstock.backends.arrow import load_arrow
from penstock.backends.rows import Parted
from penstock.backends.values import column_without_nan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Column

_AT_A_TIME = 500


class Held:
    """The values of one column.

    Args:
        array: An array of Arrow; None if there are only values of Python's.
        make: Makes values of Python's of the array, or of a part of it that begins at this row.
        converts: Whether what it makes is of another type for some of the values.
    """

    def __init__(
        self, array: Any | None, make: Callable[[Any, int], list[Any]], *, converts: bool = False
    ) -> None:
        self.array = array
        self.converts = converts
        self._make = make
        self._values: list[Any] | None = None

    @classmethod
    def of_values(cls, values: list[Any]) -> Held:
        """Values of Python's."""
        return cls(None, lambda _, __: values)

    @property
    def values(self) -> list[Any]:
        """All of them as Python has them; they are made once."""
        if self._values is None:
            self._values = self._make(self.array, 0)
        return self._values

    def each(self) -> Iterator[Any]:
        """One after the other: few are made if few are looked at."""
        if self.array is None or self._values is not None:
            yield from self.values
            return
        for start in range(0, len(self.array), _AT_A_TIME):
            yield from self._make(self.array.slice(start, _AT_A_TIME), start)

    def chosen(self, numbers: Sequence[int]) -> Held:
        """Some of the values, in this order."""
        return _Chosen(
            _taken(self.array, numbers),
            lambda _, __: [self.values[n] for n in numbers],
            converts=self.converts,
        )

    def without_nan(self, column: Column[Any]) -> Held:
        """The same, with NULL for NaN, NaT and NA."""
        arrow = load_arrow()
        if self.array is None or self.converts or not _is_plain(self.array.type):
            return Held.of_values(column_without_nan(column, self.values))
        if not arrow.types.is_floating(self.array.type):
            return self
        missing = arrow.scalar(None, self.array.type)
        array = arrow.compute.if_else(arrow.compute.is_nan(self.array), missing, self.array)
        return Held(array, self._make)


def _is_plain(kind: Any) -> bool:
    """Whether only a number of this type can be NaN, and nothing inside of it."""
    types = load_arrow().types
    inside = types.is_nested(kind) or (types.is_dictionary(kind) and types.is_floating(kind.value_type))
    return not (inside or isinstance(kind, load_arrow().BaseExtensionType))


def _taken(array: Any | None, numbers: Sequence[int]) -> Any | None:
    """Some of an array; None if Arrow can't take some of its type."""
    arrow = load_arrow()
    try:
        return None if array is None else array.take(arrow.array(numbers, "int64"))
    except arrow.ArrowNotImplementedError:
        return None


class _Chosen(Held):
    """Values that are known by other numbers than those they were given with: they are made by these."""

    def each(self) -> Iterator[Any]:
        yield from self.values


class Columns(Parted):
    """Rows, by their columns.

    Args:
        count: How many there are.
        columns: Their columns.
    """

    def __init__(self, count: int, columns: Sequence[Held]) -> None:
        self._count = count
        self.columns = columns

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, which: int) -> Sequence[Any]: ...

    @overload
    def __getitem__(self, which: slice) -> Sequence[Sequence[Any]]: ...

    def __getitem__(self, which: int | slice) -> Any:
        values = [held.values[which] for held in self.columns]
        return list(zip(*values, strict=True)) if isinstance(which, slice) else tuple(values)

    def __iter__(self) -> Iterator[Sequence[Any]]:
        return zip(*(held.values for held in self.columns), strict=True)

    def column(self, place: int) -> list[Any]:
        """The values of one column."""
        return self.columns[place].values

    def chosen(self, numbers: Iterable[int]) -> Columns:
        """Some of the rows, in this order."""
        places = list(numbers)
        return Columns(len(places), [held.chosen(places) for held in self.columns])

    def with_more(self, more: Sequence[list[Any]]) -> Columns:
        """The same rows, with more columns of values."""
        return Columns(self._count, [*self.columns, *map(Held.of_values, more)])

    def without_nan(self, columns: Sequence[Column[Any]]) -> Columns:
        """The same rows, with NULL for NaN, NaT and NA, also in documents and arrays."""
        made = [held.without_nan(column) for held, column in zip(self.columns, columns, strict=True)]
        return Columns(self._count, made)


def each_of(rows: Sequence[Sequence[Any]], place: int) -> Iterator[Any]:
    """The values of one column of rows, which are made when they are looked at."""
    return rows.columns[place].each() if isinstance(rows, Columns) else (row[place] for row in rows)
