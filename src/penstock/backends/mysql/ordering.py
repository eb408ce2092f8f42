"""Rows are put in the order of their keys, as MariaDB tells one key from another."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from penstock.backends.mysql.encoding import NULL, bound_columns
from penstock.backends.mysql.sending import insert
from penstock.backends.rows import OnConflict, Unfit, Writing, binders, chosen_of, column_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Column, Connection

STAGE = "penstock_rows"
"""The name of the temporary table."""

_ORDER = "`penstock order`"
_EXACT = ("nopad_bin", "0900_bin", "binary")
_PLAIN = frozenset({int, bytes, date, UUID, NULL})


@contextmanager
def stage(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Iterator[None]:
    """In the block, a temporary table has the rows in their order."""
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    gone = f"DROP TEMPORARY TABLE IF EXISTS {STAGE}"
    connection.exec_driver_sql(gone)
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE {STAGE} ({_ORDER} INT UNSIGNED AUTO_INCREMENT PRIMARY KEY)"
        f" SELECT {_names(connection, writing.columns)} FROM {table} LIMIT 0"
    )
    try:
        insert(connection, STAGE, writing, rows)
        yield
    except Exception:
        with suppress(DBAPIError):
            connection.exec_driver_sql(gone)
        raise
    connection.exec_driver_sql(gone)


@contextmanager
def chosen(
    connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]
) -> Iterator[Sequence[Sequence[Any]]]:
    """In the block, what is to be written, in the order of the keys, so that others never wait in turn.

    That is all rows, or the last of each key if they update those that are there. A row that is found
    unfit in the block is named as it was given.
    """
    order = _order(connection, writing, rows)
    try:
        yield chosen_of(rows, order)
    except Unfit as error:
        raise Unfit(order[error.row], error.column) from error.__cause__


def _order(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Sequence[int]:
    keys = _keys(connection, writing, rows)
    places: Iterable[int] = range(len(rows))
    if writing.on_conflict is OnConflict.UPDATE:
        places = {key: place for place, key in enumerate(keys)}.values()
    try:
        return sorted(places, key=keys.__getitem__)
    except TypeError:  # Keys with NULL in them.
        return list(places)


def _keys(connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Sequence[Any]:
    """The key of each row: two are equal if the server says so."""
    places = [list(writing.columns).index(column) for column in writing.key]
    given = [column_of(rows, place) for place in places]
    try:
        columns = bound_columns(list(given), binders(connection.dialect, writing.key))
        exact = _are_exact(connection, writing, columns)
        if not all(_is_plain(values, one) for values, one in zip(columns, exact, strict=True)):
            keys = list(zip(*given, strict=True))
            return _ranks(connection, replace(writing, columns=writing.key), keys)
    except Unfit as error:
        raise Unfit(error.row, places[error.column]) from error.__cause__
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _is_plain(values: Sequence[Any], exact: bool) -> bool:
    """Whether the server tells these values from each other as Python does."""
    kinds = set(map(type, values))
    if kinds <= {datetime, time, NULL}:  # Of fractions of a second, a column may not have as many digits.
        return not any(value.microsecond for value in values if value is not None)
    return kinds <= (_PLAIN | {str} if exact else _PLAIN)


def _are_exact(connection: Connection, writing: Writing, columns: Sequence[Sequence[Any]]) -> Sequence[bool]:
    """Whether texts in each of the columns of the key are equal only if all of their characters are."""
    if not any(str in map(type, values) for values in columns):
        return [False] * len(columns)
    table = connection.dialect.identifier_preparer.format_table(writing.table)
    names = map(connection.dialect.identifier_preparer.format_column, writing.key)
    asked = ", ".join(f"COLLATION({name})" for name in names)
    found = connection.exec_driver_sql(f"SELECT {asked} FROM (SELECT 1) AS one LEFT JOIN {table} ON FALSE")
    return [str(name).endswith(_EXACT) for name in found.one()]


def _ranks(connection: Connection, writing: Writing, keys: Sequence[Sequence[Any]]) -> Sequence[int]:
    names = _names(connection, writing.key)
    with stage(connection, writing, keys):
        # All of them, whatever sql_select_limit is.
        limit = f"LIMIT {len(keys)}"
        ranks = f"SELECT DENSE_RANK() OVER (ORDER BY {names}) FROM {STAGE} ORDER BY {_ORDER} {limit}"
        return list(connection.exec_driver_sql(ranks).scalars())


def _names(connection: Connection, columns: Sequence[Column[Any]]) -> str:
    return ", ".join(map(connection.dialect.identifier_preparer.format_column, columns))
