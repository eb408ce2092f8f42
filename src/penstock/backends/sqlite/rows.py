"""Many rows are written to a file by one prepared INSERT."""

from __future__ import annotations

import re
import sqlite3
from inspect import isawaitable
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import literal_column
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

from penstock.backends.expressions import as_compiled_by_sqlalchemy
from penstock.backends.keys import STAGE, marks_of, places_in_order
from penstock.backends.refusals import GENERATED
from penstock.backends.rows import (
    GIVEN,
    OnConflict,
    StandardRows,
    Writing,
    Written,
    bind_rows,
    binders,
    chosen_of,
    in_chunks,
    keys_of,
    update_one,
)
from penstock.backends.sqlite import library
from penstock.backends.sqlite.keys import SQLiteKeys
from penstock.backends.sqlite.pages import SQLitePages
from penstock.backends.sqlite.refusals import why_refused
from penstock.backends.sqlite.transactions import LEVEL, take_lock
from penstock.backends.sqlite.values import as_kept, checks
from penstock.backends.values import INFINITE
from penstock.errors import NotWritable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Column, Connection, Select
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

_FAILED = re.compile(r"constraint failed: (.*)")
_UNFIT = re.compile(r"parameter :?(\d+)")
_GENERATED = re.compile(r'cannot (?:INSERT into|UPDATE) generated column "(.*)"')
_STRICT = re.compile(r"cannot store \w+ value in \w+ column (.*)")
_NAMED = (_FAILED, _STRICT, _GENERATED)
"""How the library names a column."""

_PIECE = 1000
"""Rows that are made ready at a time; so few stay in the processor's cache until they are stored."""

_VARIABLES = 30_000
"""How many parameters a statement may have; the library's own limit is 32,766."""


