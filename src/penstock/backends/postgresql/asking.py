"""Builds the SELECT whose result can be read into tables of Arrow."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from sqlalchemy import ARRAY, JSON, BigInteger, Enum, Text, cast, extract, func, select
from sqlalchemy.types import NullType, TypeDecorator

from penstock.backends.arrow import is_geometry, load_arrow, python_type
from penstock.backends.frames import by_name
from penstock.sqlalchemy_compat import bind_processors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection
    from sqlalchemy.types import TypeEngine

    from penstock.backends.arrow import Plan
    from penstock.backends.frames import Selected

    _Made: TypeAlias = Callable[[ColumnElement[Any]], ColumnElement[Any]]

_READABLE = (int, float, bool, str, bytes, date, time, datetime, Decimal)
"""The types of Python whose values are read as PostgreSQL sends them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its parameters in it, since COPY takes none.

    Args:
        sent: The statement.
        shown: The same without the parameters' values, for errors.
    """

    sent: str = field(repr=False)
    shown: str


def text_of(connection: Connection, selected: Selected, made: Sequence[_Made | None]) -> Statement:
    """The statement as it is sent, and as it is shown.

    Args:
        connection: A connection of psycopg's.
        selected: The SELECT.
        made: What the server makes of each column; None where it is sent as it is.
    """
    raw: Any = connection.connection.driver_connection
    statement = selected.statement
    if any(made) or by_name(statement):
        columns = zip(made, statement.subquery().c, strict=True)
        statement = select(*(column if make is None else make(column) for make, column in columns))
    compiled: Any = statement.compile(dialect=connection.dialect)
    state = compiled.construct_expanded_state()
    makers = {**bind_processors_of(compiled), **state.processors}
    values = {
        name: makers[name](value) if name in makers else value for name, value in state.parameters.items()
    }
    return Statement(psycopg.ClientCursor(raw).mogrify(state.statement, values), state.statement)


def sent_beside(plan: Plan) -> _Made | None:
    """How the server makes of a value what ADBC can read; None where it sends it as it is."""
    if python_type(plan.kind) is Decimal and plan.type == load_arrow().string():
        return _text  # ADBC has words of its own for what is no number.
    return _sent(plan.kind)


def _sent(kind: TypeEngine[Any]) -> _Made | None:
    known = python_type(kind)
    if isinstance(kind, NullType) or is_geometry(kind):
        return None
    if isinstance(kind, JSON):
        return lambda column: func.nullif(cast(column, Text), "null", type_=Text)
    if known is timedelta:
        return _microseconds
    strange = isinstance(kind, Enum) or kind.__visit_name__ == "CITEXT" or known not in _READABLE
    return _text if strange else None


def sent_within(kind: TypeEngine[Any], *, converted: bool, decoded: bool = True) -> _Made | None:
    """How it makes what we can decode ourselves.

    Args:
        kind: The type of the column.
        converted: Whether texts are sent in UTF-8 although the session has another encoding.
        decoded: Whether we can decode what the server has.
    """
    if isinstance(kind, ARRAY):
        return _texts if not decoded or _within(kind.item_type) else None
    made = _within(kind) if decoded else _text
    is_text = made is not _microseconds if made else python_type(kind) is str
    if not converted or not is_text:
        return made
    return lambda column: func.convert_to(cast(made(column) if made else column, Text), "UTF8")


def _within(kind: TypeEngine[Any]) -> _Made | None:
    return _text if python_type(kind) is Decimal else _sent(kind)


def is_plain_list(kind: ARRAY[Any]) -> bool:
    """Whether it is an array of one dimension of what the server can send, or can make texts of."""
    item = kind.item_type
    own = not all(type(each).__module__.startswith("sqlalchemy.") for each in (kind, item))
    strange = isinstance(item, ARRAY | JSON | NullType | TypeDecorator) or python_type(item) is timedelta
    return not own and not strange and kind.dimensions in (None, 1)


def _text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(column, Text)


def _texts(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return cast(column, ARRAY(Text))


def _microseconds(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """How long an interval is; for drivers a year has 365 days, for the server a quarter more."""
    seconds = extract("epoch", column) - extract("year", column) * 21_600
    return cast(seconds * 1_000_000, BigInteger)
