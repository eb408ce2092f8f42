"""JSON lines: one object a line, whose numbers are taken as they are written."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from penstock.backends.arrow import load_arrow
from penstock.loading.sources import BATCH, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from penstock.loading.files import Input


class JsonLines(Source):
    """A file of JSON lines.

    All of it is read once before anything is stored: its columns are the keys of all its lines, and a line
    that lacks one of them has NULL for it.

    Args:
        given: Its bytes.
    """

    def __init__(self, given: Input) -> None:
        super().__init__(given)
        names: dict[str, str] = {}
        count = 0
        with given.reading():
            for _, found in self._objects():
                names.update(dict.fromkeys(found, "JSON"))
                count += 1
        if not names:
            raise given.unreadable(" has no objects.")
        self.columns, self.rows = names, count

    def types(self) -> Mapping[str, Any]:
        return dict.fromkeys(self.columns, load_arrow().string())

    def batches(self, names: Sequence[str], documents: Collection[str]) -> Iterator[Any]:
        arrow, text = load_arrow(), load_arrow().string()
        with self._input.reading():
            objects = self._objects()
            while some := list(islice(objects, BATCH)):
                columns = [
                    arrow.array([_text(found.get(name), name in documents) for _, found in some], text)
                    for name in names
                ]
                yield arrow.record_batch(columns, names=list(names))

    def place(self, row: int) -> str:
        """The line of a row."""
        line, _ = next(islice(self._objects(), row, None))
        return f"line {line}"

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The objects, each with its line; lines without anything are left out."""
        with self._input.open() as stream:
            for number, line in enumerate(stream, 1):
                if not line.isspace():
                    yield number, self._object(number, line)

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"), parse_float=Decimal)
        except json.JSONDecodeError as error:
            why = f"{error.msg}, at character {error.colno}."
            raise self._input.unreadable(f", line {number}, is no JSON.", why) from None
        except RecursionError:
            raise self._input.unreadable(f", line {number}, is nested too deeply.") from None
        if not isinstance(found, dict):
            raise self._input.unreadable(f", line {number}, is no object of JSON.")
        if b"\\u" in line and not _is_text(found):
            raise self._input.unreadable(f", line {number}, has half a character.")
        return found


def _is_text(found: dict[str, Any]) -> bool:
    """Whether all its texts can be written: JSON can say half of a character."""
    try:
        json.dumps(found, ensure_ascii=False, default=float).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any, document: bool) -> str | None:
    """A value as the text that a field of CSV would have."""
    if value is None or (type(value) is str and not document):
        return value
    if document or isinstance(value, bool | dict):
        return json.dumps(value, default=float)
    # Of an array, a number keeps all its digits: it is read as one again.
    return json.dumps(value, default=str) if isinstance(value, list) else str(value)
