"""Rows that have the same names are taken apart alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from penstock.backends.rows import Writing
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
        values: Takes the values that were given out of a row.
        defaults: Makes the others, that Python has to.
    """

    writing: Writing
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


class Later(Sequence[Sequence[Any]]):
    """Rows that are taken apart when they are read, so that not all are held twice."""

    def __init__(self, shape: Shape, given: Sequence[Mapping[str, Any]]) -> None:
        self._shape = shape
        self._given = given

    def __len__(self) -> int:
        return len(self._given)

    def __getitem__(self, which: Any) -> Any:
        try:
            if isinstance(which, slice):
                return list(map(self._shape.row, self._given[which]))
            return self._shape.row(self._given[which])
        except KeyError:
            raise Unlike from None

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for start in range(0, len(self), _AT_A_TIME):
            yield from self[start : start + _AT_A_TIME]


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
