"""Many rows are written to PostgreSQL by COPY in its binary form."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import psycopg
from psycopg.pq import Format
from sqlalchemy import ClauseElement, Executable, Numeric, bindparam, literal_column, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError
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
    cleaned,
    in_order,
    is_missing,
    keys_of,
    last_of_each,
    settled,
    update_one,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, Connection, Select
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.compiler import SQLCompiler

_logger = logging.getLogger(__name__)

# Data, integrity, cardinality, a check of a view, a limit of the server's, RAISE; then: the type of a value,
# a cast that there is not, a value for what is always generated.
_OF_ROWS = ("22", "23", "21", "44", "54", "P0", "42804", "42846", "428C9")
_TEXT = 25
_TEXTS = (_TEXT, 1042, 1043)
_UUID = 2950
_KNOWN = frozenset(
    {
        *(
            16,
            17,
            20,
            21,
            23,
            _TEXT,
            114,
            700,
            701,
        ),  # bool, bytea, int8, int2, int4, text, json, float4, float8
        *(1082, 1083, 1114, 1184, 1186, 1266, 1700),  # date, time, timestamp(tz), interval, timetz, numeric
        *(_UUID, 3802),  # jsonb
    }
)
_LIMITS = {21: 2**15, 23: 2**31, 700: 2.0**128}
"""Types of numbers that psycopg's C code cuts off instead of refusing them, with what is too much."""
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

    def blames_row(self, error: DBAPIError) -> bool:
        """Whether an error is about what a row holds: by SQLSTATE, or the driver could not send it."""
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return not error.connection_invalidated and not isinstance(error, OperationalError)
        return str(state).startswith(_OF_ROWS)

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
        clean = cleaned(writing.columns, rows) or rows
        for row in last_of_each(clean, keys_of(writing, clean, connection.dialect)):
            there = connection.execute(update_one(writing), dict(zip(names, row, strict=True))).rowcount
            done += bool(there)
        return Written(0, done, len(rows) - done)

    def _write_one_by_one(
        self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
    ) -> Written:
        """By SQLAlchemy's own way, for types that can't be copied."""
        clean = cleaned(writing.columns, rows) or rows
        sort = last_of_each if writing.on_conflict is OnConflict.UPDATE else in_order
        chosen = sort(clean, keys_of(writing, clean, connection.dialect))
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
    taken: Callable[[Connection, Writing, str], str],
) -> Written:
    """Copy rows to a temporary table, and take them from there by one statement."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    names = _names(connection, writing.columns)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {_STAGE} ON COMMIT DROP AS SELECT {names} FROM {table} WITH NO DATA"
    )
    _copy(connection, f"pg_temp.{_STAGE} ({names})", writing, types, rows)
    statement = taken(connection, writing, _order(connection, writing, types))
    inserted, written = map(int, connection.exec_driver_sql(statement).one())
    connection.exec_driver_sql(f"DROP TABLE pg_temp.{_STAGE}")
    return Written(inserted, written - inserted, len(rows) - written)


def _order(connection: Connection, writing: Writing, types: Sequence[int]) -> str:
    """The order of keys, which is Python's too: of two writers, one may sort here and one there."""
    places = [list(writing.columns).index(column) for column in writing.key]
    names = _each(connection, writing.key)
    return ", ".join(
        f'CAST({name} AS pg_catalog.text) COLLATE pg_catalog."C"' if types[place] == _TEXT else name
        for name, place in zip(names, places, strict=True)
    )