class SQLiteRows(SQLiteKeys, StandardRows):
    """Writes rows to SQLite."""

    _of_dialect = staticmethod(as_compiled_by_sqlalchemy(Insert))
    nonfinite = INFINITE
    pages = SQLitePages()

    def autocommits(self, connection: Connection) -> bool:
        """Whether the next statement would be a transaction by itself: Python begins none."""
        raw: Any = connection.connection.driver_connection
        alone = raw.isolation_level is None or getattr(raw, "autocommit", None) is True
        return alone and not raw.in_transaction

    def begin(self, connection: Connection) -> bool:
        """Begin the transaction that Python would begin before the first INSERT, but not before a savepoint.

        Then the end of that would commit
        (https://docs.python.org/3/library/sqlite3.html#transaction-control-via-the-isolation-level-attribute).
        """
        raw: Any = connection.connection.driver_connection
        if raw.in_transaction:
            return False
        alone = self.autocommits(connection)
        if raw.isolation_level == LEVEL:
            take_lock(connection)  # And say who is waited for.
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else f"BEGIN {raw.isolation_level}")
        return alone

    def is_streaming(self, connection: Connection) -> bool:
        """Whether a result is still read: it would go on with rows that are written meanwhile.

        The library tells it only by this: while a statement runs, no function can be removed.
        """
        raw: Any = connection.connection.driver_connection
        try:
            for function in (len, None):
                made = raw.create_function("penstock_idle", 0, function)
                if isawaitable(made):  # It is aiosqlite's.
                    await_only(made)
        except library.errors():
            return True
        return False

    def not_writable(self, error: DBAPIError, what: str) -> NotWritable | None:
        """The error for a transaction, or a file, that can only be read."""
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code is None or code & 0xFF != sqlite3.SQLITE_READONLY:
            return None
        return NotWritable(
            what, why=str(error.orig), hint="Write in a transaction that may, to a file that may be written."
        )

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; see `RowBackend.write`."""
        pieces = _bound(connection, writing, rows)
        if writing.on_conflict is not OnConflict.UPDATE:
            done = self._insert(connection, writing, pieces)
            if done == 0 and _is_view(connection, writing):
                done = len(rows)  # What becomes of them there, nobody counts.
            return Written(done, 0, len(rows) - done)
        made = self._last_of_each(connection, writing, rows, list(chain.from_iterable(pieces)))
        there = _there(connection, writing, made)
        done = self._insert(connection, writing, [made])
        # Where a trigger left rows out, it is seen which.
        new = len(made) - there if done == len(made) else _there(connection, writing, made) - there
        return Written(new, done - new, len(rows) - done)

    def update(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Give rows that are there new values; see `RowBackend.update`."""
        bound_rows = list(chain.from_iterable(_bound(connection, writing, rows)))
        made = self._last_of_each(connection, writing, rows, bound_rows)
        statement = update_one(writing).compile(dialect=connection.dialect)
        values = _arranged(made, writing, statement, GIVEN)
        unique = set(writing.table.primary_key) <= set(writing.key)
        unique = unique and not _is_view(connection, writing)
        there = 0 if unique else _there(connection, writing, made)
        done = connection.exec_driver_sql(str(statement), values).rowcount if values else 0
        there = done if unique else there
        return Written(0, there, len(rows) - there)

    def blames_row(self, error: DBAPIError) -> bool:
        """Whether an error is about what a row holds; one about the table is an OperationalError."""
        return not isinstance(error, OperationalError) or _GENERATED.search(str(error.orig)) is not None

    def faulty_column(self, error: Exception, writing: Writing) -> str:
        """The column that an error of the library's means; empty if it does not say."""
        said = str(getattr(error, "orig", error))
        if named := next(filter(None, (known.search(said) for known in _NAMED)), None):
            place = named[1].removeprefix(f"{writing.table.name}.")
            known = [column.name for column in writing.table.columns if place.startswith(column.name)]
            return max(known, key=len, default="")
        if unfit := _UNFIT.search(said):
            statement = str(getattr(error, "statement", ""))
            asking = statement.startswith("SELECT")  # Which keys are there?
            columns = writing.key if asking else _in_order(writing)
            if STAGE in statement:  # Their numbers are before them.
                columns = [writing.key[0], *writing.key]
            return columns[(int(unfit[1]) - 1) % len(columns)].name
        key = [column.name for column in writing.table.primary_key]
        return key[0] if "datatype mismatch" in said and len(key) == 1 else ""

    def why_refused(self, error: Exception) -> str:
        """Why a row is refused: by the library's code."""
        if _GENERATED.search(str(getattr(error, "orig", error))):
            return GENERATED
        return why_refused(error)

    def estimate(self, source: Session | Connection, statement: Select[Any]) -> int | None:
        """None: there are no figures to guess from."""
        return None

    def _last_of_each(
        self,
        connection: Connection,
        writing: Writing,
        rows: Sequence[Sequence[Any]],
        made: Sequence[Sequence[Any]],
    ) -> Sequence[Sequence[Any]]:
        """Of rows with the same key the last one, as the driver takes it; in the order of the keys."""
        keys = keys_of(writing, rows)
        if self.tells_apart(connection, writing.key, keys):
            columns: list[Sequence[Any]] = list(zip(*keys_of(writing, made), strict=True))
        else:
            columns = [marks_of(connection, self, writing.key, keys)] if keys else []
        return chosen_of(made, places_in_order(len(made), columns, last_of_each=True))

    def _insert(
        self, connection: Connection, writing: Writing, pieces: Iterable[Sequence[Sequence[Any]]]
    ) -> int:
        keys = [column.key for column in _in_order(writing)]
        statement = self.insert(writing.table, writing).compile(dialect=connection.dialect, column_keys=keys)
        values = (_arranged(piece, writing, statement) for piece in pieces)
        return sum(connection.exec_driver_sql(str(statement), each).rowcount for each in values)


def _bound(
    connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
) -> Iterator[Sequence[Sequence[Any]]]:
    """Some rows at a time as the driver takes them; raises Unfit for what SQLite would change."""
    bind = binders(connection.dialect, writing.columns)
    check = checks(connection.dialect, writing.columns)
    for first in range(0, len(rows), _PIECE):
        yield as_kept(bind_rows(rows[first : first + _PIECE], bind, first), check, first)


