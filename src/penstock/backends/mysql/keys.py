"""Keys on MariaDB: what its types and collations make equal."""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    DECIMAL,
    DateTime,
    Enum,
    Float,
    Integer,
    Numeric,
    String,
    Time,
    cast,
    func,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql.mariadb import MariaDBDialect
from sqlalchemy.types import TypeDecorator

from penstock.backends.keys import ORDINAL, inner_type, name_of, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, ColumnElement, Connection
    from sqlalchemy.types import TypeEngine

_DIALECTS = {"mysql": mysql.dialect(), "mariadb": MariaDBDialect()}
_SINGLE = re.compile(r"FLOAT(\((\d|1\d|2[0-4])\))?").fullmatch
"""Floating numbers of one width, which round."""

_EXACT = ("nopad_bin", "0900_bin", "binary")
_LARGEST_FLOAT = 3.4028234663852886e38
_MOST_DIGITS: DECIMAL[Any] = DECIMAL(65, 30)


class MySQLKeys:
    """Compares keys on MariaDB and MySQL (see `KeyBackend`)."""

    def tells_apart(self, connection: Connection, key: Sequence[Column[Any]], keys: Sequence[Any]) -> bool:
        """Whether the server tells keys from each other as Python does; it is asked if there are texts."""
        columns = list(zip(*keys, strict=True))
        for column, values in zip(key, columns, strict=True):
            # What is read of these is of another type than what may be given.
            made = isinstance(column.type, TypeDecorator | Enum)
            if made and not told_apart(column.type, values):
                return False
        return are_plain(connection, key, columns, columns)

    def as_stored(self, dialect: str, column: Column[Any], given: ColumnElement[Any]) -> ColumnElement[Any]:
        """A value as the column rounds it, which the server does not when it compares.

        A cast makes the largest of what is too large: that must be no value at all, or stay what it is.
        """
        kind = inner_type(column.type, _DIALECTS[dialect])
        if isinstance(kind, DateTime):
            return cast(given, mysql.DATETIME(fsp=getattr(kind, "fsp", None)))
        if isinstance(kind, Time):
            return cast(given, mysql.TIME(fsp=getattr(kind, "fsp", None)))
        if _SINGLE(column.type.compile(dialect=_DIALECTS[dialect])):
            return func.IF(func.abs(given) <= _LARGEST_FLOAT, cast(given, mysql.FLOAT()), None)
        if isinstance(kind, Numeric) and not isinstance(kind, Float):
            return func.round(cast(given, _MOST_DIGITS), kind.scale or 0)
        return given

    def compares(self, column: Column[Any], value: Any) -> bool:
        """Whether a value is of the column's type: else the server makes numbers of both."""
        kind = column.type
        if value is None:
            return True
        if isinstance(value, str):
            return not isinstance(kind, Integer | Numeric | Float)
        return not isinstance(kind, String) or isinstance(kind, Enum)

    def make_stage(self, connection: Connection, key: Sequence[Column[Any]], name: str) -> None:
        """Make a temporary table for keys; see `KeyBackend.make_stage`."""
        names = ", ".join(map(connection.dialect.identifier_preparer.format_column, key))
        self.drop_stage(connection, name)
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {name} (`{ORDINAL}` INT UNSIGNED DEFAULT 0 PRIMARY KEY)"
            f" SELECT {names} FROM {_alone(connection, key)} LIMIT 0"
        )

    def drop_stage(self, connection: Connection, name: str) -> None:
        """Drop that table."""
        connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS {name}")


def are_plain(
    connection: Connection,
    key: Sequence[Column[Any]],
    given: Sequence[Sequence[Any]],
    bound: Sequence[Sequence[Any]],
) -> bool:
    """Whether the server tells keys from each other as Python does.

    Args:
        connection: In a transaction.
        key: The columns of the key.
        given: For each of them, its values.
        bound: The same, as the driver takes them.
    """
    asked = [place for place, column in enumerate(key) if not told_apart(column.type, given[place])]
    kinds = [inner_type(key[place].type, connection.dialect) for place in asked]
    if not all(_is_plain(kind, bound[place]) for kind, place in zip(kinds, asked, strict=True)):
        return False
    texts = [key[place] for kind, place in zip(kinds, asked, strict=True) if isinstance(kind, String)]
    return not texts or _are_exact(connection, texts)


def _is_plain(kind: TypeEngine[Any], values: Sequence[Any]) -> bool:
    """Whether values are stored as they are; texts, if their collation is exact."""
    known = [value for value in values if value is not None]
    kinds = set(map(type, known))
    if isinstance(kind, DateTime | Time):  # A column may not have as many digits, and has no zone.
        moments = kinds <= {datetime} if isinstance(kind, DateTime) else kinds <= {time}
        return moments and not any(value.microsecond or value.tzinfo for value in known)
    # A text may be cut, or padded, if it ends in blanks.
    return isinstance(kind, String) and kinds <= {str} and not any(value.endswith(" ") for value in known)


def _are_exact(connection: Connection, texts: Sequence[Column[Any]]) -> bool:
    """Whether texts in these columns are equal only if all of their characters are."""
    names = map(connection.dialect.identifier_preparer.format_column, texts)
    asked = ", ".join(f"COLLATION({name})" for name in names)
    found = connection.exec_driver_sql(f"SELECT {asked} FROM {_alone(connection, texts)}")
    return all(str(name).endswith(_EXACT) for name in found.one())


def _alone(connection: Connection, key: Sequence[Column[Any]]) -> str:
    """One row with the columns of a table, each of them nullable, and NULL."""
    return f"(SELECT 1) AS one LEFT JOIN {name_of(connection, key[0].table)} ON FALSE"
