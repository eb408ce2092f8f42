"""Pages of a large result: by number, or from where the last one ended."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import ColumnElement, Select, Table, func, inspect, select
from sqlalchemy.orm import Session

from penstock.backends import backend_for
from penstock.errors import NotSupported
from penstock.query.cursor import Order, beyond, read_cursor, write_cursor
from penstock.query.target import Model, reading, target_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.backends.rows import RowBackend
    from penstock.query.target import On

Query: TypeAlias = Select[Any] | Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page by its number.

    Args:
        items: Its rows.
        page: Its number, from 1.
        per_page: How many rows a page has at most.
        has_next: Whether there is a page after it.
        total: How many rows there are on all pages; None if they were not counted.
        capped: Whether counting was ended at `total`, and there are more.
    """

    items: Sequence[Any]
    page: int
    per_page: int
    has_next: bool
    total: int | None = None
    capped: bool = False
    _turn: Callable[[int], Page] = field(repr=False, compare=False)

    @property
    def has_prev(self) -> bool:
        """Whether there is a page before it."""
        return self.page > 1

    @property
    def pages(self) -> int | None:
        """How many pages there are; None if rows were not counted."""
        return None if self.total is None else ceil(self.total / self.per_page)

    def next(self) -> Page | None:
        """The page after it, asked for in the same way; None if there is none."""
        return self._turn(self.page + 1) if self.has_next else None

    def prev(self) -> Page | None:
        """The page before it, asked for in the same way; None if there is none."""
        return self._turn(self.page - 1) if self.has_prev else None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage:
    """A page that goes on where another one ended.

    Args:
        items: Its rows.
        next_cursor: From where the next page goes on; None if there is none.
        prev_cursor: Before what the page before it ends; None if there is none.
    """

    items: Sequence[Any]
    next_cursor: str | None = None
    prev_cursor: str | None = None


def paginate(
    on: On,
    query: Query,
    *,
    page: int = 1,
    per_page: int = 10,
    count: bool = True,
    max_count: int | None = None,
) -> Page:
    """One page of a result, by its number.

    Pages far from the beginning take long, since all rows before them are read; see `paginate_keyset`.
    The primary key is added to the order, so that rows neither come twice nor are missed.

    Args:
        on: A session, a connection, or an engine.
        query: A SELECT, or a mapped class or table for all of it.
        page: The page, from 1.
        per_page: Rows on a page; default 10.
        count: Whether to count all rows; `has_next` is right without it, too.
        max_count: Where counting ends; default never.

    Raises:
        ValueError: There is no page, or a page has no rows.
        NotSupported: The rows have no order of their own, and the query gives none.

    >>> from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert
    >>> from sqlalchemy.pool import StaticPool
    >>> engine = create_engine("sqlite://", poolclass=StaticPool)
    >>> gage = Table("gage", MetaData(), Column("number", Integer, primary_key=True))
    >>> with engine.begin() as connection:
    ...     gage.create(connection)
    ...     done = connection.execute(insert(gage), [{"number": number} for number in range(25)])
    >>> last = paginate(engine, gage, page=3)
    >>> len(last.items), last.total, last.pages, last.has_next
    (5, 25, 3, False)
    """
    if page < 1 or per_page < 1:
        raise ValueError("Pages, and the rows on a page, are counted from 1.")
    statement = _select(query)
    wanted = _ordered(statement).limit(per_page + 1).offset((page - 1) * per_page)
    with reading(on) as source:
        rows = _rows(source, wanted)
        total = _count(source, statement, max_count) if count else None

    def turn(number: int) -> Page:
        return paginate(on, query, page=number, per_page=per_page, count=count, max_count=max_count)

    capped = total is not None and max_count is not None and total > max_count
    return Page(
        items=rows[:per_page],
        page=page,
        per_page=per_page,
        has_next=len(rows) > per_page,
        total=max_count if capped else total,
        capped=capped,
        _turn=turn,
    )


