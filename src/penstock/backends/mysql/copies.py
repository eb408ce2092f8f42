"""Whole databases are copied, listed, and moved by moving their tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.mysql.faults import EXISTS, number_of, translated
from penstock.backends.mysql.sessions import has_database, is_mariadb, maintenance, quoted
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Server

# Texts are equal if they are the same, as on other servers: 'a' is neither 'A' nor 'a '.
_COLLATIONS = {True: "utf8mb4_nopad_bin", False: "utf8mb4_0900_bin"}

_TABLES = text("""
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = :database AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')
    ORDER BY table_type = 'SEQUENCE' DESC, table_name""")
_COLUMNS = text("""
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = :database AND table_name = :table AND COALESCE(generation_expression, '') = ''
    ORDER BY ordinal_position""")
_BESIDES = text("""
    SELECT 'view' AS kind, table_name AS name FROM information_schema.views WHERE table_schema = :database
    UNION ALL
    SELECT 'trigger', trigger_name FROM information_schema.triggers WHERE trigger_schema = :database
    UNION ALL
    SELECT LOWER(routine_type), routine_name FROM information_schema.routines
    WHERE routine_schema = :database
    UNION ALL
    SELECT 'event', event_name FROM information_schema.events WHERE event_schema = :database""")


def create(connection: Connection, database: str) -> bool:
    """Make a database; False if it was there already."""
    collation = _COLLATIONS[is_mariadb(connection)]
    made = f"CREATE DATABASE {quoted(connection, database)} CHARACTER SET utf8mb4 COLLATE {collation}"
    try:
        connection.exec_driver_sql(made)
    except DBAPIError as error:
        if number_of(error) != EXISTS:
            raise
        return False
    return True


def clone(source: DatabaseAddress, address: DatabaseAddress) -> bool:
    """Make a database as a copy of another one; False if it was there already.

    Raises:
        NotSupported: There is more than tables in the other one.
    """
    what = f"The database {address.database} can't be made as a copy of {source.database}."
    with maintenance(address.server) as connection:
        check_only_tables(connection, source.database, what)
        try:
            if not create(connection, address.database):
                return False
            _copy_tables(connection, source.database, address.database)
        except DBAPIError as error:
            raise translated(error, what) from error
    return True


def databases(server: Server, prefix: str) -> list[str]:
    """The databases whose names begin so."""
    query = text(
        "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, :length) = :prefix"
    )
    with maintenance(server) as connection:
        return list(connection.execute(query, {"prefix": prefix, "length": len(prefix)}).scalars())


def tables_of(connection: Connection, database: str) -> list[str]:
    """The tables and sequences of a database."""
    return list(connection.execute(_TABLES, {"database": database}).scalars())


def is_empty(connection: Connection, database: str) -> bool:
    """Whether there is nothing in a database."""
    besides = connection.execute(_BESIDES, {"database": database}).first()
    return besides is None and not tables_of(connection, database)


def check_only_tables(connection: Connection, database: str, what: str) -> None:
    """Raise NotSupported if there is more in a database than tables, which alone can be moved and copied."""
    found = connection.execute(_BESIDES, {"database": database}).all()
    if found:
        names = ", ".join(f"{kind} {name}" for kind, name in found[:5])
        raise NotSupported(
            what, why=f"The server can only move and copy tables, and {database} has more: {names}."
        )


def move_tables(connection: Connection, old: str, new: str, what: str) -> None:
    """Move all tables to another database, by one statement that is done wholly or not at all.

    Raises:
        NotSupported: There is something else in it, which can't be moved.
    """
    check_only_tables(connection, old, what)
    while tables := tables_of(connection, old):  # More may have come meanwhile.
        moves = (f"{quoted(connection, old, name)} TO {quoted(connection, new, name)}" for name in tables)
        connection.exec_driver_sql(f"RENAME TABLE {', '.join(moves)}")


def _copy_tables(connection: Connection, source: str, target: str) -> None:
    connection.exec_driver_sql("SET SESSION foreign_key_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO'")
    for name in tables_of(connection, source):
        connection.exec_driver_sql(f"USE {quoted(connection, source)}")
        statement = connection.exec_driver_sql(f"SHOW CREATE TABLE {quoted(connection, name)}").all()[0][1]
        connection.exec_driver_sql(f"USE {quoted(connection, target)}")
        connection.exec_driver_sql(statement.replace("%", "%%"))
        _copy_rows(connection, source, target, name)


def _copy_rows(connection: Connection, source: str, target: str, table: str) -> None:
    found = connection.execute(_COLUMNS, {"database": source, "table": table}).scalars()
    columns = ", ".join(_each(connection, found))
    old, new = quoted(connection, source, table), quoted(connection, target, table)
    connection.exec_driver_sql(f"INSERT INTO {new} ({columns}) SELECT {columns} FROM {old}")


def _each(connection: Connection, names: Iterable[str]) -> Iterable[str]:
    return (quoted(connection, name) for name in names)


def is_there(connection: Connection, database: str, *, quarantined: bool) -> bool:
    """Whether there is a database; one that was set aside, only if its tables have come there."""
    return has_database(connection, database) and (not quarantined or bool(tables_of(connection, database)))
