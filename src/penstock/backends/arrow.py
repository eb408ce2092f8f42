"""Which type of Arrow a column's values have, and how they become such values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from sqlalchemy import ARRAY, JSON, Column, Enum, Interval, Label, Numeric
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from penstock.backends.datetimes import AlwaysAware
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Dialect

    Shape: TypeAlias = Callable[[Any], Any]

_DECIMAL_DIGITS = 76
"""How many digits the widest decimal number of Arrow has."""


def load_arrow() -> Any:
    """The library pyarrow; raises MissingExtra."""
    try:
        import pyarrow as pa
        import pyarrow.compute
    except ImportError as error:
        raise missing("pyarrow", error) from error
    return pa


def missing(package: str, error: ImportError) -> MissingExtra:
    """The error of a library that is not installed."""
    return MissingExtra(
        f"Tables and data frames need the package {package}, which is not installed.",
        why=str(error),
        hint='pip install "penstock[frames]"',
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """How one column of a result becomes a column of a table.

    Args:
        name: What it is called.
        kind: Its type, as the dialect makes it, without what Python does to its values.
        type: The type of Arrow; None if only the values tell.
        shape: Makes of a value what Arrow takes; None where that is the same.
        computed: Whether its values are made by Python code of the type's own.
    """

    name: str
    kind: TypeEngine[Any]
    type: Any
    shape: Shape | None
    computed: bool


def plan_of(name: str, column: ColumnElement[Any], dialect: Dialect, *, zones: bool) -> Plan:
    """How a column of a SELECT becomes a column of a table.

    Args:
        name: What it shall be called.
        column: The column.
        dialect: Who sends it.
        zones: Whether the dialect keeps the time zones of moments.
    """
    made = column.type.dialect_impl(dialect)
    kind, computed = _without_python(made, dialect)
    exact = isinstance(column.element if isinstance(column, Label) else column, Column)
    if isinstance(column.type, AlwaysAware):  # What its Python does, a column with a zone does.
        zones, computed = True, False
    return Plan(name, kind, _type_of(kind, exact=exact, zones=zones), shape_of(kind, dialect), computed)


def _without_python(made: TypeEngine[Any], dialect: Dialect) -> tuple[TypeEngine[Any], bool]:
    computed = False
    while isinstance(made, TypeDecorator) and not isinstance(made, Interval):
        own = type(made)
        computed |= own.process_result_value is not TypeDecorator.process_result_value
        computed |= own.result_processor is not TypeDecorator.result_processor
        made = made.impl_instance.dialect_impl(dialect)
    return made, computed


def python_type(kind: TypeEngine[Any]) -> type[Any] | None:
    """The type of the values in Python; None if the type does not say."""
    try:
        return kind.python_type
    except RuntimeError:  # What a type raises that does not know.
        return None


def is_geometry(kind: TypeEngine[Any]) -> bool:
    """Whether it is a spatial type, whose values are sent as extended well-known bytes."""
    return hasattr(kind, "geometry_type") and hasattr(kind, "srid")


def _type_of(kind: TypeEngine[Any], *, exact: bool, zones: bool) -> Any:
    arrow = load_arrow()
    if isinstance(kind, NullType):
        return None
    if isinstance(kind, ARRAY):
        made = _type_of(kind.item_type, exact=exact, zones=zones) or arrow.string()
        for _ in range(kind.dimensions or 1):
            made = arrow.list_(made)
        return made
    return arrow.binary() if is_geometry(kind) else _scalar(kind, exact=exact, zones=zones)


def _scalar(kind: TypeEngine[Any], *, exact: bool, zones: bool) -> Any:
    known = None if isinstance(kind, Enum | JSON) else python_type(kind)
    if known is Decimal:
        return _decimal(kind, exact=exact)
    if known is datetime:
        zoned = zones and getattr(kind, "timezone", False)
        return load_arrow().timestamp("us", "UTC" if zoned else None)
    return _plain(known)


def _plain(known: type[Any] | None) -> Any:
    arrow = load_arrow()
    types: dict[type[Any] | None, Any] = {
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
        bytes: arrow.binary(),
        date: arrow.date32(),
        time: arrow.time64("us"),
        timedelta: arrow.duration("us"),
    }
    return types.get(known, arrow.string())


def _decimal(kind: TypeEngine[Any], *, exact: bool) -> Any:
    """A decimal number as declared; a result that is computed may have more digits before the point."""
    arrow = load_arrow()
    if not isinstance(kind, Numeric) or kind.scale is None or kind.precision is None:
        return arrow.string()
    digits = kind.precision if exact else max(38, kind.precision)
    if digits > _DECIMAL_DIGITS or not 0 <= kind.scale <= digits:
        return arrow.string()
    return (arrow.decimal128 if digits <= 38 else arrow.decimal256)(digits, kind.scale)


# --- values ---------------------------------------------------------------------------------------


def shape_of(kind: TypeEngine[Any], dialect: Dialect) -> Shape | None:
    """What makes of a value, as Python has it, what Arrow takes; None where that is the same."""
    if isinstance(kind, Enum):
        return _label(kind, dialect)
    if isinstance(kind, ARRAY):
        inner = shape_of(kind.item_type, dialect)
        return None if inner is None else lambda values: _each(inner, values)
    if is_geometry(kind):
        return _bytes
    if isinstance(kind, JSON):
        return json.dumps
    known = python_type(kind)
    if known is Decimal:
        return _digits if _decimal(kind, exact=True) == load_arrow().string() else None
    return None if known in _AS_IT_IS or isinstance(kind, NullType) else str


_AS_IT_IS = (int, float, bool, str, bytes, date, time, timedelta, datetime)


def _label(kind: Enum, dialect: Dialect) -> Shape:
    """What the database calls a value of an enumeration."""
    made: Any = kind
    bind = made.bind_processor(dialect)
    return str if bind is None else lambda value: str(bind(value))


def _each(shape: Shape, values: Any) -> Any:
    if isinstance(values, list | tuple):
        return [None if value is None else _each(shape, value) for value in values]
    return shape(values)


def _digits(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _bytes(value: Any) -> bytes:
    """The bytes of a spatial value, whatever holds them."""
    data = getattr(value, "data", value)
    return bytes.fromhex(data) if isinstance(data, str) else bytes(data)


def uuid_of(value: Any) -> Any:
    """A UUID of its text or its bytes; what is none is left as it is."""
    if isinstance(value, str):
        return UUID(value)
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == 16 else value
