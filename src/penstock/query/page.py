"""Pages of a large result: by number, or from where the last one ended."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Executable, Select, func, inspect, select
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import CompileError, DBAPIError
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.util import AliasedInsp

from penstock.backends.pages import PageBackend
from penstock.errors import NotSupported
from penstock.query.cursor import beyond, invalid, read_cursor, write_cursor
from penstock.query.keys import has_limit
from penstock.query.plan import Plan, ordered, plan_of, unlocked
from penstock.query.question import is_entity
from penstock.query.target import Model, reading, rows_backend, target_of
from penstock.sqlalchemy_compat import limit_and_offset, limits_of, must_be_unique

if TYPE_CHECKING:
    from sqlalchemy import Engine, Result

    from penstock.backends.rows import RowBackend
    from penstock.query.target import On

Query: TypeAlias = Select[Any] | CompoundSelect[Any] | Model


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
    """A page that begins after the end of another one.

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
    with reading(on) as source:
        rows = _numbered(source, statement, page, per_page)
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
    statement, cursor = _select(query), after if before is None else before
    with reading(on) as source:
        bound = _bound(source, statement)
        pages = rows_backend(bound).pages
        objects = isinstance(source, Session)
        plan = plan_of(statement, order_by, pages, bound.dialect, objects=objects)
        walk = _Walk(source, pages, plan, backward=before is not None)
        rows = walk.rows(per_page + 1, cursor)
    more, rows = len(rows) > per_page, rows[:per_page]
    single = objects and _is_of_objects(statement)
    if before is None:
        return _page(plan, rows, single=single, more_after=more, more_before=after is not None)
    return _page(plan, rows[::-1], single=single, more_after=True, more_before=more)


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """From a page to the one beside it.

    Args:
        source: What is asked.
        pages: Of its backend.
        plan: How pages are asked for.
        backward: Whether it goes to the page before.
    """

    source: Session | Connection
    pages: PageBackend
    plan: Plan
    backward: bool

    def rows(self, most: int, cursor: str | None) -> Sequence[Any]:
        """The next rows in this direction, with the terms' values at their ends.

        Raises:
            InvalidCursor: The cursor stands for no place in this order.
            NotSupported: Two rows have one place.
        """
        plan = self.plan
        terms = [term.reversed() for term in plan.terms] if self.backward else plan.terms
        condition, sure = None, True
        if cursor is not None:
            values, sure = read_cursor(cursor, plan.fingerprint, plan.terms)
            condition = beyond(terms, values, row_values=self.pages.row_values and plan.is_of_one_table)
        items = (item for term in terms for item in term.order(self.pages))
        wanted = plan.asking(terms, condition).order_by(*items).limit(most)
        found = self._tried(wanted) if not sure else self._executed(wanted)
        places = [tuple(row[-len(terms) :]) for row in found]
        if any(one == other for one, other in pairwise(places)):
            raise NotSupported(
                "Two of these rows have the same place in the order.",
                why="What should tell rows apart does not: a function that gives several, or a wrong key.",
                hint="Page through a subquery that is DISTINCT, or order by what is different.",
            )
        return found

    def _executed(self, wanted: Select[Any]) -> Sequence[Any]:
        size = len(self.plan.terms)
        result = self.source.execute(wanted)
        return unique(result, lambda row: tuple(row[-size:])).all()

    def _tried(self, wanted: Select[Any]) -> Sequence[Any]:
        """Ask for rows after values that the server may refuse."""
        connection = self.source
        if isinstance(connection, Session):
            connection = connection.connection(bind_arguments={"clause": wanted})
        try:
            with self.pages.trial(connection):
                return self._executed(wanted)
        except DBAPIError as error:
            if not self.pages.refuses_value(error):
                raise
            raise invalid("The server can't read what is in it.") from error


def unique(result: Result[Any], by: Callable[[Any], Any] | None = None) -> Result[Any]:
    """A result without the repetitions that eager loading by a join makes, if there is any."""
    return result.unique(by) if must_be_unique(result) else result


