"""How a dialect gives the rows of a SELECT as batches of Arrow."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy import TextualSelect
from sqlalchemy.orm import Session

from penstock.backends.arrow import Plan, load_arrow, plan_of
from penstock.backends.column_makers import ColumnMaker, unlike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, CursorResult, Dialect, Engine

BATCH = 50_000
"""How many rows a batch has, where nobody says and rows are read one by one."""

_AT_A_TIME = 500
"""How many rows are fetched at a time."""


REWRITES = "penstock_rewrites"
"""What a listener to `do_orm_execute` has that only rewrites statements: the function that does so."""


class Selected:
    """A SELECT of plain columns, each under a name of its own.

    Args:
        statement: The SELECT.
        names: What its columns are called.
        batch: How many rows a batch has at most; None for as many as is convenient.
        whole: Whether all of it is read before its connection is used for anything else.

    Attributes:
        alone: Whether it is read on a connection that nobody else has.
    """

    def __init__(
        self, statement: Any, names: Sequence[str], batch: int | None = None, *, whole: bool = False
    ) -> None:
        self.alone = False
        self.statement = statement
        self.names = names
        self.batch = batch
        self.whole = whole

    def plans(self, dialect: Dialect, *, zones: bool) -> list[Plan]:
        """How its columns become those of a table."""
        columns = self.statement.selected_columns
        return [
            plan_of(name, column, dialect, zones=zones)
            for name, column in zip(self.names, columns, strict=True)
        ]


class FrameBackend(Protocol):
    """How one dialect does it."""

    def beside(
        self, engine: Engine, selected: Selected, reserve: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[Any] | None:
        """A block with a reader of batches, on a connection besides those of the engine.

        Args:
            engine: Whose database is read, and by whose login.
            selected: What is read.
            reserve: Makes a block in which one more connection may be open.

        Returns:
            None where rows have to be read one by one.

        Raises:
            MissingExtra: A library that this takes is not installed.
        """

    def within(self, source: Session | Connection, selected: Selected) -> AbstractContextManager[Any]:
        """A block with a reader of batches, on a connection of the caller's, in its transaction."""


class RowFrames:
    """Reads rows as SQLAlchemy does, on any dialect.

    Args:
        interleaved: Whether a connection can do other things while rows are read from it one by one; if it
            can't, those on a connection of the caller's are read at once.

    Attributes:
        zones: Whether the dialect keeps the time zones of moments.
    """

    zones = False

    def __init__(self, *, interleaved: bool = True) -> None:
        self._interleaved = interleaved

    def beside(
        self, engine: Engine, selected: Selected, reserve: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[Any] | None:
        """None: there is no other way than by rows."""
        return None

    def within(self, source: Session | Connection, selected: Selected) -> AbstractContextManager[Any]:
        """Read rows, a batch at a time."""
        streamed = selected.alone or self._interleaved
        return _by_rows(source, selected, zones=self.zones, streamed=streamed)


def quiet(source: Session | Connection, selected: Selected) -> Connection | None:
    """A connection on which nothing of the caller's sees rows on their way; what is pending is written."""
    if not isinstance(source, Session):
        return source
    listeners = list(source.dispatch.do_orm_execute)
    rewrites = [getattr(each, REWRITES) for each in listeners if hasattr(each, REWRITES)]
    if len(rewrites) < len(listeners):
        return None
    for rewritten in rewrites:
        selected.statement = rewritten(source, selected.statement)
    if source.autoflush:
        source.flush()
    return source.connection(bind_arguments={"clause": selected.statement})


@contextmanager
def _by_rows(
    source: Session | Connection, selected: Selected, *, zones: bool, streamed: bool
) -> Iterator[Any]:
    size = selected.batch or BATCH
    connection = quiet(source, selected)
    on: Any = source if connection is None else connection
    bind = source.get_bind(clause=selected.statement) if isinstance(source, Session) else source
    plans = selected.plans(bind.dialect, zones=zones)
    options = bind.get_execution_options()
    # A cursor of the server's, which this asks for, lives in a transaction.
    streamed = streamed and options.get("isolation_level") != "AUTOCOMMIT"
    how = {"yield_per": size} if streamed else {}
    with on.execute(selected.statement, execution_options=how) as result:
        makers = None if connection is None else _makers(selected, plans, result)
        if makers is None:
            # A text may give its columns in another order than they were declared.
            rows = result.columns(*selected.names) if by_name(selected.statement) else result
            yield reader_of([ColumnMaker(plan) for plan in plans], _columns(rows.fetchmany, size))
        else:
            yield reader_of(makers, _columns(partial(_raw_rows, result), size))


def by_name(statement: Any) -> bool:
    """Whether its columns are found by what they are called, and not by their places."""
    return isinstance(statement, TextualSelect) and not statement.positional


def _makers(selected: Selected, plans: Sequence[Plan], result: CursorResult[Any]) -> list[ColumnMaker] | None:
    """What makes columns of what the driver gives; None where its columns may be others than the SELECT's."""
    given: Any = getattr(result.cursor, "description", None)
    if not given or len(given) != len(plans) or by_name(selected.statement):
        return None
    columns = selected.statement.selected_columns
    process = result.context.get_result_processor
    return [
        ColumnMaker(plan, process(column.type, name, code), is_raw=True)
        for plan, column, (name, code, *_) in zip(plans, columns, given, strict=True)
    ]


def _raw_rows(result: CursorResult[Any], count: int) -> Sequence[Any]:
    """Rows as the driver gives them; its errors are raised as SQLAlchemy's."""
    cursor: Any = result.cursor  # None when all is read.
    return cast("Sequence[Any]", result.cursor_strategy.fetchmany(result, cursor, count))


def _columns(fetch: Callable[[int], Sequence[Any]], size: int) -> Iterator[list[list[Any]]]:
    """Rows as columns, so many rows at a time.

    Of the rows there are few at once: of many objects Python would look for garbage, again and again.
    """
    while rows := fetch(min(size, _AT_A_TIME)):
        count, columns = len(rows), [list(column) for column in zip(*rows, strict=True)]
        while count < size and (rows := fetch(min(size - count, _AT_A_TIME))):
            count += len(rows)
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                column.extend(values)
        yield columns


def reader_of(makers: Sequence[ColumnMaker], parts: Iterator[list[list[Any]]]) -> Any:
    """A reader of batches made of columns; a type that only values tell is that of the first part's."""
    arrow = load_arrow()
    first: list[list[Any]] = next(parts, [[] for _ in makers])
    arrays = _arrays(makers, [maker.plan.type for maker in makers], first)
    schema = arrow.schema(
        [(maker.plan.name, array.type) for maker, array in zip(makers, arrays, strict=True)]
    )

    def batches() -> Iterator[Any]:
        yield arrow.record_batch(arrays, schema=schema)
        for part in parts:
            yield arrow.record_batch(_arrays(makers, schema.types, part), schema=schema)

    return arrow.RecordBatchReader.from_batches(schema, batches())


def _arrays(makers: Sequence[ColumnMaker], types: Sequence[Any], columns: list[list[Any]]) -> list[Any]:
    return [maker.array(type_, values) for maker, type_, values in zip(makers, types, columns, strict=True)]


def fitted(field: Any, array: Any) -> Any:
    """An array as its column has it; raises NotSupported."""
    arrow = load_arrow()
    try:
        return array if array.type == field.type else array.cast(field.type)
    except arrow.ArrowInvalid as error:
        raise unlike(field.name, field.type) from error
