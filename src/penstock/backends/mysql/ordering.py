"""Rows are put in the order of their keys, as MariaDB tells one key from another."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy.exc import DBAPIError

from penstock.backends.keys import places_in_order
from penstock.backends.mysql.encoding import bound_columns
from penstock.backends.mysql.keys import are_plain
from penstock.backends.mysql.sending import insert
from penstock.backends.rows import (
    OnConflict,
    Unfit,
    Writing,
    binders,
    chosen_of,
    column_of,
    names_of,
    table_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

_ORDER = "`penstock order`"


@contextmanager
def stage(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """In the block, a temporary table has the rows in their order; it has a name that no other table has.

    A table of the app's with its name could not be seen: the server lets temporary ones hide others.
    """
    table = table_of(connection, writing)
    names = zip(writing.columns, names_of(connection, writing.columns), strict=True)
    # Of an outer join, columns can be NULL: a key that is NULL is no key of a row, but no fault either.
    columns = ", ".join(f"{'alone' if column in writing.key else 'whole'}.{name}" for column, name in names)
    name = f"penstock_rows_{uuid4().hex}"
    gone = f"DROP TEMPORARY TABLE IF EXISTS {name}"
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {name} ({_ORDER} INT UNSIGNED AUTO_INCREMENT PRIMARY KEY)"
        f" SELECT {columns} FROM {table} AS whole LEFT JOIN {table} AS alone ON FALSE LIMIT 0"
    )
    try:
        insert(connection, name, replace(writing, defaults={}), rows)
        yield name
    except BaseException:
        with suppress(DBAPIError):
            connection.exec_driver_sql(gone)
        raise
    connection.exec_driver_sql(gone)


@contextmanager
def chosen(
    connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
) -> Iterator[Sequence[Sequence[Any]]]:
    """A block that gives the rows in the order of their keys, so that writers can't deadlock.

    That is all rows, or the last of each key if they update those that are there. A row that is found
    unfit in the block is named as it was given.
    """
    order = _order(connection, writing, rows)
    try:
        yield chosen_of(rows, order)
    except Unfit as error:
        raise Unfit(order[error.row], error.column) from error.__cause__


def _order(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Sequence[int]:
    last_of_each = writing.on_conflict is OnConflict.UPDATE
    return places_in_order(len(rows), _keys(connection, writing, rows), last_of_each=last_of_each)


def _keys(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
    """The columns of the key: two rows have the same values in them if the server says so."""
    places = [list(writing.columns).index(column) for column in writing.key]
    given = [column_of(rows, place) for place in places]
    try:
        columns = bound_columns(list(given), binders(connection.dialect, writing.key))
        if not are_plain(connection, writing.key, given, columns):
            return [_ranks(connection, replace(writing, columns=writing.key), list(zip(*given, strict=True)))]
    except Unfit as error:
        raise Unfit(error.row, places[error.column]) from error.__cause__
    return columns


def _ranks(connection: Connection, writing: Writing, keys: Sequence[Sequence[Any]]) -> Sequence[int | None]:
    """The rank of each key; None for one with NULL in it, which is equal to nothing."""
    names = names_of(connection, writing.key)
    some = " OR ".join(f"{name} IS NULL" for name in names)
    with stage(connection, writing, keys) as given:
        # All of them, whatever sql_select_limit is.
        ranks = (
            f"SELECT IF({some}, NULL, DENSE_RANK() OVER (ORDER BY {', '.join(names)}))"
            f" FROM {given} ORDER BY {_ORDER} LIMIT {len(keys)}"
        )
        return list(connection.exec_driver_sql(ranks).scalars())
