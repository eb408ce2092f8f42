"""Rows of files are stored in a table, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from penstock.backends import backend_for
from penstock.backends.arrow import load_arrow
from penstock.backends.rows import OnConflict, Written
from penstock.errors import NoPrimaryKey, PenstockError, RowRefused, UnknownColumn
from penstock.loading.casting import Cast, Misfit, cast_of, is_document
from penstock.loading.mapping import Fate, check, mapped
from penstock.loading.tables import type_of
from penstock.query import bulk_insert
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Column, Connection, Dialect, Engine, Table

    from penstock.loading.mapping import Mapped
    from penstock.loading.sources import Source
    from penstock.query.progress import OnProgress

_AGAIN = "Nothing was stored. Mend the file, then load it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How files are loaded.

    Args:
        on_conflict: What is done about a row that is there.
        key: The columns that tell whether a row is there; by default the primary key.
        names: What columns of files are called in the table; empty for those that are not wanted.
    """

    on_conflict: OnConflict = OnConflict.ERROR
    key: Sequence[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)


class Transaction:
    """One transaction in which files are loaded: all of their rows are stored, or none.

    Args:
        engine: Of the store.

    Attributes:
        committing: Whether it may have been committed already.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._interrupted = False
        self.committing = False

    def run(self, work: Callable[[Connection], Written], what: str) -> Written:
        """Do something in it.

        Args:
            work: What is done.
            what: What it is that can't be done, where the server refuses it.

        Raises:
            RowRefused: The server refuses a row, also at the end.
            ServerError: The server refuses it for another reason.
        """
        try:
            with self._engine.begin() as connection:
                done = self._work(work, connection)
                self.committing = True
            return done
        except DBAPIError as error:
            if self._interrupted:  # In the middle of an answer: the connection is of no use any more.
                raise KeyboardInterrupt from None
            backend = backend_for(self._engine.url)
            rows = backend.rows
            if rows is not None and rows.blames_row(error):
                raise RowRefused(what, why=rows.why_refused(error), hint=_AGAIN) from error
            raise backend.translate(error, what) from error

    def _work(self, work: Callable[[Connection], Written], connection: Connection) -> Written:
        try:
            return work(connection)
        except KeyboardInterrupt:
            self._interrupted = True
            raise


class Loading:
    """A file on its way into a table.

    Args:
        source: The file.
        table: The table.
        options: How it is loaded.

    Attributes:
        columns: What becomes of the columns.
    """

    def __init__(self, source: Source, table: Table, options: LoadOptions) -> None:
        self.source = source
        self._table = table
        self._options = options
        self.columns: list[Mapped] = mapped(source.columns, table, options.names)
        self._failure: PenstockError | None = None
        self._dialect: Dialect

    def check(self) -> None:
        """Refuse columns that do not fit; see `mapping.check`.

        Raises:
            UnknownColumn: Also of what tells whether a row is there.
            NoPrimaryKey: It can't be told whether a row is there.
        """
        check(self.source.name, self._table, self.columns)
        known = [column.name for column in self._table.columns]
        for name in self._options.key:
            if name not in known:
                raise UnknownColumn(
                    f"{self._table.name} has no column {name!r}.",
                    why=f"It has: {', '.join(known)}.",
                    hint=did_you_mean(name, known),
                )
        by_key = self._options.on_conflict is not OnConflict.ERROR
        if by_key and not (self._options.key or self._table.primary_key.columns):
            raise NoPrimaryKey(
                f"{self._table.name} has no primary key.", hint="Say what tells a row: --key NAME"
            )

    def load(self, connection: Connection, on_progress: OnProgress | None = None) -> Written:
        """Store its rows: all of them, or none.

        Args:
            connection: Where to; what it did before in its transaction stays.
            on_progress: Is told how many rows were sent.

        Raises:
            RowRefused: A row can't be stored; the message says where it is in the file, never what it has.
            FileUnreadable: The file is cut off, or damaged.
        """
        self._dialect = connection.dialect
        key = [column.key for column in self._key()]
        try:
            return bulk_insert(
                connection,
                self._table,
                self._reader(),
                on_conflict=self._options.on_conflict,
                key=key or None,
                on_progress=on_progress,
            )
        except Exception as error:
            if self._failure is not None:  # Whatever became of it on its way through Arrow.
                raise self._failure from None
            if isinstance(error, RowRefused):
                raise self._placed(error) from error
            raise

    def _key(self) -> list[Column[Any]]:
        columns = {column.name: column for column in self._table.columns}
        return [columns[name] for name in self._options.key]

    def _reader(self) -> Any:
        """Its rows, as values of the table's columns."""
        arrow, types = load_arrow(), self.source.types()
        loaded = [(each.file, each.column) for each in self.columns if each.fate is Fate.LOADED]
        plan = [
            (name, column, cast_of(column.type, types[name])) for name, column in loaded if column is not None
        ]
        schema = arrow.schema([(column.key, cast.type) for _, column, cast in plan])
        return arrow.RecordBatchReader.from_batches(schema, self._batches(schema, plan))

    def _batches(self, schema: Any, plan: Sequence[tuple[str, Column[Any], Cast]]) -> Iterator[Any]:
        names = [name for name, _, _ in plan]
        documents = [name for name, column, _ in plan if is_document(column.type)]
        first = 0
        try:
            for batch in self.source.batches(names, documents):
                columns = [self._cast(batch.column(place), first, *each) for place, each in enumerate(plan)]
                yield load_arrow().record_batch(columns, schema=schema)
                first += batch.num_rows
        except PenstockError as error:
            self._failure = error
            raise

    def _cast(self, array: Any, first: int, name: str, column: Column[Any], cast: Cast) -> Any:
        try:
            return cast.apply(array)
        except Misfit as error:
            row = first + error.row
            where = f"{self.source.name}, {self.source.place(row)}"
            said = name if name == column.name else f"{name}, for {column.name}"
            raise RowRefused(
                f"{where}, can't be stored: what it has for {said} is no {type_of(column, self._dialect)}.",
                hint=_AGAIN,
                row=row,
            ) from None

    def _placed(self, error: RowRefused) -> RowRefused:
        """A refusal of a row that says where it is in the file."""
        if error.row is None:
            return RowRefused(f"{self.source.name}: {error.what}", why=error.why, hint=_AGAIN)
        rest = error.what.removeprefix(f"Row {error.row} ").removeprefix(f"of {self._table.name} ")
        where = f"{self.source.name}, {self.source.place(error.row)}"
        return RowRefused(f"{where}, {rest}", why=error.why, hint=_AGAIN, row=error.row)
