"""Sessions in a database are ended, so that it can be emptied or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.mysql.faults import NO_SUCH_THREAD, NOT_OWNER, NOT_THERE, WAITED, number_of
from penstock.backends.mysql.sessions import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, TextClause

_ATTEMPTS = 10
_PATIENCE = 5
"""Seconds to wait for a session that the user may not end."""

_SESSIONS = text("""
    SELECT id FROM information_schema.processlist WHERE db = :name AND id <> CONNECTION_ID()""")
_SESSIONS_OF = text("""
    SELECT id FROM information_schema.processlist WHERE user = :name AND id <> CONNECTION_ID()""")

_RELATIONS = text("""
    SELECT CASE table_type WHEN 'VIEW' THEN 'VIEW' WHEN 'SEQUENCE' THEN 'SEQUENCE' ELSE 'TABLE' END,
           table_name
    FROM information_schema.tables WHERE table_schema = :name AND table_name <> :but""")


def without_sessions(connection: Connection, database: str, change: Callable[[], object]) -> None:
    """Change a database whose sessions are ended first, and afterwards: none may live on in it.

    Whoever may not be sent away by this user is waited for a few seconds, once.

    Args:
        connection: One to no database.
        database: The database's name.
        change: Empties or drops it.

    Raises:
        DBAPIError: Somebody still uses it, or it can't be changed.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        all_ended = end_sessions(connection, database)
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {1 if all_ended else _PATIENCE}")
        try:
            change()
            break
        except DBAPIError as error:
            if attempt == _ATTEMPTS or not all_ended or number_of(error) != WAITED:
                raise
    end_sessions(connection, database)


def end_sessions(connection: Connection, database: str) -> bool:
    """End the sessions in a database; False if some may not be ended by this user."""
    return _end_all(connection, _SESSIONS, database)


def end_sessions_of(connection: Connection, user: str) -> bool:
    """End a user's sessions; False if some may not be ended by this one."""
    return _end_all(connection, _SESSIONS_OF, user)


def _end_all(connection: Connection, query: TextClause, name: str) -> bool:
    found = connection.execute(query, {"name": name}).scalars().all()
    ended = [_end(connection, int(session)) for session in found]
    return all(ended)


def _end(connection: Connection, session: int) -> bool:
    try:
        connection.exec_driver_sql(f"KILL CONNECTION {session}")
    except DBAPIError as error:
        if number_of(error) not in (NO_SUCH_THREAD, NOT_OWNER):
            raise
        return number_of(error) == NO_SUCH_THREAD
    return True


def drop(connection: Connection, database: str, last: str = "") -> bool:
    """Drop a database, and send away everybody who is in it; False if it was not there.

    Args:
        connection: One to no database.
        database: The database's name.
        last: The table that goes last, since the server drops one after the other.
    """

    def empty_and_drop() -> None:
        if last:
            _drop_tables(connection, database, last)
        connection.exec_driver_sql(f"DROP DATABASE {quoted(connection, database)}")

    try:
        without_sessions(connection, database, empty_and_drop)
    except DBAPIError as error:
        if number_of(error) not in NOT_THERE:
            raise
        return False
    return True


def _drop_tables(connection: Connection, database: str, but: str) -> None:
    connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
    for kind, name in connection.execute(_RELATIONS, {"name": database, "but": but}).all():
        connection.exec_driver_sql(f"DROP {kind} IF EXISTS {quoted(connection, database, name)}")
