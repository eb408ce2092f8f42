"""Reads and writes owners and grants of a store's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

    from penstock.backends.roles import RoleNames

# Everything below is asked of the catalog and quoted there, by format's %I; names resolve in pg_catalog only.

_OF_USERS = """n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'"""
_NO_MEMBER = """NOT EXISTS (SELECT 1 FROM pg_depend e
          WHERE e.classid = '{1}'::regclass AND e.objid = {0}.oid AND e.deptype = 'e')"""
# The service's role, and owners made for another store, from which this database was copied or taken.
_GIVERS = """
    SELECT oid FROM pg_roles WHERE rolname = current_user
        OR (rolname <> :owner AND pg_has_role(oid, 'USAGE')
            AND shobj_description(oid, 'pg_authid') LIKE 'penstock: %')"""
_ALTERATIONS = f"""
    SELECT 1 AS turn, format('ALTER SCHEMA %I OWNER TO %I', n.nspname, :owner) AS statement
    FROM pg_namespace n
    WHERE {_OF_USERS} AND n.nspowner IN ({_GIVERS}) AND {_NO_MEMBER.format("n", "pg_namespace")}
    UNION ALL
    SELECT 2, format('ALTER TABLE %I.%I OWNER TO %I', n.nspname, c.relname, :owner)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_OF_USERS} AND c.relowner IN ({_GIVERS})
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND {_NO_MEMBER.format("c", "pg_class")}
      AND NOT EXISTS (SELECT 1 FROM pg_depend s WHERE s.objid = c.oid AND s.classid = 'pg_class'::regclass
                      AND s.refclassid = 'pg_class'::regclass AND s.deptype IN ('a', 'i') AND c.relkind = 'S')
    UNION ALL
    SELECT 3, format('ALTER ROUTINE %I.%I(%s) OWNER TO %I', n.nspname, p.proname,
                     pg_get_function_identity_arguments(p.oid), :owner)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_OF_USERS} AND p.proowner IN ({_GIVERS}) AND {_NO_MEMBER.format("p", "pg_proc")}
    UNION ALL
    SELECT 3, format('ALTER TYPE %I.%I OWNER TO %I', n.nspname, t.typname, :owner)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE {_OF_USERS} AND t.typowner IN ({_GIVERS})
      AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c') AND {_NO_MEMBER.format("t", "pg_type")}"""
# Roles made for another store that may still do something here, and own nothing any more.
_OTHERS = """
    SELECT format(statement, r.rolname) FROM pg_shdepend d
    JOIN pg_roles r ON r.oid = d.refobjid AND d.refclassid = 'pg_authid'::regclass
    JOIN pg_database b ON b.datname = current_database()
    CROSS JOIN (VALUES (1, 'GRANT %I TO CURRENT_USER'), (2, 'DROP OWNED BY %I')) AS them (turn, statement)
    WHERE (d.dbid = b.oid OR (d.classid = 'pg_database'::regclass AND d.objid = b.oid))
      AND shobj_description(r.oid, 'pg_authid') LIKE 'penstock: %'
      AND r.rolname NOT IN (:owner, :app, :reader)
    GROUP BY r.rolname, turn, statement
    HAVING NOT bool_or(d.deptype = 'o' AND d.classid <> 'pg_default_acl'::regclass) ORDER BY turn"""
_COMPLETE = f"""
    SELECT d.datdba = o.oid
       AND (SELECT count(*) FROM pg_default_acl a
            WHERE a.defaclrole = o.oid AND a.defaclnamespace = 0 AND a.defaclobjtype IN ('r', 'S', 'n')) = 3
       AND NOT EXISTS ({_ALTERATIONS})
    FROM pg_database d, pg_roles o WHERE d.datname = current_database() AND o.rolname = :owner"""
_IS_MEMBER = """
    SELECT EXISTS (SELECT 1 FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.roleid
                   JOIN pg_roles a ON a.oid = m.member WHERE o.rolname = :owner AND a.rolname = :app)"""
_MEMBERSHIP = {
    True: "SELECT format('GRANT %I TO %I', :owner, :app)",
    False: "SELECT format('REVOKE %I FROM %I', :owner, :app)",
}
_ROWS = """
    SELECT format('GRANT ' || :rights || ' ON TABLE %I.%I TO %I', n.nspname, c.relname, :role)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE o.rolname = :owner AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"""
_COUNTERS = """
    SELECT format('GRANT ' || :rights || ' ON SEQUENCE %I.%I TO %I', n.nspname, c.relname, :role)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
    WHERE o.rolname = :owner AND c.relkind = 'S'"""
_SCHEMAS = f"""
    SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, :role)
    FROM pg_namespace n
    WHERE {_OF_USERS} AND pg_has_role(n.nspowner, 'USAGE')
      AND {_NO_MEMBER.format("n", "pg_namespace")}"""
