"""CSV: every field is read as text, so that none is guessed to be something else."""

from __future__ import annotations

import csv
from io import RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, Any, cast

from penstock.backends.arrow import load_arrow
from penstock.loading.sources import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from io import BufferedIOBase

    from penstock.loading.files import Input

_BLOCK = 2_000_000
"""Bytes of text that are taken apart at a time; Arrow reads up to 32 such blocks ahead."""

_END = r"\."
"""Each field of the row that is put behind the last one; PostgreSQL ends its files so."""


class Delimited(Source):
    """A file of CSV, whose first line has the names of the columns.

    Args:
        given: Its bytes.
        delimiter: What is between two fields.
        null: What stands for NULL, where it is not in quotes.
    """

    def __init__(self, given: Input, delimiter: str, null: str) -> None:
        super().__init__(given)
        self._delimiter, self._null = delimiter, null
        self._sealed: _Sealed | None = None
        self._taken = 0
        with given.reading(csv.Error):
            names = next(self._records(), (1, []))[1]
        if not names:
            raise given.unreadable(" has no names of columns in its first line.")
        self._check_columns(names)
        self.columns = dict.fromkeys(names, "text")

    @property
    def position(self) -> int:
        """How many of its bytes hold the rows that were taken: many more have been read."""
        if self._sealed is None or not self._sealed.count:
            return 0
        share = min(self._taken / self._sealed.count, 1)
        return int(super().position * share)

    def types(self) -> Mapping[str, Any]:
        return dict.fromkeys(self.columns, load_arrow().string())

    def batches(self, names: Sequence[str], documents: Collection[str]) -> Iterator[Any]:
        arrow = load_arrow()
        with (
            self._input.reading(arrow.ArrowException, OSError, csv.Error),
            self._input.open() as stream,
        ):
            kept, self._taken = None, 0
            try:
                for batch in self._reader(stream, names):
                    self._taken += _BLOCK
                    if batch.num_rows:
                        if kept is not None:
                            yield kept
                        kept = batch
            except arrow.ArrowInvalid:
                self._check_fields()
                raise
            yield self._without_end(kept)

    def place(self, row: int) -> str:
        """The line in which a row begins; its number where lines can't be counted."""
        try:
            for number, (line, _) in enumerate(self._records()):
                if number == row + 1:
                    return f"line {line}"
        except (csv.Error, UnicodeDecodeError):
            pass
        return super().place(row)

    def _reader(self, stream: BufferedIOBase, names: Sequence[str]) -> Any:
        from pyarrow import PythonFile
        from pyarrow import csv as arrow_csv

        end = self._delimiter.join([_END] * len(self.columns)) + "\n"
        self._sealed = _Sealed(stream, end.encode())
        return arrow_csv.open_csv(
            PythonFile(self._sealed, mode="r"),
            read_options=arrow_csv.ReadOptions(
                block_size=_BLOCK, column_names=list(self.columns), skip_rows_after_names=1
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                ignore_empty_lines=len(self.columns) > 1,  # Of one column, such a line is NULL.
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict(self.types()),
                null_values=[self._null],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _without_end(self, batch: Any) -> Any:
        """The last batch without the row behind the last one; if that is not there, quotes are open."""
        last = [] if batch is None else batch.slice(batch.num_rows - 1).to_pylist()
        if batch is None or set(last[0].values()) != {_END}:
            raise self._input.unreadable(" is cut off: its last quotes are not closed.")
        return batch.slice(0, batch.num_rows - 1)

    def _check_fields(self) -> None:
        """Say in which line the first row begins that has more or fewer fields than there are columns."""
        for line, fields in self._records():
            if len(fields) != len(self.columns):
                raise self._input.unreadable(
                    f", line {line}, has {len(fields)} fields, not {len(self.columns)} as the first line."
                )

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The rows by Python's own reader, the first line included, each with the line it begins in."""
        with self._input.open() as stream:
            text = TextIOWrapper(cast("Any", stream), "utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=self._delimiter)
            line = 1
            for fields in reader:
                if fields or len(getattr(self, "columns", "")) == 1:
                    yield line, fields or [""]
                line = reader.line_num + 1


class _Sealed(RawIOBase):
    """The bytes of a file, and a last row of our own: it is a row unless quotes are still open.

    Args:
        stream: The bytes.
        end: The row.

    Attributes:
        count: How many bytes were read.
    """

    def __init__(self, stream: BufferedIOBase, end: bytes) -> None:
        self._stream, self._end, self._last = stream, end, b""
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        found = self._stream.read(len(view))
        if not found:
            found, self._end = (b"\n" if self._end and self._last != b"\n" else b"") + self._end, b""
        self._last = found[-1:]
        view[: len(found)] = found
        self.count += len(found)
        return len(found)
