"""Many rows are written at the speed of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack, cast

from sqlalchemy.exc import DBAPIError, StatementError

from penstock.backends.columnar import Columns
from penstock.backends.rows import OnConflict, RowBackend, Unfit, Writing, Written
from penstock.backends.transactions import savepoint
from penstock.backends.values import nan_to_null, without_nan
from penstock.errors import RowRefused
from penstock.query.blocks import blocks_of
from penstock.query.filling import Filling, UpdateFilling
from penstock.query.given import check_names
from penstock.query.incoming import Frame, frame_of
from penstock.query.looking import Look
from penstock.query.nonfinite import refused, strange_column
from penstock.query.objects import values_of
from penstock.query.placing import placed
from penstock.query.progress import options_of, reported, total_of
from penstock.query.shapes import LazyRows, MixedShapes, RowContext, Shape, getter
from penstock.query.target import Target, connection_of, rows_backend, target_of, with_retry, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, Connection

    from penstock.query.progress import Options
    from penstock.query.target import Model, On

Row: TypeAlias = Mapping[str, Any] | Sequence[Any] | object
"""A row that is given: a mapping by attribute, a sequence if `columns` says of what, or an object."""

_Rows: TypeAlias = "tuple[Shape, Sequence[int], Sequence[Sequence[Any]]]"

_Verb: TypeAlias = "Callable[[Connection, Writing, Sequence[Sequence[Any]]], Written]"

_REFUSALS = (Unfit, StatementError, ValueError, TypeError, OverflowError)
"""What drivers raise for a value that they can't send, and for one that the server does not take."""


def bulk_insert(
    on: On,
    model: Model,
    rows: Iterable[Row],
    *,
    columns: Sequence[str] | None = None,
    on_conflict: OnConflict | str = OnConflict.ERROR,
    key: Sequence[str] | None = None,
    **options: Unpack[Options],
) -> Written:
    """Insert many rows: all of them, or none.

    On PostgreSQL they are sent by binary COPY, but for values that only INSERT can take, which is logged at
    debug level; of columns of Arrow no values of Python's are made for it. On MariaDB they are sent by
    statements of many rows, or as a file where the address has `local_infile=1`. What is pending stays so.

    Args:
        on: A session or a connection, in whose transaction it is done; or an engine, for one of its own.
        model: A mapped class, or a table.
        rows: Mappings by attribute, which may differ in what they have; or objects of the class, whose
            sessions load what is expired or deferred; or sequences; or a data frame of pandas or polars, or
            a table of Arrow, whose columns are attributes (`penstock[frames]`). An iterator is read 50,000
            rows at a time; but wholly first, where it reads from the same connection and the driver would
            lose the rest. What is missing in a frame of pandas (`isna()`) is NULL.
        columns: What sequences hold, in order.
        on_conflict: What is done about a row that is there: "error" (the default), "nothing", or "update".
        key: What tells whether a row is there; the primary key by default.
        options: `nan="keep"` (the default) stores NaN where a column of the server's holds it, and refuses
            it elsewhere; `nan="null"` stores NULL for NaN, NaT and NA, also in documents and arrays.
            `on_progress=` is called with a `Progress` after each block of 50,000 rows: with what was sent
            so far. What it raises ends the call, and nothing is stored.

    Returns:
        How many were inserted, updated, skipped. Of rows with one key that are given together, the first
        counts with "nothing", the last with "update"; the others are skipped.

    Raises:
        UnknownColumn: A row has something that is no column.
        NotSupported: The rows of the class are in several tables; or it is a frame that can't be read; or
            what the table is, or what else the connection does, does not allow it.
        MissingExtra: It is a frame, and `penstock[frames]` is not installed.
        NotWritable: The transaction has failed, is prepared, or only reads.
        RowRefused: A row can't be stored: the message says which, and which column of it.
        NoPrimaryKey: It can't be told whether a row is there.
        sqlalchemy.exc.DBAPIError: The server refuses the statement rather than a row: there is no such
            constraint, say.

    >>> from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine
    >>> from sqlalchemy.pool import StaticPool
    >>> engine = create_engine("sqlite://", poolclass=StaticPool)
    >>> gage = Table("gage", MetaData(), Column("number", Integer, primary_key=True), Column("name", String))
    >>> gage.create(engine)
    >>> bulk_insert(engine, gage, ({"number": number} for number in range(3)))
    Written(inserted=3, updated=0, skipped=0)
    >>> named = [(2, "Weber"), (3, "Bear")]
    >>> bulk_insert(engine, gage, named, columns=("number", "name"), on_conflict="update")
    Written(inserted=1, updated=1, skipped=0)
    """
    bulk = _Bulk(target_of(model), OnConflict(on_conflict), key, None, columns, options)
    return bulk.write(on, rows)


