"""Many rows are written to PostgreSQL by COPY in its binary form."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import psycopg
from psycopg.pq import Format
from sqlalchemy import ClauseElement, Executable, Numeric, bindparam, literal_column, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles

from penstock.backends.rows import (
    GIVEN,
    Binder,
    OnConflict,
    Unfit,
    Writing,
    Written,
    binders,
    bound,
    created,
    in_order,
    last_of_each,
    settled,
    update_one,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Select
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.compiler import SQLCompiler

_logger = logging.getLogger(__name__)

_TEXT = 25
_STAGE = "penstock_rows"
# A domain is sent as what it is made of; the label of an enumeration as a text.
_TYPES = """
    SELECT a.attname, CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'e' THEN 25 ELSE t.oid END
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = CAST(:table AS pg_catalog.regclass) AND a.attnum > 0 AND NOT a.attisdropped"""


class PostgreSQLRows:
    """Writes rows to PostgreSQL.

    Rows are copied straight into the table, or into a temporary one from which one statement takes
    them in the order of their keys: so two writers of the same keys never wait for each other in turn.
    """

    def insert(self, into: Any, writing: Writing) -> Any:
        """The INSERT for one row, with what it does about a row that is there."""
        return settled(insert(into), writing)

    def create(
        self,
        source: Session | Connection,
        connection: Connection,
        into: Any,
        writing: Writing,
        rows: Sequence[Mapping[str, Any]],
    ) -> Sequence[Any]:
        """Store rows that are not there; see `RowBackend.create`."""
        return created(source, into, self.insert(into, writing), rows)

    def latest(self, statement: Select[Any]) -> Select[Any]:
        """The same SELECT: each statement sees what was committed before it."""
        return statement

    def in_order(self, column: ColumnElement[Any], *, descending: bool) -> Sequence[ColumnElement[Any]]:
        """A column in ORDER BY, where NULL counts as larger than every value."""
        return in_order(column, descending=descending)

    def ended(self, error: Exception) -> bool:
        """False: what was done before a savepoint is left."""
        return False

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; see `RowBackend.write`."""
        raw = connection.connection.driver_connection
        types = _types(connection, raw, writing)
        if types is None:
            return self._write_one_by_one(connection, writing, rows)
        if writing.on_conflict is OnConflict.ERROR:
            _copy(connection, _named(connection, writing), writing, types, rows)
            return Written(len(rows))
        return _by_stage(connection, writing, types, rows, _insert_from_stage)

    def faulty_column(self, error: Exception, writing: Writing) -> str:
        """The column that an error of the server's means, or the constraint; empty if it does not say."""
        orig = getattr(error, "orig", error)
        said = getattr(orig, "diag", orig.__cause__)  # asyncpg's own is behind SQLAlchemy's.
        return getattr(said, "column_name", None) or getattr(said, "constraint_name", None) or ""

    def estimate(self, source: Session | Connection, statement: Select[Any]) -> int | None:
        """What the planner expects, from the figures of the last ANALYZE."""
        [[plan]] = source.execute(_Explained(statement)).all()
        found = json.loads(plan) if isinstance(plan, str) else plan
        return int(found[0]["Plan"]["Plan Rows"])

    def update(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Give rows that are there new values; see `RowBackend.update`."""
        types = _types(connection, connection.connection.driver_connection, writing)
        if types is not None:
            return _by_stage(connection, writing, types, rows, _update_from_stage)
        names = [f"{GIVEN}{column.key}" for column in writing.columns]
        done = 0
        for row in last_of_each(writing, rows):
            done += connection.execute(update_one(writing), dict(zip(names, row, strict=True))).rowcount
        return Written(0, done, len(rows) - done)

    def _write_one_by_one(
        self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
    ) -> Written:
        """By SQLAlchemy's own way, for types that can't be copied."""
        chosen = last_of_each(writing, rows) if writing.on_conflict is OnConflict.UPDATE else rows
        keys = [column.key for column in writing.columns]
        statement = self.insert(writing.table, writing).returning(literal_column("xmax = 0"))
        done = connection.execute(statement, [dict(zip(keys, row, strict=True)) for row in chosen])
        fresh = [bool(new) for (new,) in done]
        return Written(sum(fresh), len(fresh) - sum(fresh), len(rows) - len(fresh))


class _Explained(Executable, ClauseElement):
    """EXPLAIN of a statement."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained)
def _explain(element: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def _by_stage(
    connection: Connection,
    writing: Writing,
    types: list[int],
    rows: Sequence[Sequence[Any]],
    taken: Callable[[Connection, Writing], str],
) -> Written:
    """Copy rows to a temporary table, and take them from there by one statement."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    names = _names(connection, writing.columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {_STAGE} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA"
    )
    _copy(connection, f"pg_temp.{_STAGE} ({names})", writing, types, rows)
    inserted, written = map(int, connection.exec_driver_sql(taken(connection, writing)).one())
    connection.exec_driver_sql(f"DROP TABLE pg_temp.{_STAGE}")
    return Written(inserted, written - inserted, len(rows) - written)


def _insert_from_stage(connection: Connection, writing: Writing) -> str:
    """The statement that inserts what was copied: of rows with one key, the first or the last."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    names, key = _names(connection, writing.columns), _names(connection, writing.key)
    if writing.on_conflict is OnConflict.UPDATE and writing.update:
        new = (f"{name} = EXCLUDED.{name}" for name in _each(connection, writing.update))
        then, source = f"DO UPDATE SET {', '.join(new)}", _last_of_each(connection, writing)
    else:
        then = "DO NOTHING"
        source = f"SELECT {names} FROM pg_temp.{_STAGE} ORDER BY {key + ', ' if key else ''}ctid"
    conflict = f"ON CONFLICT ({key})" if key else "ON CONFLICT"
    return (
        f"WITH written AS (INSERT INTO {table} ({names}) {source} {conflict} {then}"
        " RETURNING xmax = 0 AS fresh)"
        " SELECT count(*) FILTER (WHERE fresh), count(*) FROM written"
    )


def _update_from_stage(connection: Connection, writing: Writing) -> str:
    """The statement that updates rows by what was copied; they are locked in the order of their keys."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    key = _names(connection, writing.key)
    new = ", ".join(f"{name} = given.{name}" for name in _each(connection, writing.update))
    same = " AND ".join(f"old.{name} = given.{name}" for name in _each(connection, writing.key))
    return (
        f"WITH given AS ({_last_of_each(connection, writing)}),"
        f" locked AS MATERIALIZED (SELECT {key} FROM {table} JOIN given USING ({key})"
        f" ORDER BY {key} FOR UPDATE OF {table}),"
        f" written AS (UPDATE {table} AS old SET {new} FROM given JOIN locked USING ({key})"
        f" WHERE {same} RETURNING 1)"
        " SELECT 0, count(*) FROM written"
    )


def _last_of_each(connection: Connection, writing: Writing) -> str:
    names, key = _names(connection, writing.columns), _names(connection, writing.key)
    return f"SELECT DISTINCT ON ({key}) {names} FROM pg_temp.{_STAGE} ORDER BY {key}, ctid DESC"


def _each(connection: Connection, columns: Sequence[Column[Any]]) -> list[str]:
    return [connection.dialect.identifier_preparer.format_column(column) for column in columns]


def _names(connection: Connection, columns: Sequence[Column[Any]]) -> str:
    return ", ".join(_each(connection, columns))


def _named(connection: Connection, writing: Writing) -> str:
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    return f"{table} ({_names(connection, writing.columns)})"


# --- types ----------------------------------------------------------------------------------------


def _types(connection: Connection, raw: Any, writing: Writing) -> list[int] | None:
    """As what each column is sent; None if they can't be copied."""
    if not isinstance(raw, psycopg.Connection):
        return None
    for column in writing.columns:
        made = column.type.dialect_impl(connection.dialect)
        if made.bind_expression(bindparam("value", type_=made)) is not None:
            _logger.debug("%s is not copied: the server makes values of %s", writing.table, column.name)
            return None
    name = connection.dialect.identifier_preparer.format_table(writing.table).replace("%%", "%")
    found = {str(row[0]): int(row[1]) for row in connection.execute(text(_TYPES), {"table": name})}
    types = [found.get(column.name, 0) for column in writing.columns]
    for column, oid in zip(writing.columns, types, strict=True):
        if oid != _TEXT and raw.adapters.types.get(oid) is None:
            _logger.debug("%s is not copied: the type of %s is a stranger", writing.table, column.name)
            return None
    return types


def _binders(connection: Connection, columns: Sequence[Column[Any]]) -> list[Binder | None]:
    found = binders(connection.dialect, columns)
    return [
        _decimal if bind is None and isinstance(column.type, Numeric) and column.type.asdecimal else bind
        for bind, column in zip(found, columns, strict=True)
    ]


def _decimal(value: Any) -> Any:
    """A float as the server would round it to a numeric: to 15 digits."""
    return Decimal(f"{value:.15g}") if isinstance(value, float) else value


# --- copying --------------------------------------------------------------------------------------


def _copy(
    connection: Connection, into: str, writing: Writing, types: list[int], rows: Sequence[Sequence[Any]]
) -> None:
    rows = bound(rows, _binders(connection, writing.columns))
    raw: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    statement = f"COPY {into} FROM STDIN (FORMAT BINARY)".replace("%%", "%")  # It goes as it is.
    try:
        with raw.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            copy.set_types(types)
            _send(copy, raw, types, rows)
    except psycopg.Error as error:
        if raw.closed:
            connection.invalidate(error)
        raise _wrapped(connection, statement, error) from error


def _send(
    copy: psycopg.Copy, raw: psycopg.Connection[Any], types: list[int], rows: Sequence[Sequence[Any]]
) -> None:
    done = 0
    try:
        for row in rows:
            copy.write_row(row)
            done += 1
    except psycopg.OperationalError:
        raise
    except Exception as error:
        raise Unfit(done, _unfit(raw, types, rows[done])) from error


def _unfit(raw: psycopg.Connection[Any], types: list[int], row: Sequence[Any]) -> int:
    """Which value of a row can't be sent."""
    for place, (oid, value) in enumerate(zip(types, row, strict=True)):
        try:
            if value is not None:
                raw.adapters.get_dumper_by_oid(oid, Format.BINARY)(type(value), raw).dump(value)
        except Exception:
            return place
    return 0


def _wrapped(connection: Connection, statement: str, error: psycopg.Error) -> DBAPIError:
    """A driver's error as one of SQLAlchemy's family."""
    return cast(
        "DBAPIError",
        DBAPIError.instance(
            statement,
            None,
            error,
            psycopg.Error,
            connection_invalidated=connection.invalidated,
            dialect=connection.dialect,
        ),
    )
