"""Plans the pages of a query: their order, and where the conditions go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Over,
    Select,
    Table,
    inspect,
    select,
)
from sqlalchemy.orm import aliased
from sqlalchemy.util import LRUCache

from penstock.errors import NotSupported
from penstock.query.cursor import Term, fingerprint_of
from penstock.query.keys import Columns, has_limit, place_of
from penstock.query.question import Question, Sort, check_whole, has_part, is_entity, no_order
from penstock.sqlalchemy_compat import cache_key_of, locks_rows, options_of, order_of, without_lock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Dialect

    from penstock.backends.pages import PageBackend

_Statement = TypeVar("_Statement", bound="Select[Any] | CompoundSelect[Any]")

_KNOWN: LRUCache[Any, Plan] = LRUCache(500)
"""Plans without their statements, by what makes two questions equal: most are asked again."""

_PREFIX = "penstock_key_"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How pages of a query are asked for.

    Args:
        statement: The SELECT, without an order; None in a plan that is kept for others of its kind.
        terms: What its rows are ordered by, so that no two are equal.
        fingerprint: What tells this order from others.
        after_grouping: Whether a condition is put on groups rather than on rows.
        prefix: How the names of columns begin that are added.
        is_of_one_table: Whether the terms are of one table, whose index could have them all.
    """

    statement: Any
    terms: Sequence[Term]
    fingerprint: str
    after_grouping: bool
    prefix: str
    is_of_one_table: bool

    def asking(self, going: Sequence[Term], condition: ColumnElement[bool] | None) -> Select[Any]:
        """The SELECT with the terms' values at its end, for the rows that meet the condition."""
        made: Select[Any] = self.statement
        if condition is not None:
            made = made.having(condition) if self.after_grouping else made.where(condition)
        added = (term.carrier.selected.label(f"{self.prefix}{n}") for n, term in enumerate(going))
        return made.add_columns(*added)


def plan_of(
    statement: Select[Any] | CompoundSelect[Any],
    order_by: Iterable[Any],
    pages: PageBackend,
    dialect: Dialect,
    *,
    objects: bool,
) -> Plan:
    """How pages of a query are asked for, each from where another one ended.

    Args:
        statement: The query.
        order_by: What its rows are ordered by, besides its own ORDER BY.
        pages: Of the backend.
        dialect: Of the connection.
        objects: Whether a session makes objects of its rows.

    Raises:
        NotSupported: Rows would be lost, or come twice.
    """
    bare, by = statement.order_by(None), list(order_by)
    key = _cache_key(statement.order_by(*by), dialect, objects=objects)
    plan = _KNOWN.get(key)
    if plan is None:
        plan = _plan(Question(statement), by, pages, dialect, objects=objects)
        if key is None or plan.statement is not None or not all(map(_is_lasting, plan.terms)):
            return plan if plan.statement is not None else replace(plan, statement=bare)
        _KNOWN[key] = plan
    return replace(plan, statement=bare)


def _plan(
    question: Question, order_by: Iterable[Any], pages: PageBackend, dialect: Dialect, *, objects: bool
) -> Plan:
    """A plan, without a statement where conditions can be put on the query itself."""
    check_whole(question.statement)
    if has_limit(question.statement):
        raise NotSupported(
            "A query with a LIMIT of its own can't be paged from where a page ended.",
            why="Its rows are others each time.",
            hint="Leave the limit to `per_page`, or use `paginate`.",
        )
    sorts = question.sorts(order_by)
    columns = [sort.column for sort in sorts]
    nullable = [question.can_be_null(column) for column in columns]
    said = fingerprint_of(",".join(map(_described, sorts)))
    prefix = _prefix(question)
    wrapped, after_grouping = None, bool(question.groups)
    if not _takes_conditions(question, columns, pages, dialect):
        bare = replace(question, statement=question.statement.order_by(None))
        wrapped, columns = _wrapped(bare, columns, prefix, objects=objects)
        after_grouping = False
    terms = [
        Term(carrier, sort.descending, bool(sort.nulls_first), can_be_null)
        for sort, column, can_be_null in zip(sorts, columns, nullable, strict=True)
        for carrier in pages.carriers(column, dialect)
    ]
    return Plan(wrapped, terms, said, after_grouping, prefix, len(question.sources) <= 1)


def _cache_key(statement: Any, dialect: Dialect, *, objects: bool) -> Any:
    """What makes two questions have one plan; None if it is not known."""
    key = cache_key_of(statement)
    return None if key is None else (key, type(dialect), dialect.supports_native_uuid, objects)


def _is_lasting(term: Term) -> bool:
    """Whether a term is a table's column, and not an expression of one statement's, or with its values."""
    column = term.carrier.column
    return isinstance(column, Column) and isinstance(column.table, Table)


