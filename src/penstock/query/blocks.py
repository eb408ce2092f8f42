"""Rows are read a block at a time, never while a statement would spoil them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from penstock.query.incoming import Frame

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


def blocks_of(
    rows: Iterable[Any] | Frame, connection: Connection, backend: RowBackend
) -> Iterator[tuple[int, Any]]:
    """The rows, or columns; the first of them are read now, before anything is sent.

    They may come from a result of the same connection that is read row by row. Where a statement would
    lose the rest of it, or add to it what is written, the rest is read first, however many rows it has.

    Args:
        rows: What is written.
        connection: Where to.
        backend: Of the connection.

    Raises:
        NotSupported: See `RowBackend.check`.
    """
    blocks: Iterator[tuple[int, Any]]
    if not isinstance(rows, Frame):
        blocks = _read(rows, connection, backend)
    elif backend.takes_columns:
        blocks = _read_columns(rows, connection, backend)
    else:
        blocks = _read(rows.rows(), connection, backend)
    return chain(list(islice(blocks, 1)), blocks)


def _read_columns(frame: Frame, connection: Connection, backend: RowBackend) -> Iterator[tuple[int, Columns]]:
    for block in frame.blocks():
        backend.check(connection)
        yield block


def _read(rows: Iterable[_Row], connection: Connection, backend: RowBackend) -> Iterator[Block[_Row]]:
    rest, number = iter(rows), 0
    lazy = not isinstance(rows, Sequence)
    while block := list(islice(rest, _ROWS)):
        if lazy and backend.is_streaming(connection):
            block += rest
        backend.check(connection)  # What opened no stream before may have opened one by now.
        yield number, block
        number += len(block)