def _insert_from_stage(connection: Connection, writing: Writing, order: str) -> str:
    """The statement that inserts what was copied: of rows with one key, the first or the last."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    names, key = _names(connection, writing.columns), _names(connection, writing.key)
    if writing.on_conflict is OnConflict.UPDATE and writing.update:
        new = (f"{name} = EXCLUDED.{name}" for name in _each(connection, writing.update))
        then, source = f"DO UPDATE SET {', '.join(new)}", _last_of_each(connection, writing, order)
    else:
        then = "DO NOTHING"
        source = f"SELECT {names} FROM pg_temp.{_STAGE} ORDER BY {order + ', ' if key else ''}ctid"
    conflict = f"ON CONFLICT ({key})" if key else "ON CONFLICT"
    return (
        f"WITH penstock_written AS (INSERT INTO {table} ({names}) {source} {conflict} {then}"
        " RETURNING xmax = 0 AS fresh)"
        " SELECT count(*) FILTER (WHERE fresh), count(*) FROM penstock_written"
    )


def _update_from_stage(connection: Connection, writing: Writing, order: str) -> str:
    """The statement that updates rows by what was copied; they are locked in the order of their keys."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    key = _names(connection, writing.key)
    new = ", ".join(f"{name} = penstock_given.{name}" for name in _each(connection, writing.update))
    same = " AND ".join(f"old.{name} = penstock_given.{name}" for name in _each(connection, writing.key))
    return (
        f"WITH penstock_given AS ({_last_of_each(connection, writing, order)}),"
        f" penstock_locked AS MATERIALIZED (SELECT {key}"
        f" FROM {table} AS old JOIN penstock_given USING ({key}) ORDER BY {order} FOR UPDATE OF old),"
        f" penstock_keys AS MATERIALIZED (SELECT DISTINCT {key} FROM penstock_locked),"
        f" penstock_written AS (UPDATE {table} AS old SET {new}"
        f" FROM penstock_given JOIN penstock_keys USING ({key}) WHERE {same} RETURNING 1)"
        " SELECT 0, count(*) FROM penstock_keys"
    )


def _last_of_each(connection: Connection, writing: Writing, order: str) -> str:
    names = _names(connection, writing.columns)
    return f"SELECT DISTINCT ON ({order}) {names} FROM pg_temp.{_STAGE} ORDER BY {order}, ctid DESC"


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
    if not isinstance(raw, psycopg.Connection) or not writing.columns:
        return None
    for column in writing.columns:
        if column.identity is not None and column.identity.always:
            return None  # COPY would take a value, which INSERT refuses.
        made = column.type.dialect_impl(connection.dialect)
        if made.bind_expression(bindparam("value", type_=made)) is not None:
            _logger.debug("%s is not copied: the server makes values of %s", writing.table, column.name)
            return None
    name = connection.dialect.identifier_preparer.format_table(writing.table).replace("%%", "%")
    found = {str(row[0]): int(row[1]) for row in connection.execute(text(_TYPES), {"table": name})}
    types = [_sent_as(found.get(column.name, 0)) for column in writing.columns]
    for column, oid in zip(writing.columns, types, strict=True):
        if not _can_be_sent(raw, oid):
            _logger.debug("%s is not copied: the type of %s is a stranger", writing.table, column.name)
            return None
    return types


def _sent_as(oid: int) -> int:
    """Texts of any kind are the same bytes."""
    return _TEXT if oid in _TEXTS else oid


def _can_be_sent(raw: psycopg.Connection[Any], oid: int) -> bool:
    """Whether psycopg sends all that SQLAlchemy's type takes; for inet, say, that may be a text."""
    found = raw.adapters.types.get(oid)
    return found is not None and found.oid in _KNOWN


def _binders(
    connection: Connection, columns: Sequence[Column[Any]], types: Sequence[int]
) -> list[Binder | None]:
    found = binders(connection.dialect, columns)
    return [_binder(*each) for each in zip(found, columns, types, strict=True)]


def _binder(bind: Binder | None, column: Column[Any], oid: int) -> Binder | None:
    if oid in _LIMITS:
        return partial(_within, _LIMITS[oid], bind)
    if oid == _UUID and bind is None:
        return _uuid
    if bind is None and isinstance(column.type, Numeric) and column.type.asdecimal:
        return _decimal
    return bind


def _within(limit: float, bind: Binder | None, value: Any) -> Any:
    """A number that the server's type can hold; raises OverflowError for another."""
    made = value if bind is None else bind(value)
    if made is not None and not -limit <= made < limit and isfinite(made):
        raise OverflowError(made)
    return made


def _uuid(value: Any) -> Any:
    """A UUID, which may be given as a text."""
    return UUID(value) if isinstance(value, str) else value


def _decimal(value: Any) -> Any:
    """A float as the server would round it to a numeric: to 15 digits; NULL for one that is none."""
    if not isinstance(value, float):
        return value
    return None if is_missing(value) else Decimal(f"{value:.15g}")


# --- copying --------------------------------------------------------------------------------------


def _copy(
    connection: Connection, into: str, writing: Writing, types: list[int], rows: Sequence[Sequence[Any]]
) -> None:
    rows = bound(rows, _binders(connection, writing.columns, types))
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
