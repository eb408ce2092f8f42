"""A file, or standard input, as bytes that can be read more than once."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import sys
import tempfile
import zlib
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, FileIO
from typing import TYPE_CHECKING, Any

from penstock.errors import FileUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

STANDARD_INPUT = "-"

_GZIP = b"\x1f\x8b"
_BUFFER = 1 << 20


class Input:
    """The bytes of a file.

    What can be read only once, as standard input or a pipe, is first copied to a temporary file: a
    Parquet file is read from its end, and a row that is refused is looked for again.

    Args:
        path: The file; `-` is standard input.

    Attributes:
        name: What messages call it.
        path: Where its bytes are.
        size: How many there are, as they are stored.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == STANDARD_INPUT else path
        self._copy = _copied(path)
        self.path = path if self._copy is None else self._copy.name
        self.size = os.stat(self.path).st_size
        self._opened: FileIO | None = None
        if self.size == 0:
            raise FileUnreadable(f"{self.name} is empty.", hint="Look where it comes from.")

    @property
    def position(self) -> int:
        """How many bytes were read of the stream that was opened last."""
        try:
            return 0 if self._opened is None else self._opened.tell()
        except ValueError:  # It is closed.
            return self.size

    @contextmanager
    def open(self) -> Iterator[BufferedIOBase]:
        """A block with its bytes, decompressed if they are gzip's."""
        with FileIO(self.path) as file:
            self._opened = file
            compressed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            with gzip.GzipFile(fileobj=file) if compressed else BufferedReader(file, _BUFFER) as stream:
                yield stream

    def unreadable(self, what: str, why: str = "") -> FileUnreadable:
        """The error of a file; `what` continues the sentence after its name."""
        return FileUnreadable(f"{self.name}{what}", why=why, hint="Nothing was stored. Mend the file first.")

    @contextmanager
    def reading(self, *refusals: type[Exception]) -> Iterator[None]:
        """A block in which errors of reading name the file, and never show its content.

        Args:
            refusals: What the library raises that reads it.
        """
        try:
            yield
        except FileUnreadable:
            raise
        except UnicodeDecodeError:
            raise self.unreadable(" is no text in UTF-8.") from None
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise self.unreadable(
                " is cut off, or damaged.", "It can't be decompressed to its end."
            ) from None
        except refusals as error:
            raise self.unreadable(" can't be read.", _words_of(error)) from None


def _copied(path: str) -> Any | None:
    """A temporary file with what can be read only once; None for a regular file."""
    if path != STANDARD_INPUT and stat.S_ISREG(os.stat(path).st_mode):
        return None
    copy = tempfile.NamedTemporaryFile(prefix="penstock-")  # noqa: SIM115 (as long as the input)
    if path == STANDARD_INPUT:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    else:
        with open(path, "rb") as given:
            shutil.copyfileobj(given, copy)
    copy.flush()
    return copy


_KNOWN = (
    ("utf8", "Its text is none in UTF-8."),
    ("utf-8", "Its text is none in UTF-8."),
    ("straddling", "A row is longer than 2 MB, or its quotes are never closed."),
    ("magic bytes", "It is no Parquet file, or it is cut off."),
    ("parquet", "It is no Parquet file, or it is cut off or damaged."),
    ("thrift", "It is cut off or damaged."),
    ("decompress", "It is cut off or damaged."),
    ("snappy", "It is cut off or damaged."),
    ("end of file", "It is cut off."),
    ("eof", "It is cut off."),
    ("columns, got", "A row has more or fewer fields than the first line."),
)


def _words_of(error: Exception) -> str:
    """What an error of Arrow's means: its own words may hold what is in the file."""
    said = str(error).casefold()
    return next((words for mark, words in _KNOWN if mark in said), "It is damaged, or of another format.")