def _in_order(writing: Writing) -> list[Column[Any]]:
    """The columns as an INSERT has them."""
    written = set(writing.columns)
    return [column for column in writing.table.columns if column in written]


def _arranged(
    rows: Sequence[Sequence[Any]], writing: Writing, statement: Any, prefix: str = ""
) -> list[tuple[Any, ...]]:
    """The rows as tuples, with their values as the statement has its parameters."""
    places = {f"{prefix}{column.key}": place for place, column in enumerate(writing.columns)}
    names: Sequence[str] = statement.positiontup or ()
    order = [places.get(name, -1) for name in names]
    if -1 in order:
        return _with_constants(rows, statement, places)
    if order == list(range(len(writing.columns))):
        return list(map(tuple, rows))
    return list(map(itemgetter(*order), rows)) if len(order) > 1 else [(row[order[0]],) for row in rows]


def _with_constants(
    rows: Sequence[Sequence[Any]], statement: Any, places: Mapping[str, int]
) -> list[tuple[Any, ...]]:
    """The same, where expressions that the library evaluates have parameters of their own."""
    order: list[int] = []
    constants: list[Any] = []
    for name in statement.positiontup:
        order.append(places.get(name, len(places) + len(constants)))
        if name not in places:
            bind = (
                statement.binds[name].type.dialect_impl(statement.dialect).bind_processor(statement.dialect)
            )
            value = statement.params[name]
            constants.append(value if bind is None else bind(value))
    return [tuple((*row, *constants)[place] for place in order) for row in rows]


def _is_view(connection: Connection, writing: Writing) -> bool:
    """Whether rows are written to a view, by its triggers."""
    schema = writing.table.schema
    quoted = f"{connection.dialect.identifier_preparer.quote(schema)}." if schema else ""
    kinds: list[str] = []
    for catalog in [f"{quoted}sqlite_master"] if schema else ["temp.sqlite_master", "main.sqlite_master"]:
        asked = f"SELECT type FROM {catalog} WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
        kinds += connection.exec_driver_sql(asked, (writing.table.name,)).scalars()
    return kinds[:1] == ["view"]


def _there(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> int:
    """How many of the rows' keys are in the table; the caller's transaction is the only writer."""
    places = [list(writing.columns).index(column) for column in writing.key]
    keys = [[row[place] for place in places] for row in rows]
    chunks = in_chunks(keys, _VARIABLES // len(places))
    return sum(_count(connection, writing, chunk) for chunk in chunks)


def _count(connection: Connection, writing: Writing, keys: Sequence[Sequence[Any]]) -> int:
    quote = connection.dialect.identifier_preparer
    names = ", ".join(quote.format_column(column) for column in writing.key)
    one = f"({', '.join('?' for _ in writing.key)})"
    given = _made(connection, writing, f"VALUES {', '.join(one for _ in keys)}")
    query = (
        f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {quote.format_table(writing.table)}"
        f" WHERE ({names}) IN ({given}))"
    )
    values = tuple(value for key in keys for value in key)
    return int(connection.exec_driver_sql(query, values).scalar_one())


def _made(connection: Connection, writing: Writing, values: str) -> str:
    """What the library makes of values for a key, where a type says so."""
    kinds = [column.type.dialect_impl(connection.dialect) for column in writing.key]
    given = [literal_column(f"column{place}", kind) for place, kind in enumerate(kinds, 1)]
    made = [kind.bind_expression(one) for kind, one in zip(kinds, given, strict=True)]  # type: ignore[arg-type]
    if not any(each is not None for each in made):
        return values
    chosen = (one if each is None else each for one, each in zip(given, made, strict=True))
    names = (str(each.compile(dialect=connection.dialect)) for each in chosen)
    return f"SELECT {', '.join(names)} FROM ({values})"
