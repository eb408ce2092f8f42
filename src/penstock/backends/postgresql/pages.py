"""How PostgreSQL orders values, and goes on after one of them."""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from datetime import datetime, time
from struct import Struct
from typing import TYPE_CHECKING, Any

from sqlalchemy import cast, func, literal, literal_column
from sqlalchemy import types as sqltypes
from sqlalchemy.dialects import postgresql

from penstock.backends.pages import (
    Carrier,
    StandardPages,
    carried,
    given,
    integer,
    kind_of,
    plain_type,
    unordered,
    untyped,
)
from penstock.backends.postgresql.faults import sqlstate_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from sqlalchemy import ColumnElement, Connection, Dialect
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.types import TypeEngine

_TEXT = frozenset({"text"})
_NUMBERS = frozenset({"int", "decimal"})

_REFUSED = ("22P", "22003", "22007", "22008", "22015", "22021", "22023", "42804", "42883")
"""SQLSTATEs of a value that is not of the type, and of a type that can't be compared."""

_WHOLE, _FRACTION = 131_072, 16_383
"""How many digits a number can have before and after the point."""

_DOUBLE = Struct(">d")
_SPAN = re.compile(r"([+-]?\d{1,9} (years?|mons?|days?) ?|[+-]?\d{1,7}(:[0-5]\d){2}(\.\d{1,6})?){1,4}")
_ZONE = re.compile(r"T.*[+-]\d{2}(:\d{2}){0,2}( BC)?$")

_NAMED: dict[str, TypeEngine[Any] | None] = {
    "smallint": sqltypes.BigInteger(),
    "integer": sqltypes.BigInteger(),
    "bigint": sqltypes.BigInteger(),
    "numeric": sqltypes.Numeric(),
    "real": sqltypes.REAL(),
    "double precision": sqltypes.DOUBLE_PRECISION(),
    "boolean": sqltypes.Boolean(),
    "text": None,
    "character varying": None,
    "character": None,
    "name": None,
    "uuid": sqltypes.Uuid(),
    "bytea": postgresql.BYTEA(),
    "date": sqltypes.Date(),
    "time without time zone": postgresql.TIME(),
    "time with time zone": postgresql.TIME(timezone=True),
    "timestamp without time zone": postgresql.TIMESTAMP(),
    "timestamp with time zone": postgresql.TIMESTAMP(timezone=True),
    "interval": postgresql.INTERVAL(),
    "inet": postgresql.INET(),
    "cidr": postgresql.CIDR(),
    "jsonb": postgresql.JSONB(),
}
"""What the server calls types of expressions that say none; a text is compared as what is beside it."""


class PostgreSQLPages(StandardPages):
    """Orders rows of PostgreSQL (see `PageBackend`)."""

    def carriers(self, column: ColumnElement[Any], dialect: Dialect) -> Sequence[Carrier]:
        """How values of an expression travel: as the driver gives them where that is exact, or as texts."""
        return [_carrier(column, plain_type(column.type, dialect))]

    def trial(self, connection: Connection) -> AbstractContextManager[object]:
        """A savepoint, where there is a transaction that an error would end."""
        raw = connection.connection.dbapi_connection
        return nullcontext() if getattr(raw, "autocommit", False) else connection.begin_nested()

    def refuses_value(self, error: DBAPIError) -> bool:
        """Whether an error says that a value is not of the type: by SQLSTATE, or by the driver."""
        state = sqlstate_of(error)
        return state.startswith(_REFUSED) if state else not error.connection_invalidated


def _carrier(column: ColumnElement[Any], kind: TypeEngine[Any]) -> Carrier:
    while isinstance(kind, postgresql.DOMAIN):
        kind = sqltypes.to_instance(kind.data_type)
    plain = untyped(column)
    if isinstance(kind, sqltypes.JSON) and not isinstance(kind, postgresql.JSONB):
        raise unordered("JSON")
    if isinstance(kind, sqltypes.Enum) and kind.native_enum:
        said = cast(plain, sqltypes.Text())
        return carried(column, _TEXT, _name, frozenset(kind.enums).__contains__, selected=said)
    if isinstance(kind, sqltypes.Float) or kind.__visit_name__ == "float":  # SQLAlchemy 2.0's for psycopg.
        # As text, it is rounded by a setting.
        sent = func.float8send(plain, type_=sqltypes.LargeBinary())
        return carried(column, frozenset({"bytes"}), _double, selected=sent)
    if isinstance(kind, sqltypes.Uuid):
        return carried(column, frozenset({"uuid" if kind.native_uuid else "text"}), _bound)
    for kinds, names in _PLAIN.items():
        if isinstance(kind, kinds):
            return carried(column, names, _bound)
    return _said(column, plain, kind)


