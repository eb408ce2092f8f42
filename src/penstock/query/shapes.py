"""Rows that have the same names are taken apart alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from penstock.backends.rows import Parted, Writing
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import Column

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
    """

    writing: Writing
    names: tuple[str, ...]
    values: Callable[[Any], Sequence[Any]]
    defaults: Sequence[Callable[[], Any]]

    @property
    def row(self) -> Callable[[Any], Sequence[Any]]:
        """Makes a row's values in the order of the columns."""
        if not self.defaults:
            return self.values
        return lambda given: (*self.values(given), *(make() for make in self.defaults))


class Unlike(Exception):
    """Rows that seemed to have the same names have others."""


class Later(Parted):
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

    def chosen(self, numbers: Iterable[int]) -> Later:
        """Some of the rows, in this order."""
        return Later(self._shape, [self._given[number] for number in numbers])


@contextmanager
def _alike() -> Iterator[None]:
    """What is missing in a row is said as what it means: that it has other names than the first."""
    try:
        yield
    except KeyError:
        raise Unlike from None


def getter(names: tuple[str, ...], *, sequence: bool) -> Callable[[Any], Sequence[Any]]:
    """What takes the values with these names out of a row."""
    if sequence:
        return lambda row: row
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names) if names else lambda row: ()


def made_by_python(column: Column[Any], default: Any) -> Callable[[], Any] | None:
    """What makes a value that Python has to make, if a row has none."""
    if default is None:
        return None
    if default.is_scalar:
        return lambda: default.arg
    if default.is_callable:
        return lambda: default.arg(_NoContext)
    raise NotSupported(
        f"The default of {column} is made by the server for each row.",
        hint="Give rows a value for it, or declare it as server_default.",
    )


class _NoContext:
    """What a default is called with; one that wants to see the other values of its row can't."""

    @staticmethod
    def get_current_parameters(*_: object) -> Mapping[str, Any]:
        raise NotSupported("A default that looks at its row can't be made for many rows at once.")