def ordered(
    statement: Select[Any] | CompoundSelect[Any], pages: PageBackend
) -> tuple[Select[Any] | CompoundSelect[Any], int]:
    """A query in an order in which no two rows are equal, and how many columns of it are added for that.

    Raises:
        NotSupported: Nothing tells its rows apart, and it has no order of its own.
    """
    check_whole(statement)
    question = Question(statement)
    own = order_of(statement)
    key = None if question.is_one_row else question.key
    if key is None:
        if not own:
            raise no_order()
        return statement, 0
    made = statement.order_by(None).order_by(*(item for each in own for item in question.item(each, pages)))
    if isinstance(made, CompoundSelect):
        return made.order_by(*question.selected), 0
    plain = question.is_distinct or bool(question.groups) or len(question.sources) < 2
    added = [] if plain else [each.label(f"{_PREFIX}{n}") for n, each in enumerate(key)]
    return made.add_columns(*added).order_by(*key), len(added)


def unlocked(statement: _Statement) -> _Statement:
    """The same without FOR UPDATE."""
    if isinstance(statement, Select) and locks_rows(statement):
        statement = without_lock(statement)
    return statement


# --- what a condition is put on -------------------------------------------------------------------


def _takes_conditions(question: Question, columns: Columns, pages: PageBackend, dialect: Dialect) -> bool:
    """Whether a condition on rows, or groups, changes nothing about the others."""
    if isinstance(question.statement, CompoundSelect):
        return False
    if has_part((*question.selected, *columns), lambda part: isinstance(part, Over)):
        return False
    if question.groups:  # HAVING knows columns that rows are grouped by, and aggregates.
        there = {each for each in question.groups if isinstance(each, Column)}
        return all(there.issuperset(question.columns_in(column)) for column in columns)
    if not question.is_distinct:
        return True
    carriers = (carrier for column in columns for carrier in pages.carriers(column, dialect))
    return all(carrier.plain for carrier in carriers)


def _wrapped(
    question: Question, columns: Columns, prefix: str, *, objects: bool
) -> tuple[Select[Any], Columns]:
    """A SELECT from the query, and the columns as they are called there."""
    inner, size = question.statement, len(question.selected)
    if isinstance(inner, Select) and locks_rows(inner):
        raise NotSupported("Rows of such a query can't be locked.", hint="Leave FOR UPDATE out.")
    if isinstance(inner, Select) and not question.is_distinct:
        inner = inner.add_columns(*(each.label(f"{prefix}{n}") for n, each in enumerate(columns)))
        places = list(range(size, size + len(columns)))
    else:
        found = (place_of(each, question.selected) for each in columns)
        places = [place for place in found if place is not None]
    rows = inner.subquery()
    there: Columns = list(rows.c)
    visible = _visible(question.statement, rows, there) if objects else []
    if not visible:
        visible = [_named(column, name) for column, name in zip(there, question.selected, strict=False)]
    return select(*visible), [there[place] for place in places]


def _visible(statement: Any, rows: Any, columns: Columns) -> list[Any]:
    """What a session makes of the rows, if there are objects among it."""
    if isinstance(statement, CompoundSelect):
        return []
    described, made, left = statement.column_descriptions, [], iter(columns)
    entities = [each["expr"] for each in described if is_entity(each)]
    mappers = {inspect(entity).mapper.base_mapper for entity in entities}
    if entities and (options_of(statement) or len(mappers) < len(entities)):
        raise NotSupported(
            "Objects can't be made of the rows of such a query.",
            why="It is DISTINCT or has window functions, and options or a class twice.",
            hint="Select objects whose keys are in it: select(Model).where(Model.id.in_(query)).",
        )
    for each in described:
        taken = [next(left) for _ in (select(each["expr"]).selected_columns if is_entity(each) else [None])]
        if is_entity(each):
            made.append(aliased(inspect(each["expr"]).mapper.class_, rows))
        else:
            made.append(_named(taken[0], each["expr"], each["name"]))
    return made if entities else []


def _named(column: Any, original: Any, name: str | None = None) -> Any:
    said = name or getattr(original, "name", None)
    return column.label(said) if isinstance(said, str) and "%(" not in said else column


# --- expressions ----------------------------------------------------------------------------------


def _described(sort: Sort) -> str:
    """An item of an order, as the same item is described in each process."""
    column = sort.column
    if isinstance(column, Column) and hasattr(column.table, "fullname"):
        said = f"{column.table.fullname}.{column.name}"
    else:
        compiled = column.compile()
        said = f"{compiled} {sorted(compiled.params.items())}"
    return f"{said} {sort.descending} {sort.nulls_first}"


def _prefix(question: Question) -> str:
    """A prefix that no column of the query has."""
    prefix = _PREFIX
    while any(str(getattr(column, "name", "")).startswith(prefix) for column in question.selected):
        prefix = f"_{prefix}"
    return prefix
