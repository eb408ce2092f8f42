"""A file with rows: which columns it has, and its rows in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from penstock.loading.files import Input

BATCH = 50_000
"""Rows that are taken out of a file at a time, where its format does not say."""


class Source(ABC):
    """A file with rows.

    Args:
        given: Its bytes.

    Attributes:
        columns: What its columns are called, and the types that the file says they have.
        rows: How many rows there are; None if that is not known before they are read.
    """

    columns: Mapping[str, str]
    rows: int | None = None

    def __init__(self, given: Input) -> None:
        self._input = given

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._input.name

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._input.size

    @property
    def position(self) -> int:
        """How many of its bytes were read."""
        return self._input.position

    @abstractmethod
    def types(self) -> Mapping[str, Any]:
        """The types of Arrow that batches have for its columns."""

    @abstractmethod
    def batches(self, names: Sequence[str], documents: Collection[str]) -> Iterator[Any]:
        """Its rows as batches of Arrow.

        Args:
            names: The columns that are wanted.
            documents: Those of them whose values are documents, if the format has such.

        Raises:
            FileUnreadable: It is cut off, or of another format.
        """

    def place(self, row: int) -> str:
        """Where a row stands in the file, for people; the first is number 0 here, and 1 for them."""
        return f"row {row + 1}"

    def _check_columns(self, names: Sequence[str]) -> None:
        """Refuse a file that can't say which value is meant."""
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise self._input.unreadable(f" has two columns {', '.join(map(repr, twice))}.")
