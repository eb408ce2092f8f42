"""Many rows are written to PostgreSQL by COPY in its binary form."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, column, literal_column
from sqlalchemy import table as table_of
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import TwoPhaseTransaction
from sqlalchemy.exc import OperationalError

from penstock.backends.keys import places_in_order, stage_name
from penstock.backends.postgresql.copying import Destination, copy
from penstock.backends.postgresql.encoder import Field
from penstock.backends.postgresql.keys import PostgreSQLKeys, nulls_are_same
from penstock.backends.postgresql.lists import created_by_lists, lists_of
from penstock.backends.postgresql.ordering import ordered
from penstock.backends.postgresql.pages import PostgreSQLPages
from penstock.backends.postgresql.relations import Relation, new_row, relation_of
from penstock.backends.postgresql.sending import Sent, sent
from penstock.backends.postgresql.transactions import (
    autocommits,
    begin,
    check_mode,
    is_kept_out,
    not_writable,
)
from penstock.backends.rows import (
    GIVEN,
    Explained,
    OnConflict,
    StandardRows,
    Unfit,
    Writing,
    Written,
    chosen_of,
    keys_of,
    update_one,
)
from penstock.backends.values import INFINITE, NAN, checked, cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, CursorResult, Select
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session

    from penstock.errors import NotWritable

_logger = logging.getLogger(__name__)

_DRIVERS = ("psycopg", "psycopg_async", "asyncpg")
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
    pages = PostgreSQLPages()

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

    def autocommits(self, connection: Connection) -> bool:
        """Whether the next statement would be a transaction by itself, as the driver says."""
        return autocommits(connection)

    def begin(self, connection: Connection) -> bool:
        """Begin a transaction in autocommit; else SQLAlchemy or the driver does."""
        return begin(connection)

    def check(self, connection: Connection) -> None:
        """Refuse a connection in pipeline mode."""
        check_mode(connection)

    def not_writable(self, error: DBAPIError, what: str) -> NotWritable | None:
        """The error for a transaction that has failed, or only reads: by SQLSTATE."""
        return not_writable(error, what)

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; see `RowBackend.write`."""
        relation = _relation(connection, writing)
        relation.check(writing)
        copied = _Copied.of(connection, relation, writing, rows)
        if copied is not None:
            return copied.straight(rows) if copied.goes_straight else copied.inserted(rows)
        single = writing.on_conflict is OnConflict.ERROR or relation.ruled
        if single or _no_stage(connection, relation):
            return self._write_one_by_one(connection, relation, writing, rows)
        return _Inserted.like(connection, relation, writing).inserted(rows)

    def blames_row(self, error: DBAPIError) -> bool:
        """Whether an error is about what a row holds: by SQLSTATE, or the driver could not send it."""
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return not error.connection_invalidated and not isinstance(error, OperationalError)
        return str(state).startswith(_OF_ROWS) or is_kept_out(error)

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
        relation = _relation(connection, writing)
        copied = None if relation.ruled else _Copied.of(connection, relation, writing, rows, staged=True)
        if copied is None and not relation.ruled and not _no_stage(connection, relation):
            copied = _Inserted.like(connection, relation, writing)
        if copied is not None:
            return copied.updated(rows)
        names = [f"{GIVEN}{column.key}" for column in writing.columns]
        done = 0
        for row in _chosen(connection, writing, self._clean(writing, rows), last_of_each=True):
            there = connection.execute(update_one(writing), dict(zip(names, row, strict=True))).rowcount
            done += bool(there)
        return Written(0, done, len(rows) - done)

    def _write_one_by_one(
        self,
        connection: Connection,
        relation: Relation,
        writing: Writing,
        rows: Sequence[Sequence[Any]],
    ) -> Written:
        """By SQLAlchemy's own way, for what can't be copied, nor staged."""
        update = writing.on_conflict is OnConflict.UPDATE
        chosen = _chosen(connection, writing, self._clean(writing, rows), last_of_each=update)
        keys = [column.key for column in writing.columns]
        given = [dict(zip(keys, row, strict=True)) for row in chosen]
        if relation.ruled:  # Then there may be no RETURNING.
            into = self.insert(writing.table, writing)
            done = sum(connection.execute(into, row).rowcount for row in given)
            return Written(done, 0, len(rows) - done)
        statement, is_new = self._telling_new(connection, relation, writing)
        statement = statement.returning(literal_column(is_new))
        if update:  # Keys that differ may be stored alike: no statement may have two of them.
            told = [new for row in given for new in connection.execute(statement, row).scalars()]
        else:
            told = list(connection.execute(statement, given).scalars())
        fresh = sum(map(bool, told))
        return Written(fresh, len(told) - fresh, len(rows) - len(told))

    def _clean(self, writing: Writing, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        return checked(writing.columns, cleaned(writing.columns, rows) or rows, self.nonfinite)

    def _telling_new(self, connection: Connection, relation: Relation, writing: Writing) -> tuple[Any, str]:
        """The INSERT of a row, and what RETURNING says of a new one."""
        statement = self.insert(writing.table, writing)
        if writing.on_conflict is not OnConflict.UPDATE:
            return statement, "TRUE"
        if relation.marks_new:
            return statement, "xmax = 0"
        names = _each(connection, writing.key), _each(connection, writing.update)
        condition, is_new = new_row(_table(connection, writing), *names)
        new = {column.name: statement.excluded[column.key] for column in writing.update}
        told = insert(writing.table).on_conflict_do_update(
            index_elements=list(writing.key), set_=new, where=literal_column(condition)
        )
        return told, is_new


@dataclass(frozen=True, slots=True)
class _Copied:
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
    ) -> _Copied | None:
        """None if these rows can't be copied: neither into the table nor to a stage."""
        if connection.dialect.driver not in _DRIVERS:
            _logger.debug("%s is not copied: %s is left to INSERT", writing.table, connection.dialect.driver)
            return None
        how = sent(connection, relation, writing, rows)
        if how is None:
            return None
        staged = staged or writing.on_conflict is not OnConflict.ERROR or any(one.made for one in how)
        why = "" if staged else relation.not_copied(writing.columns)
        if why:
            _logger.debug("%s is written by INSERT: %s", writing.table, why)
        staged = staged or bool(why)
        hindrance = _no_stage(connection, relation) if staged else ""
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
        table, key = _table(self.connection, self.writing), ", ".join(self._key)
        new = ", ".join(f"{name} = penstock_given.{name}" for name in self._update)
        same = " AND ".join(f"old.{name} = penstock_given.{name}" for name in self._key)
        lock = " FOR UPDATE OF old" if self.relation.can_be_locked else ""
        counted, returning = "penstock_keys", ""
        if not self.relation.stores_all:  # Of the rows that are meant, some may stay as they are.
            counted = f"(SELECT DISTINCT {key} FROM penstock_written) AS counted"
            returning = f" RETURNING {', '.join(f'penstock_given.{name}' for name in self._key)}"
        changed = self._run(
            f"WITH penstock_given AS ({self._last_of_each()}),"
            f" penstock_locked AS MATERIALIZED (SELECT {key}"
            f" FROM {table} AS old JOIN penstock_given USING ({key})"
            f" ORDER BY {', '.join(self._order)}{lock}),"
            f" penstock_keys AS MATERIALIZED (SELECT DISTINCT {key} FROM penstock_locked),"
            f" penstock_written AS (UPDATE {table} AS old SET {new}"
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
        return self.connection.exec_driver_sql(statement)

    # --- statements ---

    def _insert(self, *, in_order: bool) -> str:
        names, key, then = ", ".join(self._columns), ", ".join(self._key), ""
        source = f"SELECT {self._made()} FROM {self._given}"
        if self.writing.on_conflict is OnConflict.UPDATE and self._update:
            new = ", ".join(f"{name} = EXCLUDED.{name}" for name in self._update)
            then = f" ON CONFLICT ({key}) DO UPDATE SET {new}"
            source = source if in_order else self._last_of_each()
        else:
            if self.writing.on_conflict is not OnConflict.ERROR:
                then = f" ON CONFLICT ({key}) DO NOTHING" if key else " ON CONFLICT DO NOTHING"
            source += "" if in_order else f" ORDER BY {', '.join([*self._order, 'ctid'])}"
        return f"INSERT INTO {_table(self.connection, self.writing)} AS penstock_old ({names}) {source}{then}"

    def _last_of_each(self) -> str:
        key = ", ".join([*self._order, *self._lone()])
        return f"SELECT DISTINCT ON ({key}) {self._made()} FROM {self._given} ORDER BY {key}, ctid DESC"

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
    def like(cls, connection: Connection, relation: Relation, writing: Writing) -> _Inserted:
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
        clean = cleaned(self.writing.columns, rows) or rows
        checked(self.writing.columns, clean, PostgreSQLRows.nonfinite)
        given = [dict(zip(names, row, strict=True)) for row in clean]
        self.connection.execute(insert(table_of(table, *columns, schema=schema)), given)
        return len(given)


def _relation(connection: Connection, writing: Writing) -> Relation:
    return relation_of(connection, _table(connection, writing).replace("%%", "%"))


def _no_stage(connection: Connection, relation: Relation) -> str:
    """Why no temporary table can be made for rows; empty if it can."""
    if isinstance(connection.get_transaction(), TwoPhaseTransaction):
        return "a transaction that is prepared may not use a temporary table"
    return "" if relation.may_stage else "the role may make no temporary table"


def _chosen(
    connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]], *, last_of_each: bool
) -> Sequence[Sequence[Any]]:
    """Rows in the order of their keys, as the driver has these; or the last one of each key."""
    keys = keys_of(writing, rows, connection.dialect)
    columns = list(zip(*keys, strict=True)) if writing.key else []
    return chosen_of(rows, places_in_order(len(rows), columns, last_of_each=last_of_each))


def _escaped(connection: Connection, part: str) -> str:
    """A part of a statement as the driver takes it."""
    return part.replace("%", "%%") if connection.dialect.paramstyle == "pyformat" else part


def _each(connection: Connection, columns: Sequence[Column[Any]]) -> list[str]:
    return [connection.dialect.identifier_preparer.format_column(column) for column in columns]


def _table(connection: Connection, writing: Writing) -> str:
    return connection.dialect.identifier_preparer.format_table(writing.table)