_PLAIN: dict[Any, frozenset[str]] = {
    sqltypes.Integer: _NUMBERS,
    sqltypes.String: _TEXT,
    sqltypes.Boolean: frozenset({"bool"}),
    sqltypes.Numeric: _NUMBERS,
    (sqltypes.LargeBinary, sqltypes.BINARY, sqltypes.VARBINARY, postgresql.BYTEA): frozenset({"bytes"}),
}
"""What types drivers give exactly, and as what."""


def _said(column: ColumnElement[Any], plain: ColumnElement[Any], kind: TypeEngine[Any]) -> Carrier:
    """By what the server says of a value, which it can read."""
    text = cast(plain, sqltypes.Text())
    if isinstance(kind, sqltypes.Date | sqltypes.DateTime):
        # As JSON, it does not depend on a setting; drivers have no date that is infinite.
        said = func.to_json(plain).op("#>>")(literal_column("'{}'"))
        return carried(column, _TEXT, _moment, _is_usual, selected=said)
    if isinstance(kind, sqltypes.Time):
        clock = postgresql.TIME(timezone=kind.timezone)
        return carried(column, _TEXT, lambda value: _as(value, clock), _is_usual, selected=text)
    if isinstance(kind, sqltypes.Interval | postgresql.INTERVAL):
        span = postgresql.INTERVAL()
        return carried(
            column, _TEXT, lambda value: _as(value, span), lambda v: bool(_SPAN.fullmatch(v)), selected=text
        )
    if isinstance(kind, sqltypes.NullType):
        named = cast(func.pg_typeof(plain), sqltypes.Text()).concat(":").concat(text)
        return carried(column, _TEXT, _named, _never, selected=named)
    return carried(column, _TEXT, lambda value: _as(value, kind), _never, selected=text)


def _never(_: object) -> bool:
    return False


# --- values -------------------------------------------------------------------------------------


def _as(value: str, kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """A text as a value of a type; the driver has nothing to do with that."""
    return untyped(cast(literal(_without_zero(value), sqltypes.Text()), kind))


def _without_zero(value: str) -> str:
    """The text, if the server can have it; raises ValueError."""
    if "\0" in value:
        raise ValueError("a character that no text has")
    return value


def _name(value: str) -> ColumnElement[Any]:
    return given(_without_zero(value))


def _double(value: bytes) -> ColumnElement[Any]:
    [number] = _DOUBLE.unpack(value) if len(value) == _DOUBLE.size else [None]
    if number is None:
        raise ValueError("no number")
    return literal(number, sqltypes.Double())


def _bound(value: Any) -> ColumnElement[Any]:
    """A value as SQL has it."""
    kind = kind_of(value)
    if kind == "text":
        return given(_without_zero(value))
    if kind == "int":
        integer(value)
    if kind == "decimal":
        _check(value)
    return literal(value, _KINDS[kind])


def _check(value: Decimal) -> None:
    """Raise ValueError if it is no number of the server's."""
    if value.is_nan() or value.is_infinite():
        known = str(value) in ("NaN", "Infinity", "-Infinity")
    else:
        known = value.adjusted() < _WHOLE and -int(value.as_tuple().exponent) <= _FRACTION
    if not known:
        raise ValueError("no number of the server's")


_KINDS: dict[str, TypeEngine[Any]] = {
    "bool": sqltypes.Boolean(),
    "int": sqltypes.BigInteger(),
    "decimal": sqltypes.Numeric(),
    "uuid": sqltypes.Uuid(),
    "bytes": sqltypes.LargeBinary(),
}


def _is_usual(value: str) -> bool:
    """Whether it is a date, a time or both as Python knows it, too."""
    for kind in (datetime, time):
        with suppress(ValueError):
            kind.fromisoformat(value)
            return True
    return False


def _moment(value: str) -> ColumnElement[Any]:
    """A date, or a date and a time, as the type that the text shows, whatever the column is said to be."""
    if "T" not in value:
        return _as(value, sqltypes.Date())
    return _as(value, postgresql.TIMESTAMP(timezone=bool(_ZONE.search(value))))


def _named(value: str) -> ColumnElement[Any]:
    """A value with the name of its type before it."""
    name, _, said = value.partition(":")
    if name not in _NAMED:
        raise ValueError("no type that a cursor can have")
    kind = _NAMED[name]
    return _name(said) if kind is None else _as(said, kind)
