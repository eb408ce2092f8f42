"""Compares keys as the server stores them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID
from zlib import crc32

from sqlalchemy import (
    CHAR,
    Boolean,
    ColumnElement,
    Connection,
    Date,
    Enum,
    Integer,
    LargeBinary,
    String,
    TableClause,
    Uuid,
    column,
    func,
    insert,
    select,
    table,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Column, Dialect, Table
    from sqlalchemy.types import TypeEngine

STAGE = "penstock_keys"
"""What the name of the temporary table begins with."""

ORDINAL = "penstock ordinal"
"""What its rows are numbered by, from 0."""

_SAME_AS_IN_PYTHON: tuple[tuple[Any, type], ...] = (
    (Boolean, bool),
    (Integer, int),
    (LargeBinary, bytes),
    (Date, date),
    (Uuid, UUID),
)
"""Values of these types are stored as they are, on every server: two are the same where Python says so."""


class KeyBackend(Protocol):
    """How one dialect compares keys."""

    def tells_apart(self, connection: Connection, key: Sequence[Column[Any]], keys: Sequence[Any]) -> bool:
        """Whether the server tells these keys from each other as Python does.

        Args:
            connection: In a transaction.
            key: The columns of the key.
            keys: For each row, a value for each of them, as Python has it; or None.
        """

    def as_stored(self, dialect: str, column: Column[Any], given: ColumnElement[Any]) -> ColumnElement[Any]:
        """A value as the column would store it, to compare it with what it has stored.

        A value that the column would refuse must not become another one.

        Args:
            dialect: Its name.
            column: The column.
            given: The value.
        """

    def compares(self, column: Column[Any], value: Any) -> bool:
        """Whether the server compares such a value with the column as what would be stored of it."""

    def make_stage(self, connection: Connection, key: Sequence[Column[Any]], name: str) -> str | None:
        """Make a temporary table: `ORDINAL`, and the columns of a key as the table has them.

        Args:
            connection: In a transaction.
            key: The columns of the key.
            name: The name of the temporary table.

        Returns:
            The schema in which it is, if it has to be said.
        """

    def drop_stage(self, connection: Connection, name: str) -> None:
        """Drop that table, without an end of the transaction."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the server says of one key.

    Args:
        rank: Its rank among the keys; keys with the same one are the same, NULL for NULL.
        nulls: Which of its columns are NULL.
    """

    rank: int
    nulls: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A temporary table with keys, as their columns store them.

    Args:
        connection: Where it is.
        rows: The table, to be joined.
        key: The columns of the key, in it.
        count: How many keys there are.
    """

    connection: Connection
    rows: TableClause
    key: Sequence[ColumnElement[Any]]
    count: int

    @property
    def ordinal(self) -> ColumnElement[Any]:
        """The number of a key."""
        return self.rows.c[ORDINAL]

    def stored(self) -> list[Stored]:
        """What the server says of each of the keys, in their order."""
        ranks = select(
            func.dense_rank().over(order_by=list(self.key)), *(each.is_(None) for each in self.key)
        )
        # With a limit of its own, since a session may have one that is less.
        every = ranks.select_from(self.rows).order_by(self.ordinal).limit(self.count)
        found = self.connection.execute(every)
        return [Stored(int(rank), tuple(map(bool, nulls))) for rank, *nulls in found]

    def value(self, place: int, number: int) -> ColumnElement[Any]:
        """One column of one key, as an expression."""
        return select(self.key[place]).where(self.ordinal == number).scalar_subquery()


