"""What has to be known about a query before its pages are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Label,
    Select,
    TextClause,
    UnaryExpression,
    inspect,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import ClauseList
from sqlalchemy.sql.functions import FunctionElement

from penstock.errors import NotSupported
from penstock.query.keys import (
    Columns,
    Source,
    is_aggregate,
    is_distinct_compound,
    key_of,
    parts_of,
    place_of,
    reduced,
    same,
    sources_of,
)
from penstock.sqlalchemy_compat import groups_of, is_distinct, is_distinct_on, options_of, order_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock.backends.pages import PageBackend

_BY_CHANCE = frozenset(
    ("gen_random_uuid", "rand", "random", "random_bytes", "randomblob", "uuid", "uuid_generate_v4")
)
_DIRECTIONS = {operators.desc_op: True, operators.asc_op: False}
_NULLS = {operators.nulls_first_op: True, operators.nulls_last_op: False}


@dataclass(frozen=True, slots=True, eq=False)
class Sort:
    """One item of an ORDER BY.

    Args:
        column: What is sorted by.
        descending: Whether the largest comes first.
        nulls_first: Whether NULL comes before all values; None if it is not said.
    """

    column: ColumnElement[Any]
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """A SELECT, and what has to be known about it.

    Args:
        statement: The SELECT.
    """

    statement: Select[Any] | CompoundSelect[Any]

    @cached_property
    def selected(self) -> Columns:
        """The columns of its rows."""
        return list(self.statement.selected_columns)

    @cached_property
    def sources(self) -> list[Source]:
        """Where it takes its rows from."""
        return sources_of(self.statement) if isinstance(self.statement, Select) else []

    @cached_property
    def is_distinct(self) -> bool:
        """Whether no row comes twice."""
        if isinstance(self.statement, CompoundSelect):
            return is_distinct_compound(self.statement)
        return is_distinct(self.statement)

    @cached_property
    def groups(self) -> Columns:
        """What its rows are grouped by."""
        return [sort.column for sort in self._sorts(groups_of(self.statement))]

    @cached_property
    def is_one_row(self) -> bool:
        """Whether all rows are made one."""
        return not self.groups and has_part(self.selected, is_aggregate)

    @cached_property
    def own_order(self) -> list[Sort]:
        """Its own ORDER BY."""
        return self._sorts(order_of(self.statement))

    def sorts(self, order_by: Iterable[Any]) -> list[Sort]:
        """What the rows of its pages are ordered by: as it says itself, then by these, then by its key.

        Raises:
            NotSupported: There is no key, or an item is nothing to go on in.
        """
        key = self.key
        if key is None or self.is_one_row:
            raise no_order()
        found = [*self.own_order, *self._sorts(order_by)]
        for sort in found:
            self._check(sort.column)
        kept: list[Sort] = []
        for sort in (*found, *map(Sort, key)):
            if not any(same(sort.column, each.column) for each in kept):
                first = sort.descending if sort.nulls_first is None else sort.nulls_first
                kept.append(replace(sort, nulls_first=first))  # NULL is the largest.
        return kept

    @cached_property
    def key(self) -> Columns | None:
        """What tells its rows apart; None if that is not known."""
        if isinstance(self.statement, CompoundSelect):
            return [bare(column) for column in self.selected] if self.is_distinct else None
        if is_distinct_on(self.statement):
            return None
        if self.is_distinct:
            return reduced(bare(column) for column in self.selected)
        return reduced(self.groups) if self.groups else key_of(self.sources) or self._mapped_key()

    def _mapped_key(self) -> Columns | None:
        """What a class is mapped by whose table says no key."""
        statement: Any = self.statement
        for described in statement.column_descriptions if len(self.sources) == 1 else ():
            if is_entity(described):
                entity = described["expr"]
                mapper = inspect(entity).mapper
                keys = (mapper.get_property_by_column(column).key for column in mapper.primary_key)
                return [getattr(entity, key).__clause_element__() for key in keys]
        return None

    def item(self, clause: Any, pages: PageBackend) -> Sequence[Any]:
        """An item of its own ORDER BY as the server understands it."""
        if not any(getattr(part, "modifier", None) in _NULLS for part in parts_of(clause)):
            return [clause]
        sort = self._sort(clause)
        nulls_first = bool(sort.nulls_first)
        return pages.in_order(sort.column, descending=sort.descending, nulls_first=nulls_first)

    def can_be_null(self, column: ColumnElement[Any]) -> bool:
        """Whether an expression can be NULL in a row."""
        if not isinstance(column, Column) or column.nullable:
            return True
        tables = (source for source in self.sources if source.is_table and not source.nullable)
        return not any(source.selectable.c.contains_column(column) for source in tables)

    def _sorts(self, clauses: Iterable[Any]) -> list[Sort]:
        # A class in GROUP BY is a list of its columns.
        lists = (each.clauses if type(each) is ClauseList else [each] for each in clauses)
        return [self._sort(clause) for some in lists for clause in some]

    def _sort(self, clause: Any) -> Sort:
        made = clause.__clause_element__() if hasattr(clause, "__clause_element__") else clause
        name = getattr(made, "__visit_name__", "")
        if isinstance(made, str) or name == "textual_label_reference":
            return Sort(self._called(made if isinstance(made, str) else made.element))
        if isinstance(made, Label) or name == "label_reference":
            return self._sort(made.element)
        if isinstance(made, UnaryExpression) and made.modifier in _DIRECTIONS:
            return replace(self._sort(made.element), descending=_DIRECTIONS[made.modifier])
        if isinstance(made, UnaryExpression) and made.modifier in _NULLS:
            return replace(self._sort(made.element), nulls_first=_NULLS[made.modifier])
        if isinstance(made, TextClause) or not isinstance(made, ColumnElement):
            raise NotSupported(
                f"Rows can't be paged in the order of {made}.",
                why="It is no expression that could be compared with.",
                hint="Order by columns, or by expressions of them.",
            )
        return Sort(made)

    def _called(self, name: str) -> ColumnElement[Any]:
        """The selected column of this name."""
        for column in self.selected:
            if name in (column.key, column.name if isinstance(column, Column | Label) else None):
                return bare(column)
        raise NotSupported(f"The query selects nothing that is called {name!r}.")

    def _check(self, column: ColumnElement[Any]) -> None:
        """Raise NotSupported if the query's rows have no one value of this."""
        if has_part([column], _is_by_chance):
            raise NotSupported(f"Rows can't be paged in the order of {column}, which is by chance.")
        if isinstance(self.statement, CompoundSelect) or self.is_distinct:
            if place_of(column, self.selected) is None:
                raise NotSupported(
                    f"The query's rows have no one value of {column}.",
                    why="It is DISTINCT, or made of several.",
                    hint="Order by what is selected.",
                )
            return
        for each in self.columns_in(column) if place_of(column, self.groups) is None else ():
            if self.groups and not self._is_grouped(each):
                raise NotSupported(
                    f"The query's groups have no one value of {each}.",
                    hint="Order by what the query is grouped by, or by aggregates.",
                )
            if not any(source.selectable.c.contains_column(each) for source in self.sources):
                raise NotSupported(f"The query does not select from where {each} is.", hint="Join it.")

    def columns_in(self, expression: Any) -> Iterable[ColumnElement[Any]]:
        """Columns that must have one value in a row; those in aggregates have many."""
        if self.groups and is_aggregate(expression):
            return
        if isinstance(expression, Column):
            yield expression
        for child in expression.get_children():
            if isinstance(child, ColumnElement):
                yield from self.columns_in(child)

    def _is_grouped(self, column: ColumnElement[Any]) -> bool:
        """Whether the groups' key is that of a table with this column."""
        there = {each for each in self.groups if isinstance(each, Column)}
        return any(
            source.selectable.c.contains_column(column) and there.issuperset(source.key or [column])
            for source in self.sources
        )