def upsert(
    on: On,
    model: Model,
    rows: Iterable[Row],
    *,
    columns: Sequence[str] | None = None,
    key: Sequence[str] | None = None,
    update: Sequence[str] | None = None,
    **options: Unpack[Options],
) -> Written:
    """Insert many rows, and update those that exist. See `bulk_insert`.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        rows: The rows.
        columns: What sequences hold, in order.
        key: What tells whether a row is there; the primary key by default.
        update: What rows that are there get, of what is given; by default all of it, but the key.
        options: `nan="keep"` or `nan="null"`, and `on_progress=`.

    Raises:
        UnknownColumn, NotSupported, RowRefused, NoPrimaryKey: See `bulk_insert`.
        RowStale: A row is given with another version than the one that is there.
    """
    return _Bulk(target_of(model), OnConflict.UPDATE, key, update, columns, options).write(on, rows)


def bulk_update(
    on: On,
    model: Model,
    rows: Iterable[Row],
    *,
    columns: Sequence[str] | None = None,
    key: Sequence[str] | None = None,
    **options: Unpack[Options],
) -> Written:
    """Update many rows that exist; those that don't are skipped. See `bulk_insert`.

    What is counted is rows that are given, also where a key means several rows of the table.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        rows: The rows: their keys, and what they get.
        columns: What sequences hold, in order.
        key: What tells which row is meant; the primary key by default.
        options: `nan="keep"` or `nan="null"`, and `on_progress=`.

    Raises:
        UnknownColumn, NotSupported, RowRefused, NoPrimaryKey: See `bulk_insert`.
        RowStale: A row is given with another version than the one that is there.
    """
    return _Update(target_of(model), OnConflict.UPDATE, key, None, columns, options).write(on, rows)