@contextmanager
def staged(
    connection: Connection,
    backend: KeyBackend,
    key: Sequence[Column[Any]],
    keys: Sequence[Sequence[Any]],
) -> Iterator[Stage]:
    """In the block, a temporary table has these keys; let a savepoint be around it.

    Args:
        connection: In a transaction.
        backend: Of the connection.
        key: The columns of the key.
        keys: For each row, a value for each of them.

    Raises:
        StatementError: A value is nothing that its column can hold.
    """
    name = stage_name(connection, STAGE, key)
    schema = backend.make_stage(connection, key, name)
    columns = [column(ORDINAL, Integer()), *(column(each.name, each.type) for each in key)]
    stage = table(name, *columns, schema=schema)  # Which no `schema_translate_map` moves.
    try:
        names = [each.name for each in columns]
        rows = [dict(zip(names, (number, *given), strict=True)) for number, given in enumerate(keys)]
        connection.execute(insert(stage), rows)
        yield Stage(connection, stage, [stage.c[each.name] for each in key], len(keys))
    except BaseException:
        with suppress(DBAPIError):  # Where a savepoint undoes it, it is gone with that.
            backend.drop_stage(connection, name)
        raise
    backend.drop_stage(connection, name)


def stage_name(connection: Connection, start: str, columns: Sequence[Column[Any]]) -> str:
    """A name for a temporary table with these columns, and with no others.

    Drivers keep statements that they have prepared: one for a table must not meet columns of other types.
    """
    said = f"{name_of(connection, columns[0].table)}\0{[column.name for column in columns]}"
    return f"{start}_{crc32(said.encode()):08x}"


def name_of(connection: Connection, table: Table) -> str:
    """The name of a table, quoted, in the schema that the caller's `schema_translate_map` says."""
    quote = connection.dialect.identifier_preparer
    schema = schema_of(connection, table)
    name = quote.quote(table.name)
    return name if schema is None else f"{quote.quote_schema(schema)}.{name}"


def schema_of(connection: Connection, table: Table) -> str | None:
    """The schema of a table, as the caller's `schema_translate_map` says it."""
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    return schemas.get(table.schema, table.schema)


def marks_of(
    connection: Connection,
    backend: KeyBackend,
    key: Sequence[Column[Any]],
    keys: Sequence[Sequence[Any]],
) -> list[int | None]:
    """A number for each key, in the server's order, the same for those that are the same.

    NULL is the same as nothing: None for a key with NULL in it.
    """
    with staged(connection, backend, key, keys) as stage:
        return [None if any(one.nulls) else one.rank for one in stage.stored()]


def told_apart(kind: TypeEngine[Any], values: Sequence[Any]) -> bool:
    """Whether every server tells values of a type from each other as Python does."""
    kinds = set(map(type, values)) - {type(None)}
    if isinstance(kind, Enum):
        return kinds <= {kind.enum_class or str}
    return any(isinstance(kind, known) and kinds <= {same} for known, same in _SAME_AS_IN_PYTHON)


def kind_as_given(kind: TypeEngine[Any]) -> type | None:
    """The type of values that every server compares, with a column, as what is stored of them."""
    if isinstance(kind, String) and not isinstance(kind, CHAR | Enum):
        return str
    return next((same for known, same in _SAME_AS_IN_PYTHON if isinstance(kind, known)), None)


def inner_type(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type itself, where an app has put something around it."""
    made = kind.dialect_impl(dialect)
    while isinstance(made, TypeDecorator):
        made = made.impl_instance.dialect_impl(dialect)
    return made


def places_in_order(count: int, columns: Sequence[Sequence[Any]], *, last_of_each: bool) -> list[int]:
    """The numbers of rows in the order of their keys, where these can be sorted.

    So no writers wait for each other in turn. Rows with NULL in the key come last, as they were given.

    Args:
        count: How many rows there are.
        columns: For each column of the key, its values.
        last_of_each: Whether of rows with the same key only the last is kept.
    """
    if not columns:
        return list(range(count))
    keys = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    lone = {
        place for values in columns if None in values for place, value in enumerate(values) if value is None
    }
    places = [place for place in range(count) if place not in lone] if lone else list(range(count))
    if last_of_each:
        places = list({keys[place]: place for place in places}.values())
    with suppress(TypeError):
        places.sort(key=keys.__getitem__)
    return [*places, *sorted(lone)]
