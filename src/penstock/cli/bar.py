"""A bar that grows while files are loaded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from penstock.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bar:
    """How far files are loaded, on stderr; nothing where nobody looks.

    Args:
        sizes: How many bytes each file has.
    """

    def __init__(self, sizes: list[int]) -> None:
        self._sizes = sizes
        self._shown: Any = None
        self._task: Any = None
        self._rows = 0

    @contextmanager
    def growing(self) -> Iterator[None]:
        """A block during which it is shown."""
        if not output.is_terminal(err=True):
            yield
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]:,} rows"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=output.console(err=True), transient=True) as self._shown:
            self._task = self._shown.add_task("", total=sum(self._sizes), rows=0, rate="")
            yield

    def file(self, number: int, name: str) -> None:
        """A file's turn begins.

        Args:
            number: Which of them.
            name: What it is called.
        """
        if self._shown is not None:
            which = f"{number + 1} of {len(self._sizes)}: " if len(self._sizes) > 1 else ""
            self._shown.update(
                self._task, description=f"{which}{output.clean(name)}", completed=sum(self._sizes[:number])
            )

    def told(self, number: int, position: int, rows: int) -> None:
        """It has come so far.

        Args:
            number: Which of the files.
            position: How many bytes of it were read.
            rows: How many rows were sent, of all files.
        """
        if self._shown is None:
            return
        done = sum(self._sizes[:number]) + min(position, self._sizes[number])
        seconds = self._shown.tasks[0].elapsed or 0
        self._shown.update(self._task, completed=done, rows=rows, rate=rate(rows, seconds))
        self._shown.refresh()  # It is told once per block, so seldom enough.


def rate(rows: int, seconds: float) -> str:
    """How fast it goes, for people.

    >>> rate(1_000_000, 2.0)
    '500,000 rows/s'
    """
    return f"{rows / seconds:,.0f} rows/s" if seconds else ""