def paginate_keyset(
    on: On,
    query: Query,
    *,
    order_by: Sequence[ColumnElement[Any] | Any] = (),
    per_page: int = 10,
    after: str | None = None,
    before: str | None = None,
) -> KeysetPage:
    """One page of a result, from where another one ended: as fast at the end as at the beginning.

    Rows that come or go meanwhile move nothing. NULL counts as larger than every value.

    Args:
        on: A session, a connection, or an engine.
        query: A SELECT without an order, or a mapped class or table for all of it.
        order_by: Columns, each with `.desc()` or not; the primary key is added. Let an index have them.
        per_page: Rows on a page; default 10.
        after: The `next_cursor` of the page before it; none for the first page.
        before: Or the `prev_cursor` of the page after it.

    Raises:
        InvalidCursor: A cursor was made for another order, or was changed.
        ValueError: A page has no rows, or both cursors are given.
        NotSupported: The rows have no primary key.

    Source of the conditions: row values of SQL:1992; for mixed directions `a <= x AND (a < x OR b <= y)`,
    which lets an index be used.
    """
    if per_page < 1 or (after is not None and before is not None):
        raise ValueError("Give one cursor, and at least one row on a page.")
    statement = _select(query)
    keys = _primary_key(statement)
    if not keys:
        raise _no_order()
    order = Order([*order_by, *keys])
    cursor = after if before is None else before
    going = order.terms if before is None else [term.reversed() for term in order.terms]
    if cursor is not None:
        statement = statement.where(beyond(going, read_cursor(cursor, order)))
    wanted = statement.order_by(None).limit(per_page + 1)
    wanted = wanted.add_columns(*(term.column.label(f"_key_{n}") for n, term in enumerate(order.terms)))
    with reading(on) as source:
        backend = _backend(source, statement)
        items = (each for term in going for each in term.order(backend))
        rows = source.execute(wanted.order_by(*items)).all()
    more, rows = len(rows) > per_page, rows[:per_page]
    if before is None:
        return _page(order, rows, more_after=more, more_before=after is not None)
    return _page(order, rows[::-1], more_after=True, more_before=more)


def _page(order: Order, rows: Sequence[Any], *, more_after: bool, more_before: bool) -> KeysetPage:
    size = len(order.terms)
    items: list[Any] = []
    if rows and len(rows[0]) == size + 1 and not _is_plain(rows[0][0]):
        items = [row[0] for row in rows]
    elif rows:
        plain = namedtuple("Row", rows[0]._fields[:-size], rename=True)  # type: ignore[misc]
        items = [plain(*row[:-size]) for row in rows]
    return KeysetPage(
        items=items,
        next_cursor=write_cursor(order, rows[-1][-size:]) if rows and more_after else None,
        prev_cursor=write_cursor(order, rows[0][-size:]) if rows and more_before else None,
    )


def count_estimate(on: On, query: Query) -> int:
    """About how many rows there are, as the server's planner expects: fast, and often wrong by some.

    SQLite has no figures to guess from; there, rows are counted.

    Args:
        on: A session, a connection, or an engine.
        query: A SELECT, or a mapped class or table for all of it.
    """
    statement = _select(query)
    with reading(on) as source:
        guess = _backend(source, statement).estimate(source, statement)
        return _count(source, statement, None) if guess is None else guess


# --- what is asked --------------------------------------------------------------------------------


def _backend(source: Session | Connection, statement: Select[Any]) -> RowBackend:
    bound = source.get_bind(clause=statement) if isinstance(source, Session) else source
    return backend_for(bound.engine.url).rows


def _select(query: Query) -> Select[Any]:
    return query if isinstance(query, Select) else select(target_of(query).model)


def _ordered(statement: Select[Any]) -> Select[Any]:
    """The statement, with an order in which no two rows are equal."""
    if statement._distinct or statement._group_by_clauses:  # Then only what is selected can be an order.
        keys: Sequence[Any] = ()
    else:
        keys = _primary_key(statement)
    if not keys and not statement._order_by_clauses:
        raise _no_order()
    return statement.order_by(*keys)


def _primary_key(statement: Select[Any]) -> Sequence[ColumnElement[Any]]:
    """The primary key of what a statement selects first; empty if it has none."""
    entity = statement.column_descriptions[0].get("entity") if statement.column_descriptions else None
    if entity is not None:
        mapper = inspect(entity).mapper
        return [getattr(entity, mapper.get_property_by_column(column).key) for column in mapper.primary_key]
    first = next(iter(statement.get_final_froms()), None)
    return list(first.primary_key) if isinstance(first, Table) else ()


def _rows(source: Session | Connection, statement: Select[Any]) -> Sequence[Any]:
    rows = source.execute(statement).all()
    single = bool(rows) and len(rows[0]) == 1 and isinstance(source, Session) and not _is_plain(rows[0][0])
    return [row[0] for row in rows] if single else rows


def _is_plain(value: Any) -> bool:
    """Whether it is a value rather than an object of a mapped class."""
    return inspect(value, raiseerr=False) is None


def _count(source: Session | Connection, statement: Select[Any], most: int | None) -> int:
    counted = statement.order_by(None)
    if most is not None:
        counted = counted.limit(most + 1)
    return int(source.execute(select(func.count()).select_from(counted.subquery())).scalar_one())


def _no_order() -> NotSupported:
    return NotSupported(
        "These rows have no order of their own.",
        why="Without one, rows come twice or are missed.",
        hint="Order the query by columns that together are unique.",
    )
