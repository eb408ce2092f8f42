"""How MariaDB orders values, and goes on after one of them."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import cast, func, literal, literal_column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql.mariadb import INET4, INET6

from penstock.backends.mysql.faults import number_of
from penstock.backends.pages import Carrier, carried, finite, given, plain_type, unordered, untyped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import ColumnElement, Connection, Dialect
    from sqlalchemy.exc import DBAPIError

_CHARACTERS = 255
"""As many are sorted by for sure: the server looks at 1,024 bytes (`max_sort_length`) of what it sorts by."""

_BYTES = 1000
_PIECES = 3
"""The longest text of a key, 3,072 bytes, has so many pieces."""

_REFUSED = (1267, 1300, 1292, 1366, 1411, 1525, 4078)
"""Collations, or types, can't be mixed; an incorrect value."""

_NUMBERS = frozenset({"int", "decimal"})
_TEXT = frozenset({"text"})
_ALL = _NUMBERS | {"text", "bytes", "float"}
_DIGITS, _SCALE = 67, 38
_BINARIES = (
    sqltypes.LargeBinary,
    sqltypes.BINARY,
    sqltypes.VARBINARY,
    mysql.TINYBLOB,
    mysql.MEDIUMBLOB,
    mysql.LONGBLOB,
)
_DAY = re.compile(r"\d{4}-(0\d|1[0-2])-([0-2]\d|3[01])( ([01]\d|2[0-3])(:[0-5]\d){2}(\.\d{1,6})?)?")
_UNREAL = re.compile("0000|....-00|....-..-00")
_CLOCK = re.compile(r"-?([0-7]?\d\d|8[0-3]\d)(:[0-5]\d){2}(\.\d{1,6})?")
_ADDRESSES = (INET4, INET6)
_carried = partial(carried, sure=lambda _: False)


class MySQLPages:
    """Orders rows of MariaDB and MySQL (see `PageBackend`)."""

    row_values = False

    def in_order(
        self, column: ColumnElement[Any], *, descending: bool, nulls_first: bool
    ) -> Sequence[ColumnElement[Any]]:
        """A column that can be NULL as items of ORDER BY: by itself, NULL is the smallest."""
        sorted_by = column.desc() if descending else column.asc()
        if nulls_first != descending:
            return [sorted_by]
        none = column.is_(None)
        return [none.desc() if nulls_first else none.asc(), sorted_by]

    def carriers(self, column: ColumnElement[Any], dialect: Dialect) -> Sequence[Carrier]:
        """How values of an expression travel; of a long text or binary, piece by piece."""
        kind = plain_type(column.type, dialect)
        if isinstance(kind, mysql.ENUM | mysql.SET | mysql.BIT | mysql.YEAR):
            # Sorted by their numbers, and compared with a text as texts.
            number = untyped(cast(untyped(column), mysql.INTEGER(unsigned=True)))
            return [_carried(column, frozenset({"int"}), _bound, compared=number)]
        if isinstance(kind, sqltypes.JSON) and not getattr(dialect, "is_mariadb", False):
            raise unordered("JSON")
        if isinstance(kind, (sqltypes.String, sqltypes.JSON, *_BINARIES)):
            return _pieces(column, kind)
        return [_carrier(column, untyped(column), kind)]

    def trial(self, connection: Connection) -> AbstractContextManager[object]:
        """Nothing is to be done: an error leaves the transaction as it was."""
        return nullcontext()

    def refuses_value(self, error: DBAPIError) -> bool:
        """Whether a server's error says that a value does not fit the type it is compared with."""
        return number_of(error) in _REFUSED


def _carrier(column: ColumnElement[Any], plain: ColumnElement[Any], kind: Any) -> Carrier:
    if isinstance(kind, sqltypes.Float):
        # As text, a FLOAT is rounded to six digits; what is added makes it a DOUBLE.
        exact = untyped(plain + literal_column("0e0", sqltypes.NullType()))
        return _carried(column, frozenset({"float"}), lambda value: given(finite(value)), selected=exact)
    if isinstance(kind, sqltypes.Date | sqltypes.DateTime | sqltypes.Time):
        said = cast(plain, mysql.CHAR())  # Drivers have no date with a day or a year 0.
        check = _check_clock if isinstance(kind, sqltypes.Time) else _check_day
        return _carried(column, _TEXT, _checked(check), selected=said)
    if isinstance(kind, sqltypes.Uuid):
        return _carried(column, _TEXT, _checked(_check_uuid))
    if isinstance(kind, _ADDRESSES):
        return _carried(column, _TEXT, _checked(ip_address))
    if isinstance(kind, sqltypes.Numeric | sqltypes.Integer | sqltypes.Boolean):
        return _carried(column, _NUMBERS, _bound)
    return _carried(column, _ALL, _bound)


def _pieces(column: ColumnElement[Any], kind: Any) -> list[Carrier]:
    """A text or binary as what the server sorts by, all of it."""
    is_text = isinstance(kind, sqltypes.String | sqltypes.JSON)
    size, kinds = (_CHARACTERS, _TEXT) if is_text else (_BYTES, frozenset({"bytes"}))
    length, plain = getattr(kind, "length", None), untyped(column)
    if length is not None and length <= size:
        return [_carried(column, kinds, _bound)]
    count = 1 if length is None else min(ceil(length / size), _PIECES)
    pieces = (untyped(func.substr(plain, 1 + number * size, size)) for number in range(count))
    return [replace(_carried(piece, kinds, _bound), plain=False) for piece in pieces]


def _checked(read: Callable[[str], object]) -> Callable[[Any], ColumnElement[Any]]:
    """What a text is bound by, if this can read it."""

    def bound(value: str) -> ColumnElement[Any]:
        read(value)
        return given(value)

    return bound


def _check_uuid(value: str) -> None:
    """Raise ValueError if a text is no UUID as the server writes it."""
    if UUID(value).hex != value.replace("-", ""):
        raise ValueError("no UUID")


def _check_day(value: str) -> None:
    """Raise ValueError if a text is no date of the server's, which has dates that Python lacks."""
    if not _DAY.fullmatch(value):
        raise ValueError("no date")
    if not _UNREAL.match(value):
        date.fromisoformat(value[:10])


def _check_clock(value: str) -> None:
    """Raise ValueError if a text is no time of the server's."""
    if not _CLOCK.fullmatch(value):
        raise ValueError("no time")


def _bound(value: Any) -> ColumnElement[Any]:
    """A value as SQL has it; a decimal by CAST, since drivers would write it as a floating number."""
    if isinstance(value, Decimal):
        said = format(value, "f")
        scale = len(said.partition(".")[2])
        if not value.is_finite() or len(said) > _DIGITS or scale > _SCALE:
            raise ValueError("no decimal of the server's")
        return cast(literal(said, sqltypes.String()), mysql.DECIMAL(65, scale))
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("too large")
    return given(finite(value) if isinstance(value, float) else value)
