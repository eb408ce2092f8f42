"""Takes rows apart by their names, in the same way for rows of the same names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from sqlalchemy import SelectBase

from penstock.backends.rows import Parted, Writing
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Table

    from penstock.backends.columnar import Columns

    Make: TypeAlias = Callable[["RowContext"], Any]

_AT_A_TIME = 1000
"""Rows that are taken apart at a time."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows that have the same names: what is written of them.

    Args:
        writing: What is written.
        names: What mappings call the values that are given.
        values: Takes the values that were given out of a row.
        defaults: Makes the others, that Python has to.
        context: What it is called with.
        version: The place of the version that a row was read with; None if that is not given.
        renews: Whether Python makes the next one of it.
    """

    writing: Writing
    names: tuple[str, ...]
    values: Callable[[Any], Sequence[Any]]
    defaults: Sequence[Make]
    context: RowContext
    version: int | None = None
    renews: bool = False

    @property
    def row(self) -> Callable[[Any], Sequence[Any]]:
        """Makes a row's values in the order of the columns."""
        if not self.defaults:
            return self.values
        return self._with_defaults

    def completed(self, rows: Columns) -> Sequence[Sequence[Any]]:
        """Rows with what Python makes, for each row in turn; it can look at what is given."""
        if not self.defaults:
            return rows
        made = []
        for number in range(len(rows)):
            values = self.context.values = _Seen(rows, number)
            for make in self.defaults:
                values.more.append(make(self.context))
            made.append(values.more)
        return rows.with_more(list(map(list, zip(*made, strict=True))))

    def _with_defaults(self, given: Any) -> Sequence[Any]:
        values = [*self.values(given)]
        self.context.values = values
        for make in self.defaults:  # A default sees those before it.
            values.append(make(self.context))
        return values


class _Seen(Sequence[Any]):
    """A row as a default sees it: of what is given, Python makes values only if it looks."""

    def __init__(self, rows: Columns, number: int) -> None:
        self._rows = rows
        self._number = number
        self.more: list[Any] = []

    def __len__(self) -> int:
        return len(self._rows.columns) + len(self.more)

    def __getitem__(self, which: Any) -> Any:
        return list(self)[which]

    def __iter__(self) -> Iterator[Any]:
        return iter((*self._rows[self._number], *self.more))


class MixedShapes(Exception):
    """Rows that seemed to have the same names have others."""


class LazyRows(Parted):
    """Mappings of one shape; a column is what was given, not what Python makes."""

    def __init__(self, shape: Shape, given: Sequence[Mapping[str, Any]]) -> None:
        self._shape = shape
        self._given = given

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, which: Any) -> Any:
        with _alike():
            if isinstance(which, slice):
                return list(map(self._shape.row, self._given[which]))
            return self._shape.row(self._given[which])

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for start in range(0, len(self), _AT_A_TIME):
            yield from self[start : start + _AT_A_TIME]

    def column(self, place: int) -> list[Any]:
        """The values of one column; the others are not looked at."""
        with _alike():
            return list(map(itemgetter(self._shape.names[place]), self._given))

    def chosen(self, numbers: Iterable[int]) -> LazyRows:
        """Some of the rows, in this order."""
        return LazyRows(self._shape, [self._given[number] for number in numbers])


@contextmanager
def _alike() -> Iterator[None]:
    """What is missing in a row is said as what it means: that it has other names than the first."""
    try:
        yield
    except KeyError:
        raise MixedShapes from None


def getter(names: tuple[str, ...], *, sequence: bool) -> Callable[[Any], Sequence[Any]]:
    """What takes the values with these names out of a row."""
    if sequence:
        return lambda row: row
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names) if names else lambda row: ()


class RowContext:
    """What a default of Python's is called with: the row that it is made for, as SQLAlchemy shows it.

    Args:
        columns: Those that rows have values for, in order.
        table: Where they are written.
    """

    def __init__(self, columns: Sequence[Column[Any]], table: Table) -> None:
        self._keys = [column.key for column in columns]
        self._absent = {column.key: None for column in table.columns if column.server_default is None}
        self.values: Sequence[Any] = ()

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:
        """The values of the row, by the keys of columns; None for what has none."""
        return {**self._absent, **dict(zip(self._keys, self.values, strict=False))}

    @property
    def current_parameters(self) -> dict[str, Any]:
        """The same."""
        return self.get_current_parameters()

    def __getattr__(self, name: str) -> Any:
        raise NotSupported(
            f"A default looks at {name!r} of its context.",
            why="Many rows are written at once: there is nothing but the values of its row.",
            hint="Give rows a value for it.",
        )


class NoRow(RowContext):
    """What it is called with where a value is made for many rows."""

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> dict[str, Any]:
        """There are none; raises NotSupported."""
        raise NotSupported(
            "An onupdate looks at its row.",
            why="An upsert makes one value for all rows that are there.",
            hint="Give rows a value for it, or use bulk_update.",
        )


def made_by_python(default: Any) -> Make | None:
    """The function that makes the value of a Python-side `default` or `onupdate`; None if there is none."""
    if default is None or not (default.is_scalar or default.is_callable):
        return None
    if default.is_scalar:
        return lambda _: default.arg
    return cast("Make", default.arg)


def made_by_server(default: Any) -> ColumnElement[Any] | None:
    """The expression by which the server makes a value of a `default` or an `onupdate`; None if none is."""
    if default is None or default.is_scalar or default.is_callable:
        return None
    made = default.next_value() if default.is_sequence else default.arg
    made = made.scalar_subquery() if isinstance(made, SelectBase) else made
    return cast("ColumnElement[Any]", made.self_group())
