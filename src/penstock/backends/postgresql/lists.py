"""Rows are sent as one list for each column: so few parameters are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    bindparam,
    func,
    inspect,
    select,
)

from penstock.backends.rows import GIVEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, Connection
    from sqlalchemy.orm import Session
    from sqlalchemy.types import TypeEngine

    from penstock.backends.rows import Writing

Lists: TypeAlias = "list[list[Any]]"

_PLAIN = (Boolean, Date, DateTime, Float, Integer, LargeBinary, Numeric, Time, Uuid)


def lists_of(into: Any, writing: Writing, rows: Sequence[Mapping[str, Any]]) -> Lists | None:
    """The values of each column; None where SQLAlchemy has to see each row by itself.

    So it is where it adds something to a row (a default, a class's own mark, a version), or where values
    of a column differ in their types.

    Args:
        into: The table, or a class that is mapped to it.
        writing: What is written; its columns are those of the rows, in order.
        rows: The values.
    """
    can_be_sent = len(rows) > 1 and None not in map(_list_type, writing.columns)
    if not can_be_sent or _is_added_to(into, writing):
        return None
    lists = [[row[name] for row in rows] for name in rows[0]]
    return lists if all(map(_are_alike, writing.columns, lists)) else None


def created_by_lists(
    source: Session | Connection, into: Any, insertion: Any, writing: Writing, lists: Lists
) -> Sequence[Any]:
    """Store rows, and get those that were stored.

    Args:
        source: What does it.
        into: The table, or a class that is mapped to it.
        insertion: The INSERT, with what it does about rows that are there.
        writing: What is written.
        lists: The values of each column.
    """
    kinds = [kind for kind in map(_list_type, writing.columns) if kind is not None]
    given = [
        func.unnest(bindparam(f"{GIVEN}{number}", type_=ARRAY(kind))) for number, kind in enumerate(kinds)
    ]
    statement = insertion.from_select(list(writing.columns), select(*given), include_defaults=False)
    statement = statement.returning(*writing.table.columns)
    values = {f"{GIVEN}{number}": each for number, each in enumerate(lists)}
    if isinstance(into, Table):
        return source.execute(statement, values).all()
    objects = select(into).from_statement(statement).execution_options(populate_existing=True)
    return source.execute(objects, values).scalars().unique().all()


def _list_type(column: Column[Any]) -> TypeEngine[Any] | None:
    """What its values are in a list; None if a list of them may not be what they are one by one."""
    kind = column.type
    if isinstance(kind, String) and not isinstance(kind, Enum):
        return Text()  # A cast to a list of shorter texts would cut them.
    return kind if isinstance(kind, _PLAIN) else None


def _is_added_to(into: Any, writing: Writing) -> bool:
    others = (column for column in writing.table.columns if column not in writing.columns)
    if any(column.default is not None for column in others):
        return True
    mapper: Any = None if isinstance(into, Table) else inspect(into)
    return mapper is not None and (mapper.polymorphic_on is not None or mapper.version_id_col is not None)


def _are_alike(column: Column[Any], values: list[Any]) -> bool:
    """Whether all are of one type, and none leaves the column to its default."""
    kinds = set(map(type, values))
    if type(None) in kinds:
        kinds.discard(type(None))
        if column.primary_key or column.default is not None or column.server_default is not None:
            return False
    return len(kinds) <= 1
