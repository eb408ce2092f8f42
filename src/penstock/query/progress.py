"""Reports the progress of a call that writes many rows."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.query.nonfinite import Missing, nulls_nan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.query.blocks import Block


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows have been sent so far, in a transaction that has not been committed.

    Where an engine's transaction was ended by the server and is tried again, it begins again, too.

    Args:
        rows: How many, of those that are given: also those that are skipped.
        total: How many are given; None where what is given does not say, as an iterator.
    """

    rows: int
    total: int | None = None


OnProgress: TypeAlias = Callable[[Progress], Any]
"""Is told after each block of rows; what it raises ends the call, and none of the rows is stored."""


class Options(Missing, total=False):
    """What the verbs take that write many rows.

    Attributes:
        on_progress: Is told how far it is.
    """

    on_progress: OnProgress | None


def options_of(*, nan: str = "keep", on_progress: OnProgress | None = None) -> tuple[bool, OnProgress | None]:
    """Whether NULL is stored for NaN, and what is told; see `nulls_nan`."""
    return nulls_nan(nan=nan), on_progress


def total_of(rows: object) -> int | None:
    """How many rows are given, where that is known before they are read."""
    return len(rows) if isinstance(rows, Sized) else None


def reported(
    blocks: Iterator[Block[Any]], on_progress: OnProgress | None, total: int | None
) -> Iterator[Block[Any]]:
    """The same blocks; of each it is told once it is written, which is when the next one is asked for."""
    for first, block in blocks:
        yield first, block
        if on_progress is not None:
            on_progress(Progress(first + len(block), total))
