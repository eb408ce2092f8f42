"""What tells the rows of a SELECT apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    CTE,
    Alias,
    Column,
    ColumnElement,
    CompoundSelect,
    FromClause,
    FunctionFilter,
    Integer,
    Join,
    Label,
    Lateral,
    Select,
    Subquery,
    Table,
    UniqueConstraint,
    Uuid,
    WithinGroup,
    literal,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import FromGrouping, SelectBase, SelectStatementGrouping
from sqlalchemy.util import LRUCache

from penstock.sqlalchemy_compat import (
    cache_key_of,
    groups_of,
    is_distinct,
    is_distinct_on,
    limits_of,
    order_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Columns = list[ColumnElement[Any]]

_AGGREGATES = frozenset(
    (
        *("any_value", "array_agg", "avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "count"),
        *("every", "group_concat", "json_agg", "json_arrayagg", "json_group_array", "json_group_object"),
        *("json_object_agg", "json_objectagg", "jsonb_agg", "jsonb_object_agg", "max", "median", "min"),
        *("std", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "total"),
        *("var_pop", "var_samp", "variance"),
    )
)
_SCALAR_IF_SEVERAL = ("max", "min")
"""On SQLite, of several values they are no aggregates."""


_KNOWN: LRUCache[Any, list[Source]] = LRUCache(500)
"""Where SELECTs take rows from, since SQLAlchemy takes long to find out; by what makes two of them equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One of the tables, or the like, that a SELECT takes its rows from.

    Args:
        selectable: It; no join.
        nullable: Whether a join can give a row without it.
        determined: Whether the rest of a row says which row of it is there.
    """

    selectable: FromClause
    nullable: bool = False
    determined: bool = False

    @property
    def key(self) -> Columns | None:
        """What tells its rows apart; None if that is not known."""
        return _key(self.selectable)

    @property
    def is_table(self) -> bool:
        """Whether what its columns are declared to be holds of its rows."""
        return isinstance(self.selectable, Table) or (
            isinstance(self.selectable, Alias) and isinstance(self.selectable.element, Table)
        )


def sources_of(statement: Select[Any]) -> list[Source]:
    """Where a SELECT takes its rows from, joins taken apart."""
    key = cache_key_of(statement)
    found = None if key is None else _KNOWN.get(key)
    if found is None:
        # Without objects, nothing is loaded along with them: that belongs to no row.
        bare = (
            statement.order_by(None).group_by(None).with_only_columns(literal(1), maintain_column_froms=True)
        )
        found = [source for each in bare.get_final_froms() for source in _sources(each)]
        if key is not None and all(isinstance(source.selectable, Table) for source in found):
            _KNOWN[key] = found  # Others are made for this one statement.
    return found


def key_of(sources: Sequence[Source]) -> Columns | None:
    """What tells rows from these sources apart; None if that is not known."""
    keys = [source.key for source in sources if not source.determined]
    if not keys or any(key is None for key in keys):
        return None
    return [column for key in keys if key is not None for column in key]


def reduced(columns: Iterable[ColumnElement[Any]]) -> Columns:
    """Columns that are unique together, without those that others among them determine."""
    given = list(columns)
    there = {column for column in given if isinstance(column, Column)}
    keys = {table: _key(table) for table in dict.fromkeys(column.table for column in there)}
    whole = {table: set(key) for table, key in keys.items() if key and there.issuperset(key)}
    needed = [
        column
        for column in given
        if not isinstance(column, Column) or column.table not in whole or column in whole[column.table]
    ]
    return list(dict.fromkeys(needed))


def same(one: ColumnElement[Any], other: ColumnElement[Any]) -> bool:
    """Whether two expressions are one."""
    if isinstance(one, Column) or isinstance(other, Column):
        return hash(one) == hash(other)  # Also if one of them is an attribute's.
    return one.compare(other)


def place_of(column: ColumnElement[Any], among: Sequence[ColumnElement[Any]]) -> int | None:
    """Where an expression is among others, or under which name; None if it is not there."""
    for place, each in enumerate(among):
        if same(column, each) or (isinstance(each, Label) and same(column, each.element)):
            return place
    return None


def parts_of(expression: Any) -> Iterator[Any]:
    """All that an expression is made of, but for what is in subqueries."""
    yield expression
    for child in expression.get_children():
        if not isinstance(child, SelectBase | FromClause):
            yield from parts_of(child)


def is_aggregate(part: Any) -> bool:
    """Whether it makes one value of those of many rows."""
    if isinstance(part, FunctionFilter | WithinGroup):
        return True
    if not isinstance(part, FunctionElement):
        return False
    name = getattr(part, "name", "").lower()
    return name in _AGGREGATES and not (name in _SCALAR_IF_SEVERAL and len(part.clauses) > 1)


def has_limit(statement: Any) -> bool:
    """Whether a SELECT gives no more than so many rows, or leaves some out."""
    return any(clause is not None for clause in limits_of(statement))


# --- sources --------------------------------------------------------------------------------------


def _sources(selectable: Any, *, nullable: bool = False) -> Iterator[Source]:
    if isinstance(selectable, FromGrouping):
        yield from _sources(selectable.element, nullable=nullable)
    elif not isinstance(selectable, Join):
        yield Source(selectable, nullable)
    else:
        right_is_nullable = nullable or selectable.isouter or selectable.full
        yield from _sources(selectable.left, nullable=nullable or selectable.full)
        if not selectable.full and _names_a_row(selectable):
            yield Source(selectable.right, right_is_nullable, determined=True)
        else:
            yield from _sources(selectable.right, nullable=right_is_nullable)


def _names_a_row(join: Join) -> bool:
    """Whether a join says by the whole key which row of the right side it is."""
    right = join.right
    key = _key(right) if isinstance(right, Table | Alias) else None
    on: Any = join.onclause
    conditions = on.clauses if isinstance(on, BooleanClauseList) and on.operator is operators.and_ else [on]
    named = {column for each in conditions for column in _named(each, right)}
    return bool(key) and named.issuperset(key or ())


def _named(condition: Any, right: Any) -> Iterator[ColumnElement[Any]]:
    """The column of the right side that a condition has equal to one of the others."""
    if not isinstance(condition, BinaryExpression) or condition.operator is not operators.eq:
        return
    sides = [condition.left, condition.right]
    # Of other types, two that are not the same may count as equal here.
    if all(isinstance(side, Column) and isinstance(side.type, Integer | Uuid) for side in sides):
        there = [side for side in sides if right.c.contains_column(side)]
        yield from there if len(there) == 1 else ()


# --- keys -----------------------------------------------------------------------------------------


def _key(selectable: Any) -> Columns | None:
    if isinstance(selectable, Table):
        return list(selectable.primary_key) or _unique(selectable)
    if isinstance(selectable, Subquery | CTE | Lateral):
        places, columns = _places(selectable.element), list(selectable.c)
        return None if places is None else [columns[place] for place in places]
    if isinstance(selectable, Alias):
        key = _key(selectable.element)
        return None if key is None else [selectable.c[column.key] for column in key if column.key]
    return None


def _unique(table: Table) -> Columns | None:
    """Columns that are declared to be unique together, and none of them NULL."""
    constraints: Iterator[Columns] = (
        list(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)
    )
    indexes: Iterator[Any] = (
        list(each.expressions)
        for each in table.indexes
        if each.unique and not any(each.dialect_kwargs.values())
    )
    found = [
        columns
        for columns in (*constraints, *indexes)
        if columns and all(isinstance(column, Column) and not column.nullable for column in columns)
    ]
    return min(found, key=lambda columns: (len(columns), str(columns)), default=None)


def _places(statement: Any) -> list[int] | None:
    """Which columns of a SELECT tell its rows apart; None if that is not known."""
    if isinstance(statement, SelectStatementGrouping):
        return _places(statement.element)
    if isinstance(statement, CompoundSelect):
        every = list(range(len(statement.selected_columns)))
        return every if is_distinct_compound(statement) and not has_limit(statement) else None
    if not isinstance(statement, Select):
        return None
    key, selected = _key_of_select(statement), list(statement.selected_columns)
    places = [place_of(column, selected) for column in key or ()]
    if key is None or None in places or not _is_settled(statement, key):
        return None
    return [place for place in places if place is not None]


def is_distinct_compound(statement: CompoundSelect[Any]) -> bool:
    """Whether a UNION, or the like, gives no row twice."""
    return not statement.keyword.name.endswith("ALL")


def _key_of_select(statement: Select[Any]) -> Columns | None:
    selected = list(statement.selected_columns)
    if is_distinct_on(statement):
        return None
    if is_distinct(statement):
        return selected
    if groups := groups_of(statement):
        return list(groups)
    if any(is_aggregate(part) for column in selected for part in parts_of(column)):
        return []  # There is one row.
    return key_of(sources_of(statement))


def _is_settled(statement: Select[Any], key: Columns) -> bool:
    """Whether the SELECT has the same rows each time: all, or the first ones of an order."""
    return not has_limit(statement) or all(
        place_of(column, order_of(statement)) is not None for column in key
    )
