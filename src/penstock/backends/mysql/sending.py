"""Rows are sent to MariaDB: in statements, or as a file that is loaded."""

from __future__ import annotations

import logging
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pymysql
from pymysql.constants import CLIENT
from pymysql.protocol import OKPacketWrapper
from sqlalchemy import BindParameter, text
from sqlalchemy.exc import CompileError

from penstock.backends.mysql.encoding import FILE, NULL, STATEMENT, columns_of, encoded
from penstock.backends.mysql.pymysql_compat import read_packet, send_query
from penstock.backends.rows import Writing, binders, names_of
from penstock.backends.streaming import executed
from penstock.backends.transactions import savepoint
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Column, ColumnElement, Connection

    from penstock.backends.rows import RowBackend

_logger = logging.getLogger(__name__)

_ROWS = 1_000
_STATEMENT = 500_000
"""Characters that a statement of several rows has at most; servers take some MB."""

_WORTH_LOADING = 500
_LOADED = 4_000
_PACKET = 1_000_000

_WHOLE, _FLOATING = frozenset({int, bool}), frozenset({int, float})
_READ: dict[str, frozenset[type]] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), _WHOLE),
    **dict.fromkeys(("float", "double"), _FLOATING),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), frozenset({str})),
    **dict.fromkeys(("json", "enum", "set"), frozenset({str})),
    **dict.fromkeys(("binary", "varbinary"), frozenset({bytes})),
    **dict.fromkeys(("tinyblob", "blob", "mediumblob", "longblob"), frozenset({bytes})),
    "decimal": frozenset({int, Decimal}),
    "date": frozenset({date}),
    "datetime": frozenset({datetime}),
    "time": frozenset({time, timedelta}),
    "uuid": frozenset({str, UUID}),
}
"""What a column of a type takes from a file just as it does from a statement, NULL besides."""

# Where an empty text is NULL, it is that in a statement only.
_TYPES = text("""
    SELECT column_name, data_type FROM information_schema.columns
    WHERE @@local_infile AND NOT FIND_IN_SET('EMPTY_STRING_IS_NULL', @@sql_mode)
      AND table_schema = COALESCE(:schema, DATABASE()) AND table_name = :table""")


