"""Many rows are written to PostgreSQL by COPY in its binary form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, literal_column
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.exc import OperationalError

from penstock.backends.expressions import Explained, as_compiled_by_sqlalchemy
from penstock.backends.keys import places_in_order
from penstock.backends.postgresql.faults import sqlstate_of
from penstock.backends.postgresql.keys import PostgreSQLKeys
from penstock.backends.postgresql.lists import created_by_lists, lists_of
from penstock.backends.postgresql.pages import PostgreSQLPages
from penstock.backends.postgresql.refusals import column_of, why_refused
from penstock.backends.postgresql.relations import Relation, new_row
from penstock.backends.postgresql.staging import (
    DRIVERS,
    NONFINITE,
    Copied,
    Inserted,
    described,
    no_stage,
)
from penstock.backends.postgresql.transactions import (
    autocommits,
    begin,
    check_mode,
    is_kept_out,
    not_writable,
)
from penstock.backends.rows import (
    GIVEN,
    OnConflict,
    StandardRows,
    Writing,
    Written,
    chosen_of,
    keys_of,
    names_of,
    table_of,
    update_one,
    with_on_conflict,
)
from penstock.backends.values import checked, nan_to_null

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Select
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session


insert = as_compiled_by_sqlalchemy(Insert)

# Data, integrity, cardinality, a check of a view, a limit of the server's, RAISE; then: the type of a value,
# a cast that there is not, a value for what is always generated; and what PostGIS says of any shape.
_OF_ROWS = ("22", "23", "21", "44", "54", "P0", "42804", "42846", "428C9", "XX000")


class PostgreSQLRows(PostgreSQLKeys, StandardRows):
    """Writes rows to PostgreSQL.

    Rows are copied straight into the table, or into a temporary one from which one statement takes
    them in the order of their keys: so two writers of the same keys never wait for each other in turn.
    """

    _of_dialect = staticmethod(insert)
    nonfinite = NONFINITE
    takes_columns = True
    pages = PostgreSQLPages()

    autocommits = staticmethod(autocommits)
    begin = staticmethod(begin)
    not_writable = staticmethod(not_writable)
    faulty_column = staticmethod(column_of)
    why_refused = staticmethod(why_refused)

    def create(
        self,
        source: Session | Connection,
        connection: Connection,
        into: Any,
        writing: Writing,
        rows: Sequence[Mapping[str, Any]],
    ) -> Sequence[Any]:
        """Store rows that are not there; see `RowBackend.create`."""
        lists = lists_of(into, writing, rows) if connection.dialect.driver in DRIVERS else None
        if lists is None:
            return super().create(source, connection, into, writing, rows)
        return created_by_lists(source, into, self.insert(writing.table, writing), writing, lists)

    def check(self, connection: Connection) -> None:
        """Refuse a connection in pipeline mode."""
        check_mode(connection)

    def write(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Write rows; see `RowBackend.write`."""
        relation = described(connection, writing)
        relation.check(writing)
        copied = Copied.of(connection, relation, writing, rows)
        if copied is not None:
            return copied.straight(rows) if copied.goes_straight else copied.inserted(rows)
        single = writing.on_conflict is OnConflict.ERROR or relation.ruled
        if single or no_stage(connection, relation):
            return self._write_one_by_one(connection, relation, writing, rows)
        return Inserted.like(connection, relation, writing).inserted(rows)

    def locked(self, connection: Connection, writing: Writing, statement: Select[Any]) -> Select[Any]:
        """The same SELECT, with locks: but for a view, whose rows may be made of many."""
        can_be = described(connection, writing).can_be_locked
        return statement.with_for_update() if can_be else statement

    def blames_row(self, error: DBAPIError) -> bool:
        """Whether an error is about what a row holds: by SQLSTATE, or the driver could not send it."""
        state = sqlstate_of(error)
        if state is None:
            return not error.connection_invalidated and not isinstance(error, OperationalError)
        return state.startswith(_OF_ROWS) or is_kept_out(error)

    def estimate(self, source: Session | Connection, statement: Select[Any]) -> int | None:
        """What the planner expects, from the figures of the last ANALYZE."""
        [[plan]] = source.execute(Explained("EXPLAIN (FORMAT JSON)", statement)).all()
        found = json.loads(plan) if isinstance(plan, str) else plan
        return int(found[0]["Plan"]["Plan Rows"])

    def update(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Give rows that are there new values; see `RowBackend.update`."""
        relation = described(connection, writing)
        copied = None if relation.ruled else Copied.of(connection, relation, writing, rows, staged=True)
        if copied is None and not relation.ruled and not no_stage(connection, relation):
            copied = Inserted.like(connection, relation, writing)
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
        return checked(writing.columns, nan_to_null(writing.columns, rows) or rows, self.nonfinite)

    def _telling_new(self, connection: Connection, relation: Relation, writing: Writing) -> tuple[Any, str]:
        """The INSERT of a row, and what RETURNING says of a new one."""
        statement = self.insert(writing.table, writing)
        if writing.on_conflict is not OnConflict.UPDATE:
            return statement, "TRUE"
        if relation.marks_new:
            return statement, "xmax = 0"
        names = names_of(connection, writing.key), names_of(connection, writing.update)
        condition, is_new = new_row(table_of(connection, writing), *names)
        return with_on_conflict(insert(writing.table), writing, literal_column(condition)), is_new


def _chosen(
    connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]], *, last_of_each: bool
) -> Sequence[Sequence[Any]]:
    """Rows in the order of their keys, as the driver has these; or the last one of each key."""
    keys = keys_of(writing, rows, connection.dialect)
    columns = list(zip(*keys, strict=True)) if writing.key else []
    return chosen_of(rows, places_in_order(len(rows), columns, last_of_each=last_of_each))
