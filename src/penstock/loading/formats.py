"""Which format a file has, and what reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING

from penstock.backends.arrow import load_arrow
from penstock.errors import NotSupported
from penstock.loading.delimited import Delimited
from penstock.loading.files import STANDARD_INPUT, Input
from penstock.loading.jsonlines import JsonLines
from penstock.loading.parquet import Parquet

if TYPE_CHECKING:
    from penstock.loading.sources import Source


class Format(Enum):
    """How rows are written in a file."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


_SUFFIXES = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How CSV is written.

    Args:
        delimiter: What is between two fields; None for a comma, or a tab in a file `.tsv`.
        null: What stands for NULL, where it is not in quotes.
    """

    delimiter: str | None = None
    null: str = ""


def format_of(path: str) -> Format:
    """The format that the name of a file says; `.gz` at its end is left out of account.

    Raises:
        NotSupported: It says none that is known.

    >>> format_of("gages.csv.gz")
    <Format.CSV: 'csv'>
    """
    found = _SUFFIXES.get(_suffix(path))
    if found is None:
        nameless = "Standard input has no name that says its format."
        raise NotSupported(
            nameless if path == STANDARD_INPUT else f"The name of {path} does not say its format.",
            why=f"Known are {', '.join(_SUFFIXES)}, each also with .gz.",
            hint="Say it: --format csv, --format jsonl or --format parquet.",
        )
    return found


def opened(path: str, kind: Format | None = None, dialect: Dialect | None = None) -> Source:
    """A file whose first bytes are read.

    Args:
        path: The file; `-` is standard input.
        kind: Its format; by default what its name says.
        dialect: How CSV is written.

    Raises:
        FileUnreadable: It is empty, cut off, or of another format.
        NotSupported: Its name does not say its format.
        MissingExtra: `penstock[frames]` is not installed.
    """
    load_arrow()
    kind, dialect = kind or format_of(path), dialect or Dialect()
    given = Input(path)
    if kind is Format.CSV:
        tab = "\t" if _suffix(path) == ".tsv" else ","
        return Delimited(given, dialect.delimiter or tab, dialect.null)
    return JsonLines(given) if kind is Format.JSONL else Parquet(given)


def _suffix(path: str) -> str:
    return PurePath(path.lower().removesuffix(".gz")).suffix