class _Bulk:
    """One call: what it writes where, and the shapes of the rows that came so far."""

    _creates = True
    _filled_by = Filling

    def __init__(
        self,
        target: Target,
        on_conflict: OnConflict,
        key: Sequence[str] | None,
        update: Sequence[str] | None,
        columns: Sequence[str] | None,
        options: Options,
    ) -> None:
        check_names(key=key, update=update, columns=columns)
        target.check_writable(new=self._creates)
        self._target = target
        self._filling = self._filled_by(target)
        self._on_conflict = on_conflict
        names = () if on_conflict is OnConflict.ERROR and key is None else (key or target.key)
        self._key = [target.column(name) for name in names]
        self._update = None if update is None else [target.column(name) for name in update]
        self._columns = None if columns is None else tuple(columns)
        self._nulls_nan, self._on_progress = options_of(**options)
        self._total: int | None = None
        self._shapes: dict[Any, Shape] = {}

    def write(self, on: On, rows: Iterable[Row]) -> Written:
        self._total = total_of(rows)
        frame = frame_of(rows, self._target, self._columns)
        if frame is not None:
            self._columns = frame.names
        if frame is not None or isinstance(rows, Iterator):  # It can be read once.
            return self._write_once(on, rows if frame is None else frame)
        return with_retry(on, lambda: self._write_once(on, rows))

    def _write_once(self, on: On, rows: Iterable[Row] | Frame) -> Written:
        done = Written()
        with writing(on, self._target, reads_first=True) as source:
            connection = connection_of(source, self._target)
            backend = rows_backend(connection)
            verb = self._verb(backend)
            blocks = reported(blocks_of(rows, connection, backend), self._on_progress, self._total)
            with savepoint(connection, backend):
                for first, block in blocks:
                    with suppress(MixedShapes):
                        done += self._write(connection, self._at_once(first, block), backend, verb)
                        continue
                    done += self._write(connection, self._alike(first, block), backend, verb)
        return done

    def _write(
        self, connection: Connection, groups: Iterable[_Rows], backend: RowBackend, verb: _Verb
    ) -> Written:
        done = Written()
        for shape, numbers, values in groups:
            given = self._without_nan(shape, values) if self._nulls_nan else values
            group = _Group(self._target, placed(connection, shape.writing), numbers, backend, verb)
            look = Look(self._target, shape, backend)
            if not look.is_needed:
                done += group.write(connection, given)
                continue
            replace(group, verb=look.look).write(connection, given)
            rest = look.rest(numbers, given, refuses=self._creates)
            done += Written(skipped=rest.skipped)
            if rest.numbers:
                done += replace(group, numbers=rest.numbers).write(connection, rest.rows)
        return done

    def _without_nan(self, shape: Shape, values: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        if isinstance(values, Columns):
            return values.without_nan(shape.writing.columns)
        return without_nan(shape.writing.columns, values)

    def _verb(self, backend: RowBackend) -> _Verb:
        return backend.write

    def _at_once(self, first: int, block: list[Row] | Columns) -> Iterable[_Rows]:
        """Rows that seem to have the same names, with their numbers; looked at when they are sent."""
        if isinstance(block, Columns):
            shape = self._shape(cast("tuple[str, ...]", self._columns), sequence=True)
            yield shape, range(first, first + len(block)), shape.completed(block)
            return
        kinds = set(map(type, block))
        sequence = kinds == {tuple} and self._columns is not None
        if not sequence and kinds != {dict}:
            raise MixedShapes
        given = cast("list[Any]", block)
        names = self._columns if sequence and self._columns else tuple(given[0])
        if set(map(len, given)) != {len(names)}:
            raise MixedShapes
        shape = self._shape(names, sequence=sequence)
        later = LazyRows(shape, given)
        # What Python makes for a row is made once, however often the row is read.
        rows = list(later) if shape.defaults else given if sequence else later
        yield shape, range(first, first + len(block)), rows

    def _alike(self, first: int, block: list[Row]) -> Iterable[_Rows]:
        """Rows that have the same names, with their numbers."""
        groups: dict[int, tuple[Shape, list[int], list[Sequence[Any]]]] = {}
        for number, given in enumerate(block, first):
            shape, values = self._shaped(number, given)
            _, numbers, rows = groups.setdefault(id(shape), (shape, [], []))
            numbers.append(number)
            rows.append(values)
        return groups.values()

    # --- shapes ---

    def _shaped(self, number: int, given: Row) -> tuple[Shape, Sequence[Any]]:
        if isinstance(given, Mapping):
            found = given
        elif self._columns is not None and isinstance(given, Sequence):
            if len(given) != len(self._columns):
                raise RowRefused(
                    f"Row {number} has {len(given)} values, not {len(self._columns)}.",
                    hint="Give each row a value for each of the columns.",
                    row=number,
                )
            shape = self._shape(self._columns, sequence=True)
            return shape, shape.row(given)
        else:
            found = values_of(self._target, number, given, new=self._creates)
        shape = self._shape(tuple(found))
        return shape, shape.row(found)

    def _shape(self, names: tuple[str, ...], *, sequence: bool = False) -> Shape:
        """The shape of rows with these names: one for mappings, in whatever order they have them."""
        said = (sequence, names)
        if said not in self._shapes:
            alike = said if sequence else frozenset(names)
            if alike not in self._shapes:
                self._shapes[alike] = self._new_shape(names, sequence=sequence)
            self._shapes[said] = self._shapes[alike]
        return self._shapes[said]

    def _new_shape(self, names: tuple[str, ...], *, sequence: bool) -> Shape:
        target = self._target
        unknown = [name for name in names if name not in target.columns]
        if unknown:
            raise target.unknown(*unknown)
        given = [target.columns[name] for name in names]
        made = self._filling.makers(given)
        columns = (*given, *made)
        missing = [column.name for column in self._key if column not in columns]
        if missing:
            raise RowRefused(
                f"A row has no value for {', '.join(missing)}.",
                why="It tells whether the row is there already.",
            )
        plain = Writing(
            table=target.table,
            columns=columns,
            on_conflict=self._on_conflict,
            key=self._key,
            update=self._updated(given, list(made)),
        )
        version = target.version
        return Shape(
            self._filling.completed(plain, given),
            names,
            getter(names, sequence=sequence),
            list(made.values()),
            RowContext(columns, target.table),
            given.index(version.column) if version and version.column in given else None,
            self._filling.renews(given),
        )

    def _updated(self, given: Sequence[Column[Any]], made: Sequence[Column[Any]]) -> Sequence[Column[Any]]:
        """What a row that is there gets: defaults are for new ones."""
        if self._update is None:
            key = frozenset(self._key)
            return [column for column in given if column not in key]
        return [column for column in self._update if column in (*given, *made)]


class _Update(_Bulk):
    """One call that updates."""

    _creates = False
    _filled_by = UpdateFilling

    def _verb(self, backend: RowBackend) -> _Verb:
        def update(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
            return backend.update(connection, writing, rows) if writing.update else Written(skipped=len(rows))

        return update

    def _updated(self, given: Sequence[Column[Any]], made: Sequence[Column[Any]]) -> Sequence[Column[Any]]:
        key = frozenset(self._key)
        return [column for column in (*given, *made) if column not in key]


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Rows of one shape, with the numbers under which the caller knows them."""

    _target: Target
    _writing: Writing
    numbers: Sequence[int]
    _backend: RowBackend
    verb: _Verb

    def write(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> Written:
        """Write them; a failure leaves the transaction as it was."""
        try:
            with savepoint(connection, self._backend, "penstock_group"):
                return self.verb(connection, self._writing, rows)
        except _REFUSALS as error:
            if isinstance(error, DBAPIError) and not self._backend.blames_row(error):
                raise
            # What the server would not take of columns is sent as rows, one of which it refuses then.
            clean = list(rows) if isinstance(rows, Columns) else nan_to_null(self._writing.columns, rows)
            if clean is None:
                cause = error.__cause__ if isinstance(error, Unfit) else error
                # A traceback prints the cause, too, with what a server says of values.
                shown = None if connection.engine.hide_parameters else cause
                raise self._refusal(connection, rows, error) from shown
        return self.write(connection, clean)

    def _refusal(self, connection: Connection, rows: Sequence[Sequence[Any]], error: Exception) -> RowRefused:
        return (
            self._unfit(error, rows) if isinstance(error, Unfit) else self._refused(connection, rows, error)
        )

    def _unfit(self, error: Unfit, rows: Sequence[Sequence[Any]]) -> RowRefused:
        number, value = self.numbers[error.row], rows[error.row][error.column]
        return refused(self._target, number, self._writing.columns[error.column], value)

    def _refused(self, connection: Connection, rows: Sequence[Sequence[Any]], error: Exception) -> RowRefused:
        place = self._first_refused(connection, rows)
        which = "A row" if place is None else f"Row {self.numbers[place]}"
        column = self._backend.faulty_column(error, self._writing)
        strange = None if place is None else strange_column(self._writing, rows[place], self._backend, column)
        if place is not None and strange is not None:
            return self._unfit(Unfit(place, strange), rows)
        where = f" for its {column}" if column else ""
        return RowRefused(
            f"{which} of {self._target.name} can't be stored{where}.",
            why=self._backend.why_refused(error),
            hint="Nothing was stored. Mend the row, then write all of them again.",
            row=None if place is None else self.numbers[place],
        )

    def _first_refused(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int | None:
        """The number of the first row with which the rows before it can't be stored; leaves nothing."""
        good, bad = 0, len(rows)
        attempt = connection.begin_nested()
        try:
            while bad - good > 1:
                middle = (good + bad) // 2
                if self._goes(connection, rows[good:middle]):
                    good = middle
                else:
                    bad = middle
            return None if self._goes(connection, rows[good:bad]) else good
        finally:
            attempt.rollback()

    def _goes(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether the server takes these rows."""
        try:
            with savepoint(connection, self._backend, "penstock_group"):
                self.verb(connection, self._writing, rows)
        except _REFUSALS as error:
            if self._backend.ended(error):
                raise
            return False
        return True
