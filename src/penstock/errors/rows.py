"""Errors of rows."""

from __future__ import annotations

from penstock.errors.base import PenstockError
from penstock.errors.registry import UnknownObject


class UnknownColumn(UnknownObject):
    """A class or a table has no column of this name."""

    code = "column-unknown"


class NoPrimaryKey(PenstockError):
    """A table has no primary key, and it was not said what names a row."""

    code = "primary-key-missing"


class InvalidCursor(PenstockError, ValueError):
    """A cursor does not say where in this order a page ended."""

    code = "cursor-invalid"


class RowRefused(PenstockError, ValueError):
    """A row of many can't be stored; none of them was."""

    code = "row-refused"


class RowStale(RowRefused):
    """A row is given with a version (`version_id_col`) that somebody has replaced since it was read."""

    code = "row-stale"


class InvalidValue(PenstockError, ValueError):
    """A column or a key was given what it can't be: a datetime without a time zone, say."""

    code = "value-invalid"


class NotWritable(PenstockError):
    """Nothing can be written in this transaction: it has failed, is prepared, or only reads."""

    code = "not-writable"
