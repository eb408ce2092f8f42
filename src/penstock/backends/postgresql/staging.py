"""Rows are copied to PostgreSQL: into a table, or to a stage beside it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, column, literal_column
from sqlalchemy import table as bare_table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import TwoPhaseTransaction

from penstock.backends.expressions import Assembled, with_columns
from penstock.backends.keys import stage_name
from penstock.backends.postgresql.copying import Destination, copy
from penstock.backends.postgresql.encoder import Field
from penstock.backends.postgresql.keys import nulls_are_same
from penstock.backends.postgresql.ordering import ordered
from penstock.backends.postgresql.relations import Relation, new_row, relation_of
from penstock.backends.postgresql.sending import Sent, sent
from penstock.backends.rows import OnConflict, Unfit, Writing, Written, names_of, table_of
from penstock.backends.values import INFINITE, NAN, checked, nan_to_null

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, ColumnElement, CursorResult

_logger = logging.getLogger(__name__)

NONFINITE = INFINITE | {NAN}
"""What a column of floating numbers holds besides numbers."""

DRIVERS = ("psycopg", "psycopg_async", "asyncpg")
"""The drivers that have COPY."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Rows that can be copied: into the table, or to where one statement takes them from.

    Args:
        connection: In a transaction.
        relation: What rows are written to.
        writing: What is written.
        sent: How each of the columns is sent.
        goes_straight: Whether rows are copied into the table itself.
    """

    connection: Connection
    relation: Relation
    writing: Writing
    sent: list[Sent]
    goes_straight: bool

    @classmethod
    def of(
        cls,
        connection: Connection,
        relation: Relation,
        writing: Writing,
        rows: Sequence[Sequence[Any]],
        *,
        staged: bool = False,
    ) -> Copied | None:
        """None if these rows can't be copied: neither into the table nor to a stage."""
        if connection.dialect.driver not in DRIVERS:
            _logger.debug("%s is not copied: %s is left to INSERT", writing.table, connection.dialect.driver)
            return None
        how = sent(connection, relation, writing, rows)
        if how is None:
            return None
        staged = staged or writing.on_conflict is not OnConflict.ERROR
        staged = staged or bool(writing.defaults) or any(one.made for one in how)
        why = "" if staged else relation.not_copied(writing.columns)
        if why:
            _logger.debug("%s is written by INSERT: %s", writing.table, why)
        staged = staged or bool(why)
        hindrance = no_stage(connection, relation) if staged else ""
        if hindrance:
            _logger.debug("%s is not copied: %s", writing.table, hindrance)
            return None
        return cls(connection, relation, writing, how, not staged)

    def straight(self, rows: Sequence[Sequence[Any]]) -> Written:
        """Into the table itself."""
        done = self._copy(self.writing.table.schema, self.writing.table.name, rows)
        return Written(done, 0, len(rows) - done)

    def inserted(self, rows: Sequence[Sequence[Any]]) -> Written:
        """From a stage; of rows with one key, the first counts, or the last."""
        in_order, is_new = self._stage_in_order(rows), "xmax = 0"
        if self.writing.on_conflict is not OnConflict.UPDATE:
            inserted = self._run(self._insert(in_order=in_order)).rowcount
            return self._done(rows, inserted, inserted)
        statement = self._insert(in_order=in_order)
        if not self.relation.marks_new:
            condition, is_new = new_row("penstock_old", self._key, self._update)
            statement += f" WHERE {condition}"
        counts = self._run(
            f"WITH penstock_written AS ({statement} RETURNING {is_new} AS fresh)"
            " SELECT count(*) FILTER (WHERE fresh), count(*) FROM penstock_written"
        ).one()
        return self._done(rows, *map(int, counts))

    def updated(self, rows: Sequence[Sequence[Any]]) -> Written:
        """From a stage; rows are locked in the order of their keys."""
        self._stage(rows)
        table, key = table_of(self.connection, self.writing), ", ".join(self._key)
        new = ", ".join((*(f"{name} = penstock_given.{name}" for name in self._update), *self._onupdates))
        same = " AND ".join(f"penstock_old.{name} = penstock_given.{name}" for name in self._key)
        lock = " FOR UPDATE OF penstock_old" if self.relation.can_be_locked else ""
        counted, returning = "penstock_keys", ""
        if not self.relation.stores_all:  # Of the rows that are meant, some may stay as they are.
            counted = f"(SELECT DISTINCT {key} FROM penstock_written) AS counted"
            returning = f" RETURNING {', '.join(f'penstock_given.{name}' for name in self._key)}"
        changed = self._run(
            f"WITH penstock_given AS ({self._last_of_each(self._made())}),"
            f" penstock_locked AS MATERIALIZED (SELECT {key}"
            f" FROM {table} AS penstock_old JOIN penstock_given USING ({key})"
            f" ORDER BY {', '.join(self._order)}{lock}),"
            f" penstock_keys AS MATERIALIZED (SELECT DISTINCT {key} FROM penstock_locked),"
            f" penstock_written AS (UPDATE {table} AS penstock_old SET {new}"
            f" FROM penstock_given JOIN penstock_keys USING ({key}) WHERE {same}{returning})"
            f" SELECT count(*) FROM {counted}"
        ).scalar_one()
        return self._done(rows, 0, int(changed))

    # --- the stage ---

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
        known = [self.relation.columns[column.name] for column in self.writing.columns]
        columns = ", ".join(
            f"{name} {'pg_catalog.text' if one.made else _escaped(self.connection, type_.definition)}"
            for name, one, type_ in zip(self._columns, self.sent, known, strict=True)
        )
        self._run(f"CREATE TEMPORARY TABLE {self._given} ({columns}) ON COMMIT DROP")
        self._copy("pg_temp", self.relation.stage, rows)

    def _done(self, rows: Sequence[Sequence[Any]], inserted: int, written: int) -> Written:
        self._run(f"DROP TABLE {self._given}")
        return Written(inserted, written - inserted, len(rows) - written)

    @property
    def _given(self) -> str:
        """The stage, as statements have it: never a table of the app's."""
        return f"pg_temp.{self.relation.stage}"

    def _copy(self, schema: str | None, table: str, rows: Sequence[Sequence[Any]]) -> int:
        columns = [column.name for column in self.writing.columns]
        into = Destination(schema, table, columns)
        return copy(self.connection, into, [one.field for one in self.sent], rows)

    def _run(self, statement: str) -> CursorResult[Any]:
        if "\0" not in statement:
            return self.connection.exec_driver_sql(statement)
        old = partial(with_columns, table=self.writing.table, instead=self._old)
        made = (*self.writing.defaults.values(), *map(old, self.writing.onupdates.values()))
        return self.connection.execute(Assembled(statement, made))

    def _old(self, column: Column[Any]) -> ColumnElement[Any]:
        """A column of the row that is there."""
        name = self.connection.dialect.identifier_preparer.format_column(column)
        return literal_column(f"penstock_old.{name}".replace("%%", "%"), column.type)

    # --- statements ---

    def _insert(self, *, in_order: bool) -> str:
        key, then = ", ".join(self._key), ""
        names = ", ".join((*self._columns, *names_of(self.connection, list(self.writing.defaults))))
        made = ", ".join((self._made(), *(f"\0{number}\0" for number in range(len(self.writing.defaults)))))
        source = f"SELECT {made} FROM {self._given}"
        if self.writing.on_conflict is OnConflict.UPDATE and self._update:
            new = ", ".join((*(f"{name} = EXCLUDED.{name}" for name in self._update), *self._onupdates))
            then = f" ON CONFLICT ({key}) DO UPDATE SET {new}"
            source = source if in_order else self._last_of_each(made)
        else:
            if self.writing.on_conflict is not OnConflict.ERROR:
                then = f" ON CONFLICT ({key}) DO NOTHING" if key else " ON CONFLICT DO NOTHING"
            source += "" if in_order else f" ORDER BY {', '.join([*self._order, 'ctid'])}"
        return (
            f"INSERT INTO {table_of(self.connection, self.writing)} AS penstock_old ({names}) {source}{then}"
        )

    def _last_of_each(self, made: str) -> str:
        key = ", ".join([*self._order, *self._lone()])
        return f"SELECT DISTINCT ON ({key}) {made} FROM {self._given} ORDER BY {key}, ctid DESC"

    def _lone(self) -> list[str]:
        """What tells rows apart with NULL in the key: it equals nothing, unless an index says it does."""
        table = table_of(self.connection, self.writing).replace("%%", "%")
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
        return names_of(self.connection, self.writing.columns)

    @property
    def _key(self) -> list[str]:
        return names_of(self.connection, self.writing.key)

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
        return names_of(self.connection, self.writing.update)

    @property
    def _onupdates(self) -> list[str]:
        """What the server makes for a row that is there; expressions are known by their numbers."""
        names = names_of(self.connection, list(self.writing.onupdates))
        return [f"{name} = \0{number}\0" for number, name in enumerate(names, len(self.writing.defaults))]