def insert(
    connection: Connection, into: str, writing: Writing, rows: Sequence[Sequence[Any]], then: str = ""
) -> None:
    """Insert rows by statements of many rows each.

    Args:
        connection: Where.
        into: The table, as a statement has it.
        writing: What is written.
        rows: The rows.
        then: How each statement ends.

    Raises:
        Unfit: A value is of a type that its column can't hold.
    """
    columns = (*writing.columns, *writing.defaults)
    names = ", ".join(names_of(connection, columns))
    head = f"INSERT INTO {into} ({names}) VALUES "
    made = [literal(connection, column, e).replace("%%", "%") for column, e in writing.defaults.items()]
    bind = binders(connection.dialect, writing.columns)
    done, size = 0, _ROWS
    while done < len(rows):
        some = range(done, min(done + size, len(rows)))
        given = encoded(STATEMENT, columns_of(rows, some, bind), done)
        values = STATEMENT.rows([*given, *([each] * len(some) for each in made)], len(some))
        if len(values) > _STATEMENT and len(some) > 1:
            size = max(1, len(some) * _STATEMENT // len(values))
            continue
        _run(connection, f"{head}\0{then}", values)
        done += len(some)


def literal(connection: Connection, column: Column[Any], expression: ColumnElement[Any]) -> str:
    """An expression for a column, as a statement has it that is sent without parameters; % is doubled.

    Raises:
        NotSupported: It holds a value that can't be written in a statement.
    """
    if isinstance(expression, BindParameter):
        bind = binders(connection.dialect, [column])
        values = columns_of([[expression.effective_value]], range(1), bind)
        return encoded(STATEMENT, values)[0][0].replace("%", "%%")
    try:
        made = expression.self_group().compile(
            dialect=connection.dialect, compile_kwargs={"literal_binds": True}
        )
    except CompileError as error:
        raise NotSupported(
            f"What {column} gets by itself can't be put into a statement of many rows.",
            why="SQLAlchemy can't write a value of its type there.",
            hint="Give rows a value for it, or declare it as server_default.",
        ) from error
    return str(made)


def _run(connection: Connection, statement: str, values: str) -> None:
    """Run a statement that has values instead of a NUL; errors do not show them."""
    statement = statement.replace("%%", "%")  # It goes as it is.
    whole = statement.replace("\0", values)
    executed(connection, statement.replace("\0", "…"), lambda cursor, _: cursor.execute(whole))


# --- as a file -----------------------------------------------------------------------------------


class _NotAlike(Exception):
    """From a file, a value is read otherwise than from a statement."""


def load(
    connection: Connection, backend: RowBackend, into: str, writing: Writing, rows: Sequence[Sequence[Any]]
) -> bool:
    """Load rows as a file that the server asks for, and gets from memory, whatever name it says.

    What can't be stored as it is, is stored otherwise, or left out, with a warning; then nothing of it
    is kept.

    Returns:
        Whether all was stored as it was given; else nothing was.

    Raises:
        Unfit: A value is of a type that its column can't hold.
    """
    raw: Any = connection.connection.driver_connection
    may = isinstance(raw, pymysql.Connection) and raw.client_flag & CLIENT.LOCAL_FILES
    if not may or len(rows) < _WORTH_LOADING:
        return False
    given = {"schema": writing.table.schema, "table": writing.table.name}
    types = {str(name).lower(): str(kind) for name, kind in connection.execute(_TYPES, given)}
    kinds = [types.get(column.name.lower(), "") for column in writing.columns]
    if not all(kind in _READ for kind in kinds):
        return False
    statement = _load_statement(connection, into, writing, kinds)
    try:
        with savepoint(connection, backend, "penstock_file"):
            blocks = _blocks(connection, writing, kinds, rows)
            done = executed(connection, statement, lambda _, said: send_file(raw, said, blocks))
            if done.affected_rows != len(rows) or not _only_notes(connection, done.warning_count):
                raise _NotAlike
    except _NotAlike:
        _logger.debug("%s is not loaded from a file: it would not be what was given", writing.table)
        return False
    return True


def _load_statement(connection: Connection, into: str, writing: Writing, kinds: Sequence[str]) -> str:
    taken, made = [], []
    for number, (column, kind) in enumerate(zip(writing.columns, kinds, strict=True)):
        name = connection.dialect.identifier_preparer.format_column(column)
        data = bytes in _READ[kind]
        taken.append(f"@penstock_{number}" if data else name)
        made += [f"{name} = UNHEX(@penstock_{number})"] if data else []
    for column, expression in writing.defaults.items():
        name = connection.dialect.identifier_preparer.format_column(column)
        made.append(f"{name} = {literal(connection, column, expression)}")
    return (
        f"LOAD DATA LOCAL INFILE 'penstock' INTO TABLE {into} CHARACTER SET utf8mb4"
        " FIELDS TERMINATED BY x'09' ESCAPED BY x'5c' LINES TERMINATED BY x'0a'"
        f" ({', '.join(taken)}){' SET ' if made else ''}{', '.join(made)}"
    ).replace("%%", "%")


def send_file(raw: Any, statement: str, blocks: Iterable[bytes]) -> OKPacketWrapper:
    """Do as PyMySQL does it, but send what we have and not what the server asks for."""
    if not send_query(raw, statement).is_load_local_packet():
        raise pymysql.err.InternalError("The server did not ask for the rows.")
    try:
        for block in blocks:
            for start in range(0, len(block), _PACKET):
                raw.write_packet(block[start : start + _PACKET])
    finally:
        raw.write_packet(b"")
        done = OKPacketWrapper(read_packet(raw))
    raw.server_status = done.server_status
    return done


def _blocks(
    connection: Connection, writing: Writing, kinds: Sequence[str], rows: Sequence[Sequence[Any]]
) -> Iterator[bytes]:
    bind = binders(connection.dialect, writing.columns)
    read = [_READ[kind] | {NULL} for kind in kinds]
    for first in range(0, len(rows), _LOADED):
        some = range(first, min(first + _LOADED, len(rows)))
        columns = columns_of(rows, some, bind)
        for values, known in zip(columns, read, strict=True):
            if not set(map(type, values)) <= known:
                raise _NotAlike
        yield FILE.rows(encoded(FILE, columns, first), len(some)).encode()


def _only_notes(connection: Connection, count: int) -> bool:
    """Whether all that the server had to say of the last statement are notes, as it has for others, too."""
    if count == 0:
        return True
    said = connection.exec_driver_sql("SHOW WARNINGS").all()
    return len(said) == count and all(level == "Note" for level, *_ in said)
