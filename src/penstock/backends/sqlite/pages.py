"""How SQLite orders values, and goes on after one of them."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Integer, SmallInteger

from penstock.backends.pages import Carrier, StandardPages, carried, given, integer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import ColumnElement, Connection, Dialect
    from sqlalchemy.exc import DBAPIError

_STORED = frozenset({"int", "float", "text", "bytes"})
"""What a value can be stored as (https://sqlite.org/datatype3.html)."""


class SQLitePages(StandardPages):
    """Orders rows of SQLite (see `PageBackend`)."""

    def carriers(self, column: ColumnElement[Any], dialect: Dialect) -> Sequence[Carrier]:
        """What the library gives is what it compares, if no type of Python's is between them."""
        return [carried(column, frozenset({"int"}) if _is_row_number(column) else _STORED, _bound)]

    def trial(self, connection: Connection) -> AbstractContextManager[object]:
        """Nothing is to be done: an error leaves the transaction as it was."""
        return nullcontext()

    def refuses_value(self, error: DBAPIError) -> bool:
        """False: every value can be compared with every other."""
        return False


def _is_row_number(column: ColumnElement[Any]) -> bool:
    """Whether it is the one kind of column in which nothing but whole numbers are stored."""
    if not isinstance(column, Column) or not column.primary_key or len(column.table.primary_key) > 1:
        return False
    return isinstance(column.type, Integer) and not isinstance(column.type, BigInteger | SmallInteger)


def _bound(value: Any) -> ColumnElement[Any]:
    if isinstance(value, int):
        integer(value)
    if isinstance(value, float) and value != value:  # noqa: PLR0124  (NaN is stored as NULL)
        raise ValueError("no number")
    return given(value)
