"""Many rows are written to MariaDB, with what is done about those that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, and_, bindparam, func, literal_column
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DataError, IntegrityError

from penstock.backends.expressions import Explained, as_compiled_by_sqlalchemy
from penstock.backends.keys import marks_of, places_in_order
from penstock.backends.mysql.encoding import exact_or_float
from penstock.backends.mysql.faults import number_of
from penstock.backends.mysql.keys import MySQLKeys
from penstock.backends.mysql.ordering import chosen, stage
from penstock.backends.mysql.pages import MySQLPages
from penstock.backends.mysql.refusals import (
    ANOTHER,
    as_others,
    check_key,
    check_updatable,
    check_writable,
    column_of,
    has_ended,
    why_refused,
)
from penstock.backends.mysql.sending import insert, literal, load
from penstock.backends.mysql.transactions import autocommits, begin, check_idle, is_streaming, not_writable
from penstock.backends.rows import (
    ANEW,
    GIVEN,
    OnConflict,
    Writing,
    Written,
    chosen_of,
    insert_returning,
    keys_of,
    names_of,
    table_of,
    update_one,
)
from penstock.backends.values import checked
from penstock.sqlalchemy_compat import groups_of, is_distinct, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Select
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

    from penstock.backends.keys import KeyBackend

_insert = as_compiled_by_sqlalchemy(mysql.Insert)

_THERE = "@penstock_there"
_COUNT = f"({_THERE} := {_THERE} + 1)"
# What only one kind of server knows is in a comment that only this one executes: how many rows are left.
_EXPLAIN = "EXPLAIN /*M! EXTENDED */"


class MySQLRows(MySQLKeys):
    """Writes rows to MariaDB and MySQL.

    There is no ON CONFLICT (key): if a row is there, by whatever unique key, it gets new values, and that
    is all. So the statement looks whether the key is the one that is meant, and fails if it is not. How
    many were there it counts in a variable, since the server does not tell.
    """

    returns_new_only = False
    takes_columns = False
    nonfinite: frozenset[str] = frozenset()
    pages = MySQLPages()

    autocommits = staticmethod(autocommits)
    begin = staticmethod(begin)
    check = staticmethod(check_idle)
    is_streaming = staticmethod(is_streaming)
    not_writable = staticmethod(not_writable)
    ended = staticmethod(has_ended)
    faulty_column = staticmethod(column_of)
    why_refused = staticmethod(why_refused)

    def insert(self, into: Any, writing: Writing) -> Any:
        """The INSERT for one row, with what it does about a row that is there."""
        statement = _insert(into)
        if writing.on_conflict is OnConflict.ERROR:
            return statement
        first = _first(writing)
        same = (column == statement.inserted[column.key] for column in writing.key)
        # The column twice, so that it keeps its type: beside a NULL, FLOAT becomes text, and is rounded.
        meant = func.IF(and_(*same, literal_column(_COUNT)), literal_column("1"), literal_column(ANOTHER))
        kept = func.IF(meant, first, first)
        new: list[Any] = [(column.key, statement.inserted[column.key]) for column in _new(writing)]
        made = [(column.key, expression) for column, expression in _made(writing)]
        return statement.on_duplicate_key_update([(first.key, kept), *made, *new])

    def create(
        self,
        source: Session | Connection,
        connection: Connection,
        into: Any,
        writing: Writing,
        rows: Sequence[Mapping[str, Any]],
    ) -> Sequence[Any]:
        """Store rows that are not there; see `RowBackend.create`."""
        rows = [{name: exact_or_float(value) for name, value in row.items()} for row in rows]
        statement = self.insert(into, writing)
        wanted = into.columns if isinstance(into, Table) else [into]
        with as_others(connection):
            if writing.on_conflict is OnConflict.ERROR:
                return insert_returning(source, into, statement, rows)
            _reset(connection)
            asked = statement.returning(*wanted, literal_column(_THERE))
            found = source.execute(asked, rows, execution_options={} if isinstance(into, Table) else ANEW)
            done = (found if isinstance(into, Table) else found.unique()).freeze()
        there, new = 0, []
        for row in done.data:
            if row[-1] == there:
                new.append(row)
            there = row[-1]
        kept = done.with_new_rows(new)()
        if isinstance(into, Table):
            return kept.columns(*range(len(wanted))).all()
        return kept.scalars().unique().all()

    def latest(self, statement: Select[Any]) -> Select[Any]:
        """The same SELECT, with locks: it sees what was committed meanwhile, whatever the isolation."""
        return statement.with_for_update(read=True)

    def locked(self, connection: Connection, writing: Writing, statement: Select[Any]) -> Select[Any]:
        """The same SELECT, with the locks of who writes."""
        return statement.with_for_update()

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; see `RowBackend.write`."""
        table = table_of(connection, writing)
        check_writable(writing)
        with as_others(connection):
            if writing.on_conflict is not OnConflict.ERROR:
                check_key(connection, writing)
            if _is_made_by_server(connection, writing):
                return self._write_one_by_one(connection, writing, rows)
            if writing.on_conflict is OnConflict.ERROR:
                if not load(connection, self, table, writing, rows):
                    insert(connection, table, writing, rows)
                return Written(len(rows))
            with chosen(connection, writing, rows) as some:
                _reset(connection)
                insert(connection, table, writing, some, _then(connection, writing))
                return _written(writing, len(rows), len(some), _there(connection))

    def update(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Give rows that are there new values; see `RowBackend.update`."""
        check_writable(writing)
        check_updatable(connection, writing)
        with as_others(connection):
            if _is_made_by_server(connection, writing):
                some = _last_of_each(connection, self, writing, rows)
                done = _update_one_by_one(connection, writing, some)
            else:
                with chosen(connection, writing, rows) as some, stage(connection, writing, some) as given:
                    connection.exec_driver_sql(_update_from_stage(connection, writing, given))
                    done = _matching(connection, writing, given)
        return Written(0, done, len(rows) - done)

    def blames_row(self, error: DBAPIError) -> bool:
        """Whether an error is about what a row holds: by its number, or the driver could not send it."""
        if isinstance(error, DataError | IntegrityError):
            return True
        return number_of(error) is None and not error.connection_invalidated

    def estimate(self, source: Session | Connection, statement: Select[Any]) -> int | None:
        """What the optimizer expects."""
        if is_distinct(statement) or groups_of(statement) or limits_of(statement)[0] is not None:
            return None
        plan = source.execute(Explained(_EXPLAIN, statement)).mappings().all()
        expected = 1.0
        for step in plan:
            if step["id"] == plan[0]["id"]:
                expected *= float(step["rows"] or 0) * float(step["filtered"] or 0) / 100
        return round(expected)

    def _write_one_by_one(
        self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
    ) -> Written:
        """By SQLAlchemy's own way, for types whose values the server makes."""
        checked(writing.columns, rows, self.nonfinite)
        some = _last_of_each(connection, self, writing, rows) if _new(writing) else rows
        keys = [column.key for column in writing.columns]
        _reset(connection)
        for row in some:
            connection.execute(self.insert(writing.table, writing), dict(zip(keys, row, strict=True)))
        return _written(writing, len(rows), len(some), _there(connection))


# --- counting ------------------------------------------------------------------------------------


def _reset(connection: Connection) -> None:
    """From now on, rows that are there are counted from 0."""
    connection.exec_driver_sql(f"SET {_THERE} = 0")


def _there(connection: Connection) -> int:
    return int(connection.exec_driver_sql(f"SELECT {_THERE}").scalar_one())


def _new(writing: Writing) -> Sequence[Column[Any]]:
    """What a row that is there gets."""
    return writing.update if writing.on_conflict is OnConflict.UPDATE else ()


def _made(writing: Writing) -> Iterable[tuple[Column[Any], ColumnElement[Any]]]:
    """What the server makes for it; first of all, since expressions see what was set before."""
    return writing.onupdates.items() if _new(writing) else ()


def _written(writing: Writing, given: int, written: int, there: int) -> Written:
    """What became of the rows, if so many were given, so many written, and so many of those there."""
    updated = there if _new(writing) else 0
    return Written(written - there, updated, given - written + there - updated)


# --- statements ----------------------------------------------------------------------------------


def _then(connection: Connection, writing: Writing) -> str:
    """How an INSERT ends that says what is done about a row that is there."""
    table = table_of(connection, writing)
    first = f"{table}.{names_of(connection, [_first(writing)])[0]}"
    same = (f"{table}.{name} = VALUES({name})" for name in names_of(connection, writing.key))
    kept = f"{first} = IF(IF({' AND '.join((*same, _COUNT))}, 1, {ANOTHER}), {first}, {first})"
    made = _set_by_server(connection, writing)
    new = (f"{name} = VALUES({name})" for name in names_of(connection, _new(writing)))
    return f" ON DUPLICATE KEY UPDATE {', '.join((kept, *made, *new))}"


def _set_by_server(connection: Connection, writing: Writing) -> list[str]:
    """What the server makes for a row that is there, as SET has it."""
    names = names_of(connection, [column for column, _ in _made(writing)])
    made = (literal(connection, column, expression) for column, expression in _made(writing))
    return [f"{name} = {each}" for name, each in zip(names, made, strict=True)]


def _update_from_stage(connection: Connection, writing: Writing, given: str) -> str:
    """The statement that updates rows by those in the temporary table, in the order of that."""
    table = table_of(connection, writing)
    made = (f"{table}.{each}" for each in _set_by_server(connection, writing))
    new = (f"{table}.{name} = {given}.{name}" for name in names_of(connection, writing.update))
    return (
        f"UPDATE {given} STRAIGHT_JOIN {table} ON {_same(connection, writing, given)}"
        f" SET {', '.join((*made, *new))}"
    )


def _matching(connection: Connection, writing: Writing, given: str) -> int:
    """How many rows of the temporary table there are in the table."""
    there = f"SELECT 1 FROM {table_of(connection, writing)} WHERE {_same(connection, writing, given)}"
    return int(
        connection.exec_driver_sql(f"SELECT COUNT(*) FROM {given} WHERE EXISTS ({there})").scalar_one()
    )


def _same(connection: Connection, writing: Writing, given: str) -> str:
    table = table_of(connection, writing)
    return " AND ".join(f"{table}.{name} = {given}.{name}" for name in names_of(connection, writing.key))


def _update_one_by_one(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> int:
    names = [f"{GIVEN}{column.key}" for column in writing.columns]
    checked(writing.columns, rows, frozenset())
    given = (dict(zip(names, row, strict=True)) for row in rows)
    return sum(connection.execute(update_one(writing), each).rowcount > 0 for each in given)


def _last_of_each(
    connection: Connection, backend: KeyBackend, writing: Writing, rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]]:
    """Of rows with the same key, the last one, in the order of the keys."""
    marks = marks_of(connection, backend, writing.key, keys_of(writing, rows))
    return chosen_of(rows, places_in_order(len(rows), [marks], last_of_each=True))


def _is_made_by_server(connection: Connection, writing: Writing) -> bool:
    """Whether a column has what the server makes of a value."""
    for column in writing.columns:
        made = column.type.dialect_impl(connection.dialect)
        if made.bind_expression(bindparam("value", type_=made)) is not None:
            return True
    return False


def _first(writing: Writing) -> Column[Any]:
    """A column that a row that is there may be said to get, without a change."""
    return next(iter((*writing.key, *writing.table.primary_key, *writing.table.columns)))
