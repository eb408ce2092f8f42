"""Chooses the type in which COPY sends each column to PostgreSQL."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import Format
from sqlalchemy import ARRAY, JSON, Boolean, Enum, LargeBinary, Numeric, bindparam, literal_column
from sqlalchemy.types import TypeDecorator

from penstock.backends.columnar import each_of
from penstock.backends.postgresql.encoder import Field, field_of
from penstock.backends.postgresql.ordering import Comparison

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from psycopg.adapt import AdaptersMap
    from sqlalchemy import Column, Connection
    from sqlalchemy.types import TypeEngine

    from penstock.backends.postgresql.relations import ColumnType, Relation
    from penstock.backends.rows import Binder, Writing

_logger = logging.getLogger(__name__)

# What asyncpg's types make of a document is its text.
_JSONS = {114: "{}.encode(codec)", 3802: "b'\\1' + {}.encode(codec)"}
# Types of SQLAlchemy's from which every driver is given the same.
_SAME = (Boolean, Enum, LargeBinary)
_GEOMETRY = ("geometry", "geography")
_BYTES = 17
_TEXT = 25
_NUMERIC = 1700
# What psycopg writes or refuses: json, text[], int8[], float8[], timetz, numeric, jsonb. Of others it cuts
# off what is too large (int4[], int4range), or takes anything for what it should be.
_DUMPED = (114, 1009, 1016, 1022, 1266, _NUMERIC, 3802)
_HEXADECIMAL = re.compile("[0-9A-Fa-f]+").fullmatch


@dataclass(frozen=True, slots=True)
class Sent:
    """How one column is sent.

    Args:
        field: How its values are written.
        made: The SQL that makes it of a text; empty if it is sent as what it is.
        compared: Whether Python tells its values from each other as the server does, and in its order.
        by_bytes: Whether it is a text, and two of them are the same only if their bytes are.
    """

    field: Field
    made: str = ""
    compared: Comparison | None = None
    by_bytes: bool = False


def sent(
    connection: Connection, relation: Relation, writing: Writing, rows: Sequence[Sequence[Any]]
) -> list[Sent] | None:
    """How each column is sent; None if one of them can't be copied.

    Args:
        connection: In a transaction.
        relation: What rows are written to.
        writing: What is written.
        rows: What is to be sent; for some types it depends on the values how.
    """
    made: list[Sent] = []
    for number, column in enumerate(writing.columns):
        one = None
        known = relation.columns.get(column.name)
        if known is not None:
            one = _Column(connection, column, known).sent(each_of(rows, number))
        if one is None or (one.made and column in writing.key):
            _logger.debug("%s is not copied: its %s is left to INSERT", writing.table, column.name)
            return None
        made.append(one)
    return made or None


class _Column:
    """One column, by what SQLAlchemy and what the server knows of it."""

    def __init__(self, connection: Connection, column: Column[Any], type_: ColumnType) -> None:
        self._connection = connection
        self._column = column
        self._type = type_
        self._kind: TypeEngine[Any] = column.type.dialect_impl(connection.dialect)
        self._bind = _binder(connection, self._kind, type_.oid)

    def sent(self, values: Iterator[Any]) -> Sent | None:
        """How it is sent, or None."""
        made_by_server = self._kind.bind_expression(bindparam("value", type_=self._kind)) is not None
        field = None if made_by_server else self._field()
        if field is None:
            return self._as_text(values)
        if field.dump is not None:
            first = next((value for value in values if value is not None), None)
            if isinstance(first, str):  # What psycopg makes of a text is one.
                return self._as_text(chain([first], values)) or Sent(field)
        compared = self._type.compared if self._bind is None else None
        if self._is_plain:
            field = replace(field, oid=self._type.oid)
        return Sent(field, "", compared, self._type.by_bytes)

    # --- as what it is ---

    def _field(self) -> Field | None:
        raw = self._connection.connection.driver_connection
        if isinstance(raw, psycopg.BaseConnection):
            return field_of(self._type.oid, self._bind) or self._dumped(raw.adapters, raw)
        if self._bind is None or isinstance(self._inner, Numeric):
            return field_of(self._type.oid, self._bind) or self._dumped(psycopg.adapters, None)
        if isinstance(self._inner, JSON) and self._type.oid in _JSONS:
            return Field(_JSONS[self._type.oid], bind=self._bind)
        return field_of(self._type.oid, self._bind) if isinstance(self._inner, _SAME) else None

    @property
    def _is_plain(self) -> bool:
        """Whether nothing is made of a value, or of those in an array, that is one of the column's type."""
        if self._bind in (None, _decimal) or not isinstance(self._kind, ARRAY):
            return self._bind in (None, _decimal)
        inner = self._kind.item_type.dialect_impl(self._connection.dialect)
        return _binder(self._connection, inner, 0) is None

    @property
    def _inner(self) -> TypeEngine[Any]:
        """The type itself, where an app has put something around it."""
        return self._kind.impl_instance if isinstance(self._kind, TypeDecorator) else self._kind

    def _dumped(self, adapters: AdaptersMap, raw: psycopg.BaseConnection[Any] | None) -> Field | None:
        """As psycopg does it, where that is safe."""
        if self._type.oid not in _DUMPED:
            return None
        dumper = adapters.get_dumper_by_oid(self._type.oid, Format.BINARY)(type(None), raw)
        return Field(dump=dumper.dump, bind=self._bind)

    # --- as something that the server makes it of ---

    def _as_text(self, values: Iterable[Any]) -> Sent | None:
        """By the text that SQLAlchemy would send, if all values are texts."""
        texts = _texts(values, self._bind)
        made = self._made()
        if texts is None or not made:
            return None
        if self._type.name in _GEOMETRY and all(map(_HEXADECIMAL, texts)):
            return Sent(Field("bytes.fromhex({})", bind=self._bind))
        return Sent(Field("{}.encode(codec)", bind=self._bind, oid=0 if self._bind else _TEXT), made)

    def _made(self) -> str:
        """The SQL that makes it of a text in a column of the same name; empty if that can't be said."""
        name = self._connection.dialect.identifier_preparer.format_column(self._column)
        expression = self._kind.bind_expression(literal_column(name.replace("%%", "%")))  # type: ignore[arg-type]
        if expression is None:
            return f"CAST({name} AS {self._type.cast})"
        if self._type.name not in _GEOMETRY:
            return ""
        compiled = expression.compile(dialect=self._connection.dialect)
        return "" if compiled.params else str(compiled)


def _texts(values: Iterable[Any], bind: Binder | None) -> list[str] | None:
    """The texts that are sent for values, without NULLs; None if something else is among them."""
    try:
        bound = [value if bind is None else bind(value) for value in values]
    except Exception:  # Which one it is will be found when it is sent.
        return [""]
    known = [value for value in bound if value is not None]
    return known if all(isinstance(value, str) for value in known) else None


def _binder(connection: Connection, kind: TypeEngine[Any], oid: int) -> Binder | None:
    """What makes of a value what the driver takes, where that is more than a check of its type."""
    if type(kind).bind_processor in (Boolean.bind_processor, LargeBinary.bind_processor):
        return None
    bind = kind.bind_processor(connection.dialect)
    if bind is None:
        return _decimal if oid == _NUMERIC else None
    return partial(_unwrapped, bind) if oid == _BYTES else bind


def _unwrapped(bind: Binder, value: Any) -> Any:
    """What is bound, without psycopg's mark for what is binary."""
    made = bind(value)
    return made.obj if isinstance(made, psycopg.Binary) else made


def _decimal(value: Any) -> Any:
    """A float as the server would round it to a numeric: to 15 digits."""
    return Decimal(f"{value:.15g}") if isinstance(value, float) else value
