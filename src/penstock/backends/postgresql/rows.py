"""Many rows are written to PostgreSQL by COPY in its binary form."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, column
from sqlalchemy import table as table_of
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from penstock.backends.keys import stage_name
from penstock.backends.postgresql.copying import Destination, copy
from penstock.backends.postgresql.encoder import Field
from penstock.backends.postgresql.keys import PostgreSQLKeys, nulls_are_same
from penstock.backends.postgresql.lists import created_by_lists, lists_of
from penstock.backends.postgresql.ordering import ordered
from penstock.backends.postgresql.sending import Sent, sent, types_of
from penstock.backends.rows import (
    Explained,
    OnConflict,
    StandardRows,
    Unfit,
    Writing,
    Written,
)
from penstock.backends.values import INFINITE, NAN, checked, cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, CursorResult, Select
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

_logger = logging.getLogger(__name__)

_DRIVERS = ("psycopg", "psycopg_async", "asyncpg")
_STAGE = "penstock_rows"
# Data, integrity, cardinality, a check of a view, a limit of the server's, RAISE; then: the type of a value,
# a cast that there is not, a value for what is always generated; and what PostGIS says of any shape.
_OF_ROWS = ("22", "23", "21", "44", "54", "P0", "42804", "42846", "428C9", "XX000")


class PostgreSQLRows(PostgreSQLKeys, StandardRows):
    """Writes rows to PostgreSQL.

    Rows are copied straight into the table, or into a temporary one from which one statement takes
    them in the order of their keys: so two writers of the same keys never wait for each other in turn.
    """

    _of_dialect = staticmethod(insert)
    nonfinite = INFINITE | {NAN}

    def create(
        self,
        source: Session | Connection,
        connection: Connection,
        into: Any,
        writing: Writing,
        rows: Sequence[Mapping[str, Any]],
    ) -> Sequence[Any]:
        """Store rows that are not there; see `RowBackend.create`."""
        lists = lists_of(into, writing, rows) if connection.dialect.driver in _DRIVERS else None
        if lists is None:
            return super().create(source, connection, into, writing, rows)
        return created_by_lists(source, into, self.insert(writing.table, writing), writing, lists)

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; see `RowBackend.write`."""
        copied = _Copied.of(connection, writing, rows)
        if copied is None and writing.on_conflict is OnConflict.ERROR:
            return self._write_one_by_one(connection, writing, rows)
        if copied is None:
            return _Inserted.like(connection, writing).inserted(rows)
        if writing.on_conflict is OnConflict.ERROR and not copied.is_made:
            return copied.straight(rows)
        return copied.inserted(rows)

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
        [[plan]] = source.execute(Explained("EXPLAIN (FORMAT JSON)", statement)).all()
        found = json.loads(plan) if isinstance(plan, str) else plan
        return int(found[0]["Plan"]["Plan Rows"])

    def update(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Give rows that are there new values; see `RowBackend.update`."""
        copied = _Copied.of(connection, writing, rows) or _Inserted.like(connection, writing)
        return copied.updated(rows)

    def _write_one_by_one(
        self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
    ) -> Written:
        """By SQLAlchemy's own way, for types that can't be copied."""
        names = [column.key for column in writing.columns]
        clean = checked(writing.columns, cleaned(writing.columns, rows) or rows, self.nonfinite)
        connection.execute(
            self.insert(writing.table, writing), [dict(zip(names, row, strict=True)) for row in clean]
        )
        return Written(len(rows))


@dataclass(frozen=True, slots=True)
class _Copied:
    """Rows that can be copied: into the table, or to where one statement takes them from.

    Args:
        connection: In a transaction.
        writing: What is written.
        sent: How each of the columns is sent.
    """

    connection: Connection
    writing: Writing
    sent: list[Sent]

    @classmethod
    def of(cls, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> _Copied | None:
        """None if these rows can't be copied."""
        if connection.dialect.driver not in _DRIVERS:
            _logger.debug("%s is not copied: %s is left to INSERT", writing.table, connection.dialect.driver)
            return None
        how = sent(connection, _table(connection, writing).replace("%%", "%"), writing, rows)
        return None if how is None else cls(connection, writing, how)

    @property
    def is_made(self) -> bool:
        """Whether the server makes a column of what is sent."""
        return any(one.made for one in self.sent)

    def straight(self, rows: Sequence[Sequence[Any]]) -> Written:
        """Into the table itself."""
        self._copy(self.writing.table.schema, self.writing.table.name, rows)
        return Written(len(rows))

    def inserted(self, rows: Sequence[Sequence[Any]]) -> Written:
        """From a stage; of rows with one key, the first counts, or the last."""
        statement = self._insert(in_order=self._stage_in_order(rows))
        if self.writing.on_conflict is not OnConflict.UPDATE:
            inserted = self._run(statement).rowcount
            return self._done(rows, inserted, inserted)
        counts = self._run(
            f"WITH penstock_written AS ({statement} RETURNING xmax = 0 AS fresh)"
            " SELECT count(*) FILTER (WHERE fresh), count(*) FROM penstock_written"
        ).one()
        return self._done(rows, *map(int, counts))

    def updated(self, rows: Sequence[Sequence[Any]]) -> Written:
        """From a stage; rows are locked in the order of their keys."""
        self._stage(rows)
        table, key = _table(self.connection, self.writing), ", ".join(self._key)
        new = ", ".join(f"{name} = penstock_given.{name}" for name in self._update)
        same = " AND ".join(f"old.{name} = penstock_given.{name}" for name in self._key)
        changed = self._run(
            f"WITH penstock_given AS ({self._last_of_each()}),"
            f" penstock_locked AS MATERIALIZED (SELECT {key}"
            f" FROM {table} AS old JOIN penstock_given USING ({key})"
            f" ORDER BY {', '.join(self._order)} FOR UPDATE OF old),"
            f" penstock_keys AS MATERIALIZED (SELECT DISTINCT {key} FROM penstock_locked),"
            f" penstock_written AS (UPDATE {table} AS old SET {new}"
            f" FROM penstock_given JOIN penstock_keys USING ({key}) WHERE {same})"
            " SELECT count(*) FROM penstock_keys"
        ).scalar_one()
        return self._done(rows, 0, int(changed))

    # --- the stage ---

    @property
    def _stage_name(self) -> str:
        return _STAGE

    def _stage_in_order(self, rows: Sequence[Sequence[Any]]) -> bool:
        """Copy rows to a temporary table, in the order of their keys if Python can tell it."""
        places = [list(self.writing.columns).index(column) for column in self.writing.key]
        kinds = [self.sent[place].compared for place in places]
        update = self.writing.on_conflict is OnConflict.UPDATE
        known = ordered(rows, places, kinds, last_of_each=update)
        if known is None:
            self._stage(rows)
            return False
        given, numbers = known
        try:
            self._stage(given)
        except Unfit as error:
            raise Unfit(numbers[error.row], error.column) from error.__cause__
        return True

    def _stage(self, rows: Sequence[Sequence[Any]]) -> None:
        """Copy rows to a temporary table."""
        columns = ", ".join(
            f"CAST(NULL AS pg_catalog.text) AS {name}" if one.made else name
            for name, one in zip(self._columns, self.sent, strict=True)
        )
        self._run(
            f"CREATE TEMPORARY TABLE {self._stage_name} ON COMMIT DROP AS"
            f" SELECT {columns} FROM {_table(self.connection, self.writing)} WITH NO DATA"
        )
        self._copy("pg_temp", self._stage_name, rows)

    def _done(self, rows: Sequence[Sequence[Any]], inserted: int, written: int) -> Written:
        self._run(f"DROP TABLE pg_temp.{self._stage_name}")
        return Written(inserted, written - inserted, len(rows) - written)

    def _copy(self, schema: str | None, table: str, rows: Sequence[Sequence[Any]]) -> None:
        columns = [column.name for column in self.writing.columns]
        copy(self.connection, Destination(schema, table, columns), [one.field for one in self.sent], rows)

    def _run(self, statement: str) -> CursorResult[Any]:
        return self.connection.exec_driver_sql(statement)

    # --- statements ---

    def _insert(self, *, in_order: bool) -> str:
        names, key, then = ", ".join(self._columns), ", ".join(self._key), ""
        source = f"SELECT {self._made()} FROM pg_temp.{self._stage_name}"
        if self.writing.on_conflict is OnConflict.UPDATE and self._update:
            new = ", ".join(f"{name} = EXCLUDED.{name}" for name in self._update)
            then = f" ON CONFLICT ({key}) DO UPDATE SET {new}"
            source = source if in_order else self._last_of_each()
        else:
            if self.writing.on_conflict is not OnConflict.ERROR:
                then = f" ON CONFLICT ({key}) DO NOTHING" if key else " ON CONFLICT DO NOTHING"
            source += "" if in_order else f" ORDER BY {', '.join([*self._order, 'ctid'])}"
        return f"INSERT INTO {_table(self.connection, self.writing)} ({names}) {source}{then}"

    def _last_of_each(self) -> str:
        key = ", ".join([*self._order, *self._lone()])
        stage = f"pg_temp.{self._stage_name}"
        return f"SELECT DISTINCT ON ({key}) {self._made()} FROM {stage} ORDER BY {key}, ctid DESC"

    def _lone(self) -> list[str]:
        """What tells rows apart with NULL in the key: it equals nothing, unless an index says it does."""
        table = _table(self.connection, self.writing).replace("%%", "%")
        nullable = any(column.nullable for column in self.writing.key)
        if not nullable or nulls_are_same(self.connection, table, self.writing.key):
            return []
        return [f"CASE WHEN pg_catalog.num_nulls({', '.join(self._key)}) > 0 THEN ctid END"]

    def _made(self) -> str:
        """What the stage gives for each column."""
        return ", ".join(
            f"{one.made} AS {name}" if one.made else name
            for name, one in zip(self._columns, self.sent, strict=True)
        )

    @property
    def _columns(self) -> list[str]:
        return _each(self.connection, self.writing.columns)

    @property
    def _key(self) -> list[str]:
        return _each(self.connection, self.writing.key)

    @property
    def _order(self) -> list[str]:
        """The order of keys, which is Python's too: of two writers, one may sort here and one there."""
        how = dict(zip(self._columns, self.sent, strict=True))
        return [
            f'CAST({name} AS pg_catalog.text) COLLATE pg_catalog."C"' if how[name].by_bytes else name
            for name in self._key
        ]

    @property
    def _update(self) -> list[str]:
        return _each(self.connection, self.writing.update)


class _Inserted(_Copied):
    """Rows that can't be copied: SQLAlchemy inserts them where one statement takes them from."""

    @classmethod
    def like(cls, connection: Connection, writing: Writing) -> _Inserted:
        """In the order that copied rows have, too."""
        types = types_of(connection, _table(connection, writing).replace("%%", "%"))
        exact = (column.name in types and types[column.name].by_bytes for column in writing.columns)
        return cls(connection, writing, [Sent(Field(), by_bytes=each) for each in exact])

    @property
    def _stage_name(self) -> str:
        return stage_name(self.connection, _STAGE, self.writing.columns)

    def _copy(self, schema: str | None, table: str, rows: Sequence[Sequence[Any]]) -> None:
        columns = [column(each.name, each.type) for each in self.writing.columns]
        names = [each.name for each in columns]
        clean = cleaned(self.writing.columns, rows) or rows
        checked(self.writing.columns, clean, PostgreSQLRows.nonfinite)
        given = [dict(zip(names, row, strict=True)) for row in clean]
        self.connection.execute(insert(table_of(table, *columns, schema=schema)), given)


def _each(connection: Connection, columns: Sequence[Column[Any]]) -> list[str]:
    return [connection.dialect.identifier_preparer.format_column(column) for column in columns]


def _table(connection: Connection, writing: Writing) -> str:
    return connection.dialect.identifier_preparer.format_table(writing.table)
