"""Errors of rows."""

from __future__ import annotations

from penstock.errors.base import PenstockError
from penstock.errors.registry import UnknownObject

__all__ = [
    "ColumnMissing",
    "FileUnreadable",
    "InvalidCursor",
    "InvalidValue",
    "NoPrimaryKey",
    "NotWritable",
    "RowRefused",
    "RowStale",
    "UnknownColumn",
    "UnknownTable",
]


class UnknownColumn(UnknownObject):
    """A class or a table has no column of this name."""

    code = "column-unknown"


class UnknownTable(UnknownObject):
    """A store has no table of this name."""

    code = "table-unknown"


class ColumnMissing(PenstockError):
    """A file lacks a column in which every row of the table must have a value."""

    code = "column-missing"


class FileUnreadable(PenstockError):
    """A file is empty, cut off, or not of the format that its name says."""

    code = "file-unreadable"


class NoPrimaryKey(PenstockError):
    """A table has no primary key, and no other key was given."""

    code = "primary-key-missing"


class InvalidCursor(PenstockError, ValueError):
    """A cursor does not say where in this order a page ended."""

    code = "cursor-invalid"


class RowRefused(PenstockError, ValueError):
    """A row of many can't be stored; none of them was.

    Args:
        what: What went wrong.
        why: The cause.
        hint: What to do next.
        row: The number of the row among those that were given, from 0; None where it is not known.
    """

    code = "row-refused"

    def __init__(self, *what: object, why: str = "", hint: str = "", row: int | None = None) -> None:
        super().__init__(*what, why=why, hint=hint)
        self.row = row


class RowStale(RowRefused):
    """A row is given with a version (`version_id_col`) that somebody has replaced since it was read."""

    code = "row-stale"


class InvalidValue(PenstockError, ValueError):
    """A column or a key was given a value that it can't have, such as a datetime without a time zone."""

    code = "value-invalid"


class NotWritable(PenstockError):
    """Nothing can be written in this transaction: it has failed, is prepared, or only reads."""

    code = "not-writable"
