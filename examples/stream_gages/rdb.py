"""Reads RDB, the tables of the US Geological Survey: text, with tabs in between.

A file has comments (`#`), a line of column names, a line of column widths (`5s 15s`), and rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WIDTH = re.compile(r"\d*[sdn]", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_BYTE_ORDER_MARK = "\ufeff"
_LONGEST_SHOWN = 200


class RdbError(ValueError):
    """A file that is not RDB, or a line of it that can't be understood.

    Args:
        file: The file.
        line: The line's number, counted from 1.
        problem: What is wrong there.
    """

    def __init__(self, file: Path, line: int, problem: str) -> None:
        super().__init__(f"{file}, line {line}: {problem}")
        self.file = file
        self.line = line
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and where it stands.

    Args:
        file: The file.
        line: The line's number, counted from 1.
        cells: What is in each column, by the column's name.
    """

    file: Path
    line: int
    cells: Mapping[str, str]

    def text(self, column: str, longest: int) -> str | None:
        """The text in a column without the blanks around it; None for an empty one.

        Raises:
            RdbError: It has more than `longest` characters.
        """
        text = self.cells[column].strip()
        if len(text) > longest:
            shown = text[:_LONGEST_SHOWN]
            raise self.error(
                f"{column} has {len(text)} characters, at most {longest} are possible: {shown!r}"
            )
        return text or None

    def number(self, column: str, limit: float) -> float | None:
        """The number in a column; None for an empty one.

        Raises:
            RdbError: It is not a number from `-limit` to `limit`.
        """
        text = self.cells[column].strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text) or abs(float(text)) > limit:
            shown = text[:_LONGEST_SHOWN]
            raise self.error(f"{column} should be a number from {-limit:g} to {limit:g}, not {shown!r}")
        return float(text)

    def error(self, problem: str) -> RdbError:
        """The error that says what is wrong with this row."""
        return RdbError(self.file, self.line, problem)


def read_rdb(path: Path, columns: Iterable[str] = ()) -> Iterator[Row]:
    """The rows of an RDB file, one at a time; columns are found by name, in any order.

    Args:
        path: The file: UTF-8, or Latin-1 in the lines that are not UTF-8.
        columns: The columns it must have.

    Raises:
        RdbError: It is not RDB, or a column is missing, or a row has too many or too few columns.
        OSError: The file can't be read.
    """
    lines = _lines(path)
    names = _header(path, lines, columns)
    for number, text in lines:
        cells = text.split("\t")
        if len(cells) != len(names):
            raise RdbError(path, number, f"{len(names)} columns expected, {len(cells)} found")
        yield Row(path, number, dict(zip(names, cells, strict=True)))


def _header(path: Path, lines: Iterator[tuple[int, str]], columns: Iterable[str]) -> list[str]:
    """The names of the columns, once the lines that give names and widths are known to be good."""
    number, text = next(lines, (1, ""))
    names = [name.strip() for name in text.split("\t")]
    if names == [""]:
        raise RdbError(path, number, "there is no line of column names, only comments or nothing")
    if len(set(names)) < len(names) or "" in names:
        raise RdbError(path, number, "a column has no name, or two have the same")
    if missing := [name for name in columns if name not in names]:
        there = ", ".join(names)[:_LONGEST_SHOWN]
        raise RdbError(path, number, f"there is no column {', '.join(missing)}; there is: {there}")
    number, text = next(lines, (number + 1, ""))
    widths = [width.strip() for width in text.split("\t")]
    if len(widths) != len(names) or not all(_WIDTH.fullmatch(width) for width in widths):
        raise RdbError(path, number, f"a width such as 15s is expected for each of {len(names)} columns")
    return names


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Every line that says something, with its number."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            text = _decoded(raw.removesuffix(b"\n").removesuffix(b"\r"))
            if number == 1:
                text = text.removeprefix(_BYTE_ORDER_MARK)
            if "\0" in text:
                raise RdbError(path, number, "there is a NUL character; is this a text file, and not UTF-16?")
            if text.strip(" ") and not text.startswith("#"):
                yield number, text


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
