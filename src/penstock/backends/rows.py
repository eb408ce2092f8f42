"""How a dialect writes many rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    Update,
    bindparam,
    update,
)

from penstock.backends.keys import KeyBackend
from penstock.backends.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection, Dialect, Select
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

    from penstock.backends.pages import PageBackend
    from penstock.errors import NotWritable

GIVEN = "given_"
Binder: TypeAlias = Callable[[Any], Any]
Expressions: TypeAlias = Mapping[Column[Any], ColumnElement[Any]]


class OnConflict(Enum):
    """What is done about a row whose key is there already.

    Attributes:
        ERROR: Nothing is written at all.
        NOTHING: The row that is there stays as it is.
        UPDATE: The row that is there gets the new values.
    """

    ERROR = "error"
    NOTHING = "nothing"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows became what.

    Args:
        inserted: They were not there.
        updated: They were there, and have the new values.
        skipped: They were there, and stayed as they were.
    """

    inserted: int = 0
    updated: int = 0
    skipped: int = 0

    def __add__(self, other: Written) -> Written:
        """Both together."""
        return Written(
            self.inserted + other.inserted, self.updated + other.updated, self.skipped + other.skipped
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Writing:
    """What is written, and what is done about rows that are there.

    Args:
        table: Where to.
        columns: What every row has a value for, in order.
        on_conflict: What is done about a row whose key is there.
        key: What tells whether a row is there; empty where that is an error in any case.
        update: What a row that is there gets of what is given.
        defaults: What the server makes for columns of a new row that are not given.
        onupdates: What it makes for columns of a row that is there, and gets new values.
    """

    table: Table
    columns: Sequence[Column[Any]]
    on_conflict: OnConflict = OnConflict.ERROR
    key: Sequence[Column[Any]] = ()
    update: Sequence[Column[Any]] = field(default=())
    defaults: Expressions = field(default_factory=dict)
    onupdates: Expressions = field(default_factory=dict)


class RowBackend(KeyBackend, Transactions, Protocol):
    """How one dialect does it.

    Attributes:
        returns_new_only: What an INSERT with RETURNING gives are rows that were not there before.
        nonfinite: What columns of numbers hold of "NaN", "Infinity" and "-Infinity".
        takes_columns: Whether it makes use of rows that are held as columns (see `Columns`).
    """

    returns_new_only: bool
    takes_columns: bool
    nonfinite: frozenset[str]

    @property
    def pages(self) -> PageBackend:
        """How rows are ordered, and gone on in after one of them."""

    def check(self, connection: Connection) -> None:
        """Refuse a connection on which no row can be written, before anything is sent.

        Raises:
            NotSupported: Its driver is in a mode in which it does not tell what became of a row.
        """

    def is_streaming(self, connection: Connection) -> bool:
        """Whether rows of a result are yet to be read that another statement would lose, or change."""

    def not_writable(self, error: DBAPIError, what: str) -> NotWritable | None:
        """The error for a transaction in which nothing can be written; None if it is about something else.

        Args:
            error: The server's refusal.
            what: What can't be done.
        """

    def insert(self, into: Any, writing: Writing) -> Any:
        """The INSERT for one row, with what it does about a row that is there.

        Args:
            into: The table, or a class that is mapped to it.
            writing: What is written.
        """

    def create(
        self,
        source: Session | Connection,
        connection: Connection,
        into: Any,
        writing: Writing,
        rows: Sequence[Mapping[str, Any]],
    ) -> Sequence[Any]:
        """Store rows that are not there.

        Args:
            source: What does it.
            connection: Where that does it.
            into: The table, or a class that is mapped to it.
            writing: What is written, and what is done about rows that are there.
            rows: Values by the names that `into` has; the first one's are in the order of the columns.

        Returns:
            Those that were stored: as objects of the class, or rows of the table.
        """

    def latest(self, statement: Select[Any]) -> Select[Any]:
        """The same SELECT, but it sees what others have committed since the transaction began."""

    def locked(self, connection: Connection, writing: Writing, statement: Select[Any]) -> Select[Any]:
        """The same SELECT of rows that will be written, which locks them, where that can be done."""

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; the transaction is spoilt by an error.

        Args:
            connection: In a transaction, whose end decides.
            writing: What is written.
            rows: For each row, a value for each column, as Python has it.

        Raises:
            Unfit: A value is of a type that the column can't hold.
            DBAPIError: The server refuses a row, or does not answer.
        """

    def update(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Give rows that are there new values; those that are not there are skipped. See `write`."""

    def blames_row(self, error: DBAPIError) -> bool:
        """Whether an error is about what a row holds, rather than about the table or the connection."""

    def faulty_column(self, error: Exception, writing: Writing) -> str:
        """The column that a server's error means, or the constraint; empty if it does not say."""

    def why_refused(self, error: Exception) -> str:
        """Why the server, or the driver, refuses a row; no value of it is in that, whatever they say."""

    def estimate(self, source: Session | Connection, statement: Select[Any]) -> int | None:
        """How many rows a SELECT gives, as the server guesses; None if it does not guess."""


class Unfit(Exception):
    """A value can't be sent as what its column holds.

    Args:
        row: The number of its row among those that were to be written.
        column: The number of its column.
    """

    def __init__(self, row: int, column: int) -> None:
        super().__init__(row, column)
        self.row = row
        self.column = column


def with_on_conflict(statement: Any, writing: Writing, where: ColumnElement[Any] | None = None) -> Any:
    """An INSERT that says ON CONFLICT, where the dialect's own has the methods for it.

    Args:
        statement: The INSERT.
        writing: What is written.
        where: What has to hold of a row that is there, so that it gets new values.
    """
    if writing.on_conflict is OnConflict.ERROR:
        return statement
    if writing.on_conflict is OnConflict.UPDATE and writing.update:
        new: dict[str, Any] = {column.name: statement.excluded[column.key] for column in writing.update}
        new |= {column.name: made for column, made in writing.onupdates.items()}
        return statement.on_conflict_do_update(index_elements=list(writing.key), set_=new, where=where)
    return statement.on_conflict_do_nothing(index_elements=list(writing.key) or None)


ANEW = {"populate_existing": True}
"""The option by which an object is as its row is: the session may have one of a row that was there before."""


def insert_returning(
    source: Session | Connection, into: Any, statement: Any, rows: Sequence[Mapping[str, Any]]
) -> Sequence[Any]:
    """What an INSERT stored: objects of a class, or rows of a table."""
    if isinstance(into, Table):
        return source.execute(statement.returning(*into.columns), rows).all()
    return source.execute(statement.returning(into), rows, execution_options=ANEW).scalars().unique().all()


class StandardRows:
    """What dialects do alike that have ON CONFLICT and RETURNING (see `RowBackend`)."""

    returns_new_only = True
    takes_columns = False
    _of_dialect: Callable[[Any], Any]
    """The dialect's own, which has the methods for conflicts."""

    def check(self, connection: Connection) -> None:
        """Nothing: rows can be written on every connection."""

    def is_streaming(self, connection: Connection) -> bool:
        """False: a result is read to its end whatever else is sent."""
        return False

    def insert(self, into: Any, writing: Writing) -> Any:
        """The INSERT for one row, with what it does about a row that is there."""
        return with_on_conflict(self._of_dialect(into), writing)

    def create(
        self,
        source: Session | Connection,
        connection: Connection,
        into: Any,
        writing: Writing,
        rows: Sequence[Mapping[str, Any]],
    ) -> Sequence[Any]:
        """Store rows that are not there; see `RowBackend.create`."""
        return insert_returning(source, into, self.insert(into, writing), rows)

    def latest(self, statement: Select[Any]) -> Select[Any]:
        """The same SELECT: each statement sees what was committed before it."""
        return statement

    def locked(self, connection: Connection, writing: Writing, statement: Select[Any]) -> Select[Any]:
        """The same SELECT, with locks; where there are none, one transaction writes at a time."""
        return statement.with_for_update()

    def ended(self, error: Exception) -> bool:
        """False: what was done before a savepoint is left."""
        return False

    def as_stored(self, dialect: str, column: Column[Any], given: ColumnElement[Any]) -> ColumnElement[Any]:
        """A value as it is: it is compared as what would be stored of it."""
        return given

    def compares(self, column: Column[Any], value: Any) -> bool:
        """True: a value of another type than the column's is made one of that, or refused."""
        return True


def update_one(writing: Writing) -> Update:
    """The UPDATE of one row, whose parameters are called as its columns, with a prefix."""
    given = {column: bindparam(f"{GIVEN}{column.key}", type_=column.type) for column in writing.columns}
    which = (column == given[column] for column in writing.key)
    new: dict[Any, Any] = {column: given[column] for column in writing.update}
    return update(writing.table).where(*which).values({**new, **writing.onupdates})


def binders(dialect: Dialect, columns: Sequence[Column[Any]]) -> list[Binder | None]:
    """What makes of a value what the driver takes, for each column; None where that is the same."""
    return [column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns]


def bind_rows(
    rows: Sequence[Sequence[Any]], binders: Sequence[Binder | None], first: int = 0
) -> Sequence[Sequence[Any]]:
    """The rows as the driver takes them.

    Args:
        rows: The rows.
        binders: What makes of a value what the driver takes.
        first: The number of the first of them.

    Raises:
        Unfit: A value is of a type that its column can't hold.
    """
    if not any(binders):
        return rows
    taken = list(rows)
    columns = [map(itemgetter(place), taken) for place in range(len(binders))]
    made = [map(bind, column) if bind else column for bind, column in zip(binders, columns, strict=True)]
    try:
        return list(zip(*made, strict=True))  # No line of Python runs for a row.
    except Exception:  # Now it is found out which value it is.
        return [_bound(number, row, binders) for number, row in enumerate(taken, first)]


def _bound(number: int, row: Sequence[Any], binders: Sequence[Binder | None]) -> list[Any]:
    made: list[Any] = []
    for value, bind in zip(row, binders, strict=True):
        try:
            made.append(value if bind is None else bind(value))
        except Exception as error:
            raise Unfit(number, len(made)) from error
    return made


def keys_of(
    writing: Writing, rows: Sequence[Sequence[Any]], dialect: Dialect | None = None
) -> list[tuple[Any, ...]]:
    """The keys of rows; with a dialect, as its driver takes them.

    Raises:
        Unfit: A value is of a type that its column can't hold.
    """
    places = [list(writing.columns).index(column) for column in writing.key]
    keys: list[Any] = [()] * len(rows)
    if places:
        keys = list(zip(*(column_of(rows, place) for place in places), strict=True))
    if dialect is None:
        return keys
    try:
        return [tuple(key) for key in bind_rows(keys, binders(dialect, writing.key))]
    except Unfit as error:
        raise Unfit(error.row, places[error.column]) from error.__cause__


def names_of(connection: Connection, columns: Iterable[Column[Any]]) -> list[str]:
    """The names of columns, as a statement has them."""
    return [connection.dialect.identifier_preparer.format_column(column) for column in columns]


def table_of(connection: Connection, writing: Writing) -> str:
    """The table that is written to, as a statement has it."""
    return connection.dialect.identifier_preparer.format_table(writing.table)


class Parted(Sequence[Sequence[Any]], ABC):
    """Rows that are taken apart when they are read, so that not all are held twice."""

    @abstractmethod
    def column(self, place: int) -> list[Any]:
        """The values of one column."""

    @abstractmethod
    def chosen(self, numbers: Iterable[int]) -> Parted:
        """Some of the rows, in this order."""


def column_of(rows: Sequence[Sequence[Any]], place: int) -> list[Any]:
    """The values of one column of rows."""
    return rows.column(place) if isinstance(rows, Parted) else list(map(itemgetter(place), rows))


def chosen_of(rows: Sequence[Sequence[Any]], numbers: Iterable[int]) -> Sequence[Sequence[Any]]:
    """Some of the rows, by their numbers and in the order of these."""
    return rows.chosen(numbers) if isinstance(rows, Parted) else [rows[number] for number in numbers]


def in_chunks(rows: Iterable[Sequence[Any]], size: int) -> Iterator[list[Sequence[Any]]]:
    """A list of so many at a time, and of the rest."""
    chunk: list[Sequence[Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