_OPEN_PUBLIC = """
    SELECT 'REVOKE CREATE ON SCHEMA public FROM PUBLIC'
    FROM pg_namespace n
    WHERE n.nspname = 'public' AND pg_has_role(n.nspowner, 'USAGE')
      AND has_schema_privilege('public', n.oid, 'CREATE')"""
_DATABASE = """
    SELECT format(statement, current_database(), :app, :reader) FROM (VALUES
      (1, 'REVOKE ALL ON DATABASE %1$I FROM PUBLIC'),
      (2, 'GRANT CONNECT, TEMPORARY ON DATABASE %1$I TO %2$I'),
      (3, 'GRANT CONNECT ON DATABASE %1$I TO %3$I')) AS them (turn, statement) ORDER BY turn"""
_TO_OWNER = "SELECT format('ALTER DATABASE %I OWNER TO %I', current_database(), :owner)"
_SHARED = """
    SELECT format('ALTER DATABASE %1$I OWNER TO %4$I; REVOKE ALL ON DATABASE %1$I FROM PUBLIC;'
      ' GRANT CONNECT, TEMPORARY ON DATABASE %1$I TO %2$I; GRANT CONNECT ON DATABASE %1$I TO %3$I',
      current_database(), :app, :reader, :owner)
    FROM pg_tables WHERE schemaname = 'public' AND tablename = :record AND tableowner = :owner"""
_RECORD = (
    "SELECT format('REVOKE ALL ON TABLE public.%I FROM %I, %I', :record, :app, :reader)",
    "SELECT format('GRANT SELECT ON TABLE public.%I TO %I, %I', :record, :app, :reader)",
)
_LATER = """
    SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT ' || rights || ' TO %I', :owner, role)
    FROM (VALUES
      (:app, 'SELECT, INSERT, UPDATE, DELETE ON TABLES'), (:reader, 'SELECT ON TABLES'),
      (:app, 'SELECT, UPDATE, USAGE ON SEQUENCES'), (:reader, 'SELECT ON SEQUENCES'),
      (:app, 'USAGE ON SCHEMAS'), (:reader, 'USAGE ON SCHEMAS')) AS them (role, rights)"""


def are_complete(connection: Connection, names: RoleNames) -> bool:
    """Whether the owner has all that was the service's, and what is made later will find its readers."""
    found = connection.execute(_asking(_COMPLETE, owner=names.owner)).scalar()
    return bool(found) and _is_member(connection, names) == names.app_makes_tables


def hand_over(connection: Connection, names: RoleNames) -> None:
    """Make the owner own the database and what is in it; the roles it is taken from keep no right there."""
    _do_all(connection, _TO_OWNER, owner=names.owner)
    _do_all(connection, f"SELECT statement FROM ({_ALTERATIONS}) AS them ORDER BY turn", owner=names.owner)
    _do_all(connection, _OTHERS, owner=names.owner, app=names.app, reader=names.reader)


def share(connection: Connection, names: RoleNames, record: str) -> bool:
    """Let the roles of a template have a copy of it; what is in that is theirs already.

    Returns:
        Whether it is such a copy: else nothing was done.
    """
    asked = _asking(_SHARED, owner=names.owner, app=names.app, reader=names.reader, record=record)
    statements = connection.execute(asked).scalar()
    if statements is not None:
        connection.exec_driver_sql(statements.replace("%", "%%"))
    return statements is not None


def give(connection: Connection, names: RoleNames, record: str) -> None:
    """Let app and reader have what they need of what the owner has, and will have."""
    if _is_member(connection, names) != names.app_makes_tables:
        _do_all(connection, _MEMBERSHIP[names.app_makes_tables], owner=names.owner, app=names.app)
    _do_all(connection, _DATABASE, app=names.app, reader=names.reader)
    _do_all(connection, _OPEN_PUBLIC)
    for role, rows, counters in (
        (names.app, "SELECT, INSERT, UPDATE, DELETE", "SELECT, UPDATE, USAGE"),
        (names.reader, "SELECT", "SELECT"),
    ):
        _do_all(connection, _SCHEMAS, role=role)
        _do_all(connection, _ROWS, owner=names.owner, role=role, rights=rows)
        _do_all(connection, _COUNTERS, owner=names.owner, role=role, rights=counters)
    _do_all(connection, _LATER, owner=names.owner, app=names.app, reader=names.reader)
    # An app, and a reader, may look at the store's record but not change it.
    for statement in _RECORD:
        _do_all(connection, statement, record=record, app=names.app, reader=names.reader)


def _is_member(connection: Connection, names: RoleNames) -> bool:
    """Whether the app has what the owner has."""
    return bool(connection.execute(_asking(_IS_MEMBER, owner=names.owner, app=names.app)).scalar())


def _do_all(connection: Connection, query: str, **values: str) -> None:
    """Do the statements that a query of the catalog answers."""
    for (statement,) in connection.execute(_asking(query, **values)).all():
        connection.exec_driver_sql(statement.replace("%", "%%"))


def _asking(query: str, **values: str) -> TextClause:
    """A query with its values, each with its type, which `format` can't tell by itself."""
    return text(query).bindparams(**values)