def check_whole(statement: Any) -> None:
    """Raise NotSupported if objects' collections are taken from a query's own rows, which pages would part.

    What an option says is not public; what has none of it, is none of these.
    """
    for option in options_of(statement):
        for each in getattr(option, "context", ()):
            path = getattr(each, "path", ())
            many = any(getattr(part, "uselist", False) for part in getattr(path, "path", ()))
            if many and "eager_from_alias" in getattr(each, "local_opts", ()):
                raise NotSupported(
                    "Pages would part the collections that contains_eager() fills.",
                    why="A page has so many rows, and an object of several may be on two pages.",
                    hint="Load them with selectinload(), and page through the objects.",
                )


def no_order() -> NotSupported:
    """The error for rows that nothing tells apart."""
    return NotSupported(
        "These rows have no order of their own.",
        why="Nothing is known that tells them apart; without that, rows come twice or are missed.",
        hint="Select from tables with primary keys, group by columns, or select DISTINCT ones.",
    )


def is_entity(described: Any) -> bool:
    """Whether it is an object that a statement selects, by what SQLAlchemy says of its columns."""
    entity = described.get("entity")
    return entity is not None and described["expr"] is entity


def bare(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A selected column without the name that it gets."""
    return column.element if isinstance(column, Label) else column


def has_part(columns: Iterable[Any], wanted: Callable[[Any], bool]) -> bool:
    """Whether such a thing is among what expressions are made of."""
    return any(wanted(part) for column in columns for part in parts_of(column))


def _is_by_chance(part: Any) -> bool:
    return isinstance(part, FunctionElement) and getattr(part, "name", "").lower() in _BY_CHANCE
