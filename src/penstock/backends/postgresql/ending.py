"""Sessions in a database are ended, so that it can be renamed or dropped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.postgresql.faults import IN_USE, INSUFFICIENT_PRIVILEGE, sqlstate_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_ATTEMPTS = 10
_PAUSE = 0.1
_END_SESSIONS = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE datname = :name AND pid <> pg_catalog.pg_backend_pid()
      AND pg_catalog.pg_has_role(usesysid, 'USAGE')"""
# Workers of the server itself are nobody's: it ends them when their database is to go.
_OTHERS = """
    SELECT 1 FROM pg_catalog.pg_stat_activity
    WHERE datname = :name AND NOT pg_catalog.pg_has_role(usesysid, 'USAGE') LIMIT 1"""


def without_sessions(connection: Connection, database: str, change: Callable[[], object]) -> None:
    """Change a database that nobody may be in: sessions are ended first, and again if some came in.

    A change waits by itself for up to five seconds until a database is empty. Whoever may not be sent
    away by this role is waited for that long, once.

    Args:
        connection: One to another database.
        database: The database's name.
        change: Renames or drops it.

    Raises:
        DBAPIError: Somebody is still in it, or it can't be changed.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        connection.execute(text(_END_SESSIONS), {"name": database})
        last = attempt == _ATTEMPTS or connection.execute(text(_OTHERS), {"name": database}).first()
        try:
            change()
            return
        except DBAPIError as error:
            if last or sqlstate_of(error) != IN_USE:
                raise
        time.sleep(_PAUSE)


def drop(connection: Connection, database: str) -> None:
    """Drop a database, and send away everybody who is in it.

    The server refuses FORCE to all but superusers while an autovacuum worker is in the database; a plain
    DROP ends that worker.
    """
    name = connection.dialect.identifier_preparer.quote_identifier(database)
    try:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except DBAPIError as error:
        if sqlstate_of(error) != INSUFFICIENT_PRIVILEGE:
            raise
        without_sessions(
            connection, database, lambda: connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        )