class Inserted(Copied):
    """Rows that can't be copied: SQLAlchemy inserts them where one statement takes them from."""

    @classmethod
    def like(cls, connection: Connection, relation: Relation, writing: Writing) -> Inserted:
        """In the order that copied rows have, too."""
        types = relation.columns
        exact = (column.name in types and types[column.name].by_bytes for column in writing.columns)
        how = [Sent(Field(), by_bytes=each) for each in exact]
        # Drivers keep statements: one for a table must not meet columns of other types.
        name = stage_name(connection, relation.stage, writing.columns)
        return cls(connection, replace(relation, stage=name), writing, how, goes_straight=False)

    def _copy(self, schema: str | None, table: str, rows: Sequence[Sequence[Any]]) -> int:
        columns = [column(each.name, each.type) for each in self.writing.columns]
        names = [each.name for each in columns]
        clean = nan_to_null(self.writing.columns, rows) or rows
        checked(self.writing.columns, clean, NONFINITE)
        given = [dict(zip(names, row, strict=True)) for row in clean]
        self.connection.execute(insert(bare_table(table, *columns, schema=schema)), given)
        return len(given)


def described(connection: Connection, writing: Writing) -> Relation:
    return relation_of(connection, table_of(connection, writing).replace("%%", "%"))


def no_stage(connection: Connection, relation: Relation) -> str:
    """Why no temporary table can be made for rows; empty if it can."""
    if isinstance(connection.get_transaction(), TwoPhaseTransaction):
        return "a transaction that is prepared may not use a temporary table"
    return "" if relation.may_stage else "the role may make no temporary table"


def _escaped(connection: Connection, part: str) -> str:
    """A part of a statement as the driver takes it."""
    return part.replace("%", "%%") if connection.dialect.paramstyle == "pyformat" else part
