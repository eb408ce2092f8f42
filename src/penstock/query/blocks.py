"""Rows are read a block at a time, never while a statement would spoil them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from penstock.backends.columnar import Columns
    from penstock.backends.rows import RowBackend

_Row = TypeVar("_Row")

Block: TypeAlias = "tuple[int, list[_Row]]"
"""The number of the first row, and the rows."""

_ROWS = 50_000
"""Rows that are held in memory at a time, and written in the order of their keys."""


def blocks_of(rows: Iterable[_Row], connection: Connection, backend: RowBackend) -> Iterator[Block[_Row]]:
    """The rows, of which the first are read now: before anything is sent.

    They may come from a result of the same connection that is read row by row. Where a statement would
    lose the rest of it, or add to it what is written, the rest is read first, however many rows it has.

    Args:
        rows: What is written.
        connection: Where to.
        backend: Of the connection.

    Raises:
        NotSupported: See `RowBackend.check`.
    """
    blocks = _read(rows, connection, backend)
    return chain(list(islice(blocks, 1)), blocks)


def blocks_of_columns(
    blocks: Iterable[tuple[int, Columns]], connection: Connection, backend: RowBackend
) -> Iterator[tuple[int, Columns]]:
    """The blocks of a frame, of which the first is read now. See `blocks_of`."""

    def read() -> Iterator[tuple[int, Columns]]:
        for block in blocks:
            backend.check(connection)
            yield block

    checked = read()
    return chain(list(islice(checked, 1)), checked)


def _read(rows: Iterable[_Row], connection: Connection, backend: RowBackend) -> Iterator[Block[_Row]]:
    rest, number = iter(rows), 0
    lazy = not isinstance(rows, Sequence)
    while block := list(islice(rest, _ROWS)):
        if lazy and backend.is_streaming(connection):
            block += rest
        backend.check(connection)  # What opened no stream before may have opened one by now.
        yield number, block
        number += len(block)
