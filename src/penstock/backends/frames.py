"""How a dialect gives the rows of a SELECT as batches of Arrow."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy.orm import Session

from penstock.backends.arrow import Plan, arrays_of, load_arrow, plan_of
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Dialect, Engine

BATCH = 50_000
"""How many rows a batch has, where nobody says and rows are read one by one."""


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
        self, engine: Engine, selected: Selected, room: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[Any] | None:
        """A block with a reader of batches, on a connection besides those of the engine.

        Args:
            engine: Whose database is read, and by whose login.
            selected: What is read.
            room: Makes a block in which one more connection may be open.

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
        self, engine: Engine, selected: Selected, room: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[Any] | None:
        """None: there is no other way than by rows."""
        return None

    def within(self, source: Session | Connection, selected: Selected) -> AbstractContextManager[Any]:
        """Read rows, a batch at a time."""
        streamed = selected.alone or self._interleaved
        return _by_rows(source, selected, zones=self.zones, streamed=streamed)


@contextmanager
def _by_rows(
    source: Session | Connection, selected: Selected, *, zones: bool, streamed: bool
) -> Iterator[Any]:
    size = selected.batch or BATCH
    bind = source.get_bind(clause=selected.statement) if isinstance(source, Session) else source
    plans = selected.plans(bind.dialect, zones=zones)
    options = bind.get_execution_options()
    # A cursor of the server's, which this asks for, lives in a transaction.
    streamed = streamed and options.get("isolation_level") != "AUTOCOMMIT"
    how = {"yield_per": size} if streamed else {}
    with source.execute(selected.statement, execution_options=how) as result:
        yield reader_of(plans, map(list, result.partitions(size)))


def reader_of(plans: Sequence[Plan], parts: Iterator[list[Any]]) -> Any:
    """A reader of batches made of rows; what only the values tell of a type, those of the first part do."""
    arrow = load_arrow()
    first = next(parts, [])
    types = [plan.type for plan in plans]
    arrays = _arrays(plans, types, first)
    schema = arrow.schema([(plan.name, array.type) for plan, array in zip(plans, arrays, strict=True)])

    def batches() -> Iterator[Any]:
        yield arrow.record_batch(arrays, schema=schema)
        for part in parts:
            yield arrow.record_batch(_arrays(plans, schema.types, part), schema=schema)

    return arrow.RecordBatchReader.from_batches(schema, batches())


def _arrays(plans: Sequence[Plan], types: Sequence[Any], rows: list[Any]) -> list[Any]:
    columns = arrays_of(rows, plans)
    return [
        _array(plan.name, type_, values) for plan, type_, values in zip(plans, types, columns, strict=True)
    ]


def _array(name: str, type_: Any, values: list[Any]) -> Any:
    arrow = load_arrow()
    try:
        return arrow.array(values, type=type_)
    except (arrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise unlike(name, type_) from error


def unlike(name: str, type_: Any, why: str = "") -> NotSupported:
    """The error of a value that is not of its column's type; it does not say which value."""
    return NotSupported(
        f"Column {name!r} of the table has values that are no {type_ or 'type of Arrow'}.",
        why=why,
        hint="Say in the SELECT what they are: cast(column, Type).",
    )


def fitted(field: Any, array: Any) -> Any:
    """An array as its column has it; raises NotSupported."""
    arrow = load_arrow()
    try:
        return array if array.type == field.type else array.cast(field.type)
    except arrow.ArrowInvalid as error:
        raise unlike(field.name, field.type) from error
