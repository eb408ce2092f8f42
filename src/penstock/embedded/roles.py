"""The two roles: the server is given SCRAM verifiers, never a password."""

from __future__ import annotations

from typing import Any

import psycopg  # Only `configure` needs it, and imports this module after a check.
from psycopg import sql

from penstock.embedded.passwords import read_password
from penstock.embedded.status import ADMINISTRATOR, HOST, OWNER, Credentials
from penstock.errors import EmbeddedError

Connection = psycopg.Connection[tuple[Any, ...]]

WANTED = """
SELECT rolcanlogin AND rolcreatedb AND rolcreaterole AND NOT rolsuper FROM pg_roles WHERE rolname = %s
"""
MAKE = "CREATE ROLE {} LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD {}"
MEND = "ALTER ROLE {} LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD {}"
# From this libpq on we can insist that a password is never sent, whatever the server asks for.
STRICT_LIBPQ = 160_000
# Stated in full, so that no PG* variable of the caller changes where or how we connect.
PINNED = {
    "host": HOST,
    "hostaddr": HOST,
    "dbname": "postgres",
    "sslmode": "disable",
    "gssencmode": "disable",
    "channel_binding": "disable",
    "target_session_attrs": "any",
    "options": "-c search_path=pg_catalog",
    "application_name": "penstock configure",
    "client_encoding": "UTF8",
    "connect_timeout": "10",
}


def make_verifier(password: str, role: str) -> str:
    """The SCRAM verifier of a password: what the server stores, useless for logging in."""
    # A connection that was never opened is enough: the sum is libpq's, not the server's.
    nowhere = psycopg.pq.PGconn.connect(b"=")
    return nowhere.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode("ascii")


def make_roles(credentials: Credentials) -> None:
    """Make the owner's role on a running server, or give it back its password and attributes.

    Raises:
        EmbeddedError: The administrator's password file is not the one of this server.
    """
    try:
        with _connect(credentials, ADMINISTRATOR) as connection:
            if not _is_as_wanted(connection, credentials):
                _make_owner(connection, read_password(credentials.owner_password_file))
    except psycopg.Error as error:
        raise EmbeddedError(
            f"The roles of the server on port {credentials.port} can't be made.",
            why=str(error).strip(),
            hint=f"check that {credentials.administrator_password_file} is the one made with this server",
        ) from error


def _connect(credentials: Credentials, role: str) -> Connection:
    known = {
        OWNER: credentials.owner_password_file,
        ADMINISTRATOR: credentials.administrator_password_file,
    }
    strict = {"require_auth": "scram-sha-256"} if psycopg.pq.version() >= STRICT_LIBPQ else {}
    settings: dict[str, Any] = {**PINNED, **strict, "port": credentials.port, "user": role}
    return psycopg.connect(password=read_password(known[role]), autocommit=True, **settings)


def _is_as_wanted(connection: Connection, credentials: Credentials) -> bool:
    row = connection.execute(WANTED, [OWNER]).fetchone()
    return row is not None and bool(row[0]) and _owner_logs_in(credentials)


def _owner_logs_in(credentials: Credentials) -> bool:
    try:
        _connect(credentials, OWNER).close()
    except psycopg.OperationalError:
        return False
    return True


def _make_owner(connection: Connection, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone()
    verifier = sql.Literal(make_verifier(password, OWNER))
    connection.execute(sql.SQL(MEND if known else MAKE).format(sql.Identifier(OWNER), verifier))