def _page(
    plan: Plan, rows: Sequence[Any], *, single: bool, more_after: bool, more_before: bool
) -> KeysetPage:
    size = len(plan.terms)
    items: list[Any] = []
    if single:
        items = [row[0] for row in rows]
    elif rows:
        plain = namedtuple("Row", _names(rows[0], size), rename=True)  # type: ignore[misc]
        items = [plain(*row[:-size]) for row in rows]
    return KeysetPage(
        items=items,
        next_cursor=_cursor(plan, rows[-1]) if rows and more_after else None,
        prev_cursor=_cursor(plan, rows[0]) if rows and more_before else None,
    )


def _names(row: Any, added: int) -> list[str]:
    """What a row's columns are called; a text of SQL has no name, and then none is known which is which."""
    names, size = row._fields[:-added], len(row) - added
    return list(names) if len(names) == size else ["_"] * size


def _cursor(plan: Plan, row: Any) -> str:
    return write_cursor(plan.fingerprint, plan.terms, row[-len(plan.terms) :])


def count_estimate(on: On, query: Query) -> int:
    """About how many rows there are, as the server's planner expects: fast, and often wrong by some.

    SQLite has no figures to guess from; there, rows are counted.

    Args:
        on: A session, a connection, or an engine.
        query: A SELECT, or a mapped class or table for all of it.
    """
    statement = _select(query)
    with reading(on) as source:
        guess = None
        if isinstance(statement, Select):
            guess = _backend(source, statement).estimate(source, statement)
        return _count(source, statement, None) if guess is None else guess


# --- what is asked --------------------------------------------------------------------------------


def _bound(source: Session | Connection, statement: Any) -> Engine | Connection:
    return source.get_bind(clause=statement) if isinstance(source, Session) else source


def _backend(source: Session | Connection, statement: Any) -> RowBackend:
    return rows_backend(_bound(source, statement))


def _select(query: Query) -> Select[Any] | CompoundSelect[Any]:
    if isinstance(query, Select | CompoundSelect):
        return query
    if isinstance(query, Executable):
        raise NotSupported(
            "Only a SELECT has pages.",
            why="Nothing can be added to another statement.",
            hint="Put it into one: select(statement.subquery()).",
        )
    return select(query) if _is_model(query) else select(target_of(query).model)


def _is_model(query: Any) -> bool:
    """Whether it is a mapped class, even one that is spread over several tables."""
    return isinstance(inspect(query, raiseerr=False), Mapper | AliasedInsp)


def _is_of_objects(statement: Select[Any] | CompoundSelect[Any]) -> bool:
    """Whether a session makes one object of each row."""
    described = [] if isinstance(statement, CompoundSelect) else statement.column_descriptions
    return len(described) == 1 and is_entity(described[0])


# --- by number ------------------------------------------------------------------------------------


def _numbered(
    source: Session | Connection, statement: Select[Any] | CompoundSelect[Any], page: int, per_page: int
) -> Sequence[Any]:
    """The rows of a page, and one of the next page."""
    first, most = (page - 1) * per_page, per_page + 1
    pages = _backend(source, statement).pages
    limit, offset = _own(statement)
    if limit is not None:
        most = min(most, limit - first)
    if most < 1:
        return []
    wanted, size = ordered(statement, pages)
    result: Result[Any] = source.execute(wanted.limit(most).offset(offset + first))
    by = (lambda row: tuple(row[-size:])) if size else None
    rows: Sequence[Any] = unique(result, by).all()
    if size:
        names = _names(rows[0], size) if rows else []
        bare = iter([tuple(row[:-size]) for row in rows])
        rows = list(IteratorResult(SimpleResultMetaData(names), bare))
    single = isinstance(source, Session) and _is_of_objects(statement)
    return [row[0] for row in rows] if single else rows


def _own(statement: Any) -> tuple[int | None, int]:
    """A query's own LIMIT and OFFSET."""
    try:
        limit, offset = limit_and_offset(statement)
        if limits_of(statement)[2] is None:
            return limit, offset or 0
    except CompileError:  # It is no number.
        pass
    raise NotSupported(
        "The LIMIT of this query is no number.", hint="Put it into a subquery: select(query.subquery())."
    )


def _count(
    source: Session | Connection, statement: Select[Any] | CompoundSelect[Any], most: int | None
) -> int:
    counted = statement if has_limit(statement) else statement.order_by(None)
    if most is not None:
        limit, _ = _own(statement)
        counted = counted.limit(most + 1 if limit is None else min(limit, most + 1))
    return int(source.execute(select(func.count()).select_from(unlocked(counted).subquery())).scalar_one())
