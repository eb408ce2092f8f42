"""Grants of a store's roles, table by table, since none applies to later tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import text

from penstock.backends.mysql.connecting import pattern_of
from penstock.backends.mysql.sessions import quoted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.backends.roles import RoleNames

_PATTERN_LENGTH = 64
"""How long the server lets a database's name be in a grant of all that is in it."""

_GENERAL = ("CREATE TEMPORARY TABLES", "EXECUTE")
_ROWS = "SELECT, INSERT, UPDATE, DELETE"
OWNERS = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER"),
    *("CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW"),
    *("CREATE ROUTINE", "ALTER ROUTINE", "TRIGGER"),
)
"""What an app may do in all of a database whose tables it makes itself."""

# Grants of one table hold for the database of exactly this name; sequences are tables, too.
_LACKING = text("""
    SELECT t.table_name FROM information_schema.tables t
    LEFT JOIN mysql.tables_priv p
      ON p.host = '' AND p.db = t.table_schema AND p.user = :role AND p.table_name = t.table_name
    WHERE t.table_schema = DATABASE() AND p.user IS NULL ORDER BY t.table_name""")
_IN_GENERAL = text("""
    SELECT 1 FROM mysql.db WHERE host = '' AND db = :pattern AND user = :role
    AND create_tmp_table_priv = 'Y' AND execute_priv = 'Y'
    AND create_priv = :makes AND alter_priv = :makes""")
# Roles made for another store of which a grant is left: that database was copied, or dropped by others.
# One that is kept after a drop, whose logins are locked, finds its grants again when it comes back.
_OTHERS = text("""
    SELECT DISTINCT p.user
    FROM (SELECT host, db, user FROM mysql.tables_priv UNION SELECT host, db, user FROM mysql.db) p
    JOIN mysql.roles_mapping m ON m.role = p.user AND m.admin_option = 'Y'
    WHERE p.host = '' AND p.db IN (DATABASE(), :pattern) AND p.user NOT IN (:app, :reader)
      AND p.user REGEXP '_[0-9a-f]{8}_(app|reader)$' AND CONCAT(m.user, '@', m.host) = CURRENT_USER()
      AND NOT EXISTS (
        SELECT 1 FROM mysql.roles_mapping l JOIN mysql.global_priv u ON u.user = l.user AND u.host = l.host
        WHERE l.role = p.user AND JSON_VALUE(u.priv, '$.account_locked') = '1')""")


def are_complete(connection: Connection, names: RoleNames) -> bool:
    """Whether the roles may use every table that is there now."""
    lacking = any(_lacking(connection, role) for role in (names.app, names.reader))
    return not lacking and _has_general(connection, names)


def give(connection: Connection, names: RoleNames, record: str) -> None:
    """Grant to app and reader what they lack on the current tables; revoke all from other stores' roles.

    What somebody took away of a right to a table is not given back, unless that was all of it.
    """
    database = _database(connection)
    others = {"pattern": pattern_of(database), "app": names.app, "reader": names.reader}
    for role in connection.execute(_OTHERS, others).scalars().all():
        connection.exec_driver_sql(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {quoted(connection, role)}")
    for role, rights in ((names.app, _ROWS), (names.reader, "SELECT")):
        for table in _lacking(connection, role):
            granted = "SELECT" if table == record else rights
            whole = quoted(connection, database, table)
            connection.exec_driver_sql(f"GRANT {granted} ON {whole} TO {quoted(connection, role)}")
    if not _has_general(connection, names):
        had = _has_general(connection, replace(names, app_makes_tables=True))
        general = f"{quoted(connection, pattern_of(database))}.*"
        app = quoted(connection, names.app)
        given = ", ".join(OWNERS if names.app_makes_tables else _GENERAL)
        connection.exec_driver_sql(f"GRANT {given} ON {general} TO {app}")
        if names.app_makes_tables:  # Else readers would have to wait for a sync after each of them.
            connection.exec_driver_sql(f"GRANT SELECT ON {general} TO {quoted(connection, names.reader)}")
        elif had:
            rest = ", ".join(right for right in OWNERS if right not in _GENERAL)
            connection.exec_driver_sql(f"REVOKE {rest} ON {general} FROM {app}")


def give_all(connection: Connection, names: RoleNames) -> None:
    """Let app and reader have, in a copy, what they have of a store: of all in it, at once if it can be."""
    database = _database(connection)
    if not is_grantable(database):
        give(connection, names, record="")
        return
    pattern = f"{quoted(connection, pattern_of(database))}.*"
    given = OWNERS if names.app_makes_tables else (_ROWS, *_GENERAL)
    connection.exec_driver_sql(f"GRANT {', '.join(given)} ON {pattern} TO {quoted(connection, names.app)}")
    connection.exec_driver_sql(f"GRANT SELECT ON {pattern} TO {quoted(connection, names.reader)}")


def _lacking(connection: Connection, role: str) -> list[str]:
    """The tables for which nothing was ever granted to a role."""
    return list(connection.execute(_LACKING, {"role": role}).scalars())


def is_grantable(database: str) -> bool:
    """Whether a database's name is short enough for a grant of all that is in it."""
    return len(pattern_of(database)) <= _PATTERN_LENGTH


def _has_general(connection: Connection, names: RoleNames) -> bool:
    """Whether an app has what goes for the whole database, if its name is short enough for that."""
    database = _database(connection)
    if not is_grantable(database):
        return True
    makes = "Y" if names.app_makes_tables else "N"
    asked = {"pattern": pattern_of(database), "role": names.app, "makes": makes}
    return connection.execute(_IN_GENERAL, asked).first() is not None


def _database(connection: Connection) -> str:
    return str(connection.exec_driver_sql("SELECT DATABASE()").scalar_one())
