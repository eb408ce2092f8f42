"""What the server is asked for, so that what it sends can be read into tables."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import JSON, BigInteger, Enum, Text, cast, extract, func, select
from sqlalchemy.types import NullType

from penstock.backends.arrow import is_geometry, python_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import ColumnElement, Connection
    from sqlalchemy.types import TypeEngine

    from penstock.backends.arrow import Plan
    from penstock.backends.frames import Selected

_READABLE = (int, float, bool, str, bytes, date, time, datetime, Decimal)
"""The types of Python whose values are read as PostgreSQL sends them."""


def text_of(connection: Connection, selected: Selected, plans: Sequence[Plan], *, csv: bool = False) -> str:
    """The statement with its parameters in it, since COPY takes none.

    Args:
        connection: A connection of psycopg's.
        selected: The SELECT.
        plans: How its columns become those of a table.
        csv: Whether its rows are sent as texts.
    """
    raw: Any = connection.connection.driver_connection
    statement = selected.statement
    sent = [_sent(plan.kind, csv=csv) for plan in plans]
    if any(sent):
        columns = zip(sent, statement.subquery().c, strict=True)
        statement = select(*(column if make is None else make(column) for make, column in columns))
    compiled: Any = statement.compile(dialect=connection.dialect)
    state = compiled.construct_expanded_state()
    makers = {**compiled._bind_processors, **state.processors}
    values = {
        name: makers[name](value) if name in makers else value for name, value in state.parameters.items()
    }
    return psycopg.ClientCursor(raw).mogrify(state.statement, values)


def _sent(kind: TypeEngine[Any], *, csv: bool) -> Callable[[ColumnElement[Any]], ColumnElement[Any]] | None:
    """How the server makes of a value what can be read; None where it sends it as it is."""
    known = python_type(kind)
    if isinstance(kind, NullType) or is_geometry(kind):
        return None
    if isinstance(kind, JSON):
        return lambda column: func.nullif(cast(column, Text), "null", type_=Text)
    if known is timedelta:
        return _microseconds
    if csv and known is datetime and getattr(kind, "timezone", False):
        return lambda column: func.timezone("UTC", column)
    strange = isinstance(kind, Enum) or kind.__visit_name__ == "CITEXT" or known not in _READABLE
    return (lambda column: cast(column, Text)) if strange else None


def _microseconds(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """How long an interval is; for drivers a year has 365 days, for the server a quarter more."""
    seconds = extract("epoch", column) - extract("year", column) * 21_600
    return cast(seconds * 1_000_000, BigInteger)
