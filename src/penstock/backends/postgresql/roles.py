"""PostgreSQL roles of a store's own: made, granted, given logins, dropped."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql
from psycopg.pq import PGconn
from sqlalchemy import Connection, text

from penstock.backends.faults import explained
from penstock.backends.postgresql import grants
from penstock.backends.postgresql.faults import translated
from penstock.backends.postgresql.sessions import TRUSTED_PATH, maintenance
from penstock.backends.roles import NewLogin, RoleNames, ServerRoles, StoreRole
from penstock.errors import PermissionRefused, StoreNotOurs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from penstock.backends.address import DatabaseAddress, Login, Server
    from penstock.errors import PenstockError

_OURS = "penstock: "
_explained = partial(explained, translated)

_MAY = """
    SELECT rolname, rolsuper OR rolcreaterole, rolsuper OR rolinherit
    FROM pg_catalog.pg_roles WHERE rolname = current_user"""
_KNOWN = """
    SELECT r.rolname AS name, pg_catalog.shobj_description(r.oid, 'pg_authid') AS said
    FROM pg_catalog.pg_roles r WHERE r.rolname = ANY (:names)"""
_MEMBERS = """
    SELECT DISTINCT m.rolname FROM pg_catalog.pg_auth_members a
    JOIN pg_catalog.pg_roles g ON g.oid = a.roleid JOIN pg_catalog.pg_roles m ON m.oid = a.member
    WHERE g.rolname = ANY (:groups)
      AND pg_catalog.shobj_description(m.oid, 'pg_authid') LIKE :ours || '%' ORDER BY 1"""
_LEFT = """
    SELECT rolname FROM pg_catalog.pg_roles
    WHERE pg_catalog.starts_with(rolname, :prefix)
      AND pg_catalog.shobj_description(oid, 'pg_authid') LIKE :ours || '%'"""
_BUSY = """
    SELECT 1 FROM pg_catalog.pg_stat_activity
    WHERE usename = :login AND state IS DISTINCT FROM 'idle' LIMIT 1"""


class PostgreSQLRoles(ServerRoles):
    """How PostgreSQL gives a store roles of its own (see `RoleBackend`).

    The owner, and the two roles that have what an app and a reader may do, never log in. Logins are
    members of these two; so a store can have two that are good for the same while one is replaced.
    """

    longest = 63
    has_owners = True

    def problem(self, server: Server) -> PenstockError | None:
        with maintenance(server, keep=True, anywhere=True) as connection:
            user, may, inherits = connection.execute(text(_MAY)).one()
            if may and inherits:
                return None
            role = connection.dialect.identifier_preparer.quote(user)
        attribute, lacks = ("INHERIT", "does not inherit") if may else ("CREATEROLE", "may not create roles")
        return PermissionRefused(
            f"Service {server.service} can't give its stores roles of their own.",
            why=f"Its role {user} {lacks}.",
            hint=f"Have an administrator of the server do: ALTER ROLE {role} {attribute}",
        )

    def owner_problem(self, address: DatabaseAddress) -> PenstockError | None:
        """None: an app can be a member of the owner."""
        return None

    def state(self, connection: Connection, names: RoleNames, logins: Sequence[str]) -> tuple[bool, bool]:
        roles = [names.owner, names.app, names.reader, *logins]
        known = _comments(connection, roles)
        complete = len(known) == len(roles) and grants.are_complete(connection, names)
        return names.owner in known, complete

    def grant(self, connection: Connection, names: RoleNames, record: str) -> None:
        groups = [names.owner, names.app, names.reader]
        known = _comments(connection, groups)
        _check_ours(known)
        for role in groups:
            if role not in known:
                _do(connection, "CREATE ROLE {role} NOLOGIN", role=role)
                _mark(connection, role)
        _do(connection, "GRANT {owner} TO CURRENT_USER", owner=names.owner)
        grants.hand_over(connection, names)
        grants.give(connection, names, record)

    def grant_copy(self, connection: Connection, names: RoleNames, record: str) -> None:
        if not grants.share(connection, names, record):
            self.grant(connection, names, record)

    def add_logins(
        self,
        connection: Connection,
        names: RoleNames,
        logins: Sequence[NewLogin],
        *,
        everywhere: bool = False,
    ) -> None:
        known = _comments(connection, [login.name for login in logins])
        _check_ours(known)
        for login in logins:
            verb = "ALTER" if login.name in known else "CREATE"
            statement = f"{verb} ROLE {{user}} LOGIN PASSWORD {{verifier}}"
            _set_password(connection, statement, login.name, login.password)
            _settle(connection, names, login, everywhere=everywhere)
        if everywhere:
            _join(connection, [login.name for login in logins])

    def in_use(self, connection: Connection, login: str) -> bool:
        # Of other roles' sessions the server shows no state, so the service's role has to be a member.
        _join(connection, _comments(connection, [login]))
        return connection.execute(text(_BUSY), {"login": login}).first() is not None

    def drop_login(self, connection: Connection, names: RoleNames, login: str) -> None:
        if login in _logins(connection, names):
            _do(connection, "DROP ROLE IF EXISTS {login}", login=login)

    def let_end(self, address: DatabaseAddress, names: RoleNames) -> None:
        with maintenance(address.server) as connection:
            _join(connection, _logins(connection, names))

    def refuse_connections(self, server: Server, names: RoleNames) -> None:
        """Nothing: what a role may do is in its database, whatever that is called."""

    def allow_connections(self, server: Server, names: RoleNames) -> None:
        """Nothing: nobody was shut out."""

    def drop(self, server: Server, names: RoleNames) -> None:
        groups = [names.app, names.reader, names.owner]
        gone = f"The roles of {names} can't be dropped."
        with maintenance(server, keep=True, anywhere=True) as connection, _explained(gone):
            comments = _comments(connection, groups)
            ours = [role for role in groups if _is_ours(comments.get(role))]
            for role in [*_logins(connection, names), *ours]:
                _do(connection, "DROP ROLE IF EXISTS {role}", role=role)

    def left(self, server: Server, prefix: str) -> list[RoleNames]:
        with maintenance(server) as connection:
            return self._left(connection.execute(text(_LEFT), {"prefix": prefix, "ours": _OURS}).scalars())

    def change_password(self, server: Server, login: Login, password: str) -> None:
        what = f"The password of service {server.service} can't be changed."
        with maintenance(server, login) as connection, _explained(what):
            user = connection.execute(text("SELECT current_user")).scalar_one()
            _set_password(connection, "ALTER ROLE CURRENT_USER PASSWORD {verifier}", user, password)


def make_verifier(password: str, role: str) -> str:
    """The SCRAM verifier of a password: what the server stores, useless for logging in (RFC 5803)."""
    # A connection that was never opened is enough: the sum is libpq's, not the server's.
    nowhere = PGconn.connect(b"=")
    return nowhere.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode("ascii")


def _comments(connection: Connection, roles: Sequence[str]) -> dict[str, str | None]:
    """Those of the given roles that exist, and the comment of each."""
    found = connection.execute(text(_KNOWN), {"names": list(roles)})
    return {row.name: row.said for row in found}


def _is_ours(comment: str | None) -> bool:
    return comment is not None and comment.startswith(_OURS)


def _check_ours(known: Mapping[str, str | None]) -> None:
    for role, comment in known.items():
        if not _is_ours(comment):
            raise StoreNotOurs(
                f"The role {role} exists on the server and is not marked as Penstock's, so it is left alone.",
                hint=f"Look at what it is for, and rename or drop it: \\du {role}",
            )


def _logins(connection: Connection, names: RoleNames) -> list[str]:
    """The logins of a store that Penstock made; not those of people who were let in by hand."""
    wanted = {"groups": [names.app, names.reader], "ours": _OURS}
    return list(connection.execute(text(_MEMBERS), wanted).scalars())


def _settle(connection: Connection, names: RoleNames, login: NewLogin, *, everywhere: bool) -> None:
    """Let a login be what it is for, also where a pooler lets nobody say so when a session begins."""
    _mark(connection, login.name)
    _do(connection, "GRANT {group} TO {login}", group=names.of(login.role), login=login.name)
    settings: list[LiteralString] = [f"SET search_path = {TRUSTED_PATH}"]
    if login.role is StoreRole.READER:
        settings.append("SET default_transaction_read_only = on")
    elif names.app_makes_tables:  # What it makes is the owner's, whatever login it has by then.
        settings.append("SET role = {owner}")
    else:
        settings.append("RESET role")
    database = connection.execute(text("SELECT pg_catalog.current_database()")).scalar_one()
    where: LiteralString = "" if everywhere else "IN DATABASE {database} "
    for setting in settings:
        statement = "ALTER ROLE {login} " + where + setting
        _do(connection, statement, login=login.name, database=database, owner=names.owner)


def _join(connection: Connection, logins: Iterable[str]) -> None:
    """Let the service's role do what these may, such as end their sessions."""
    for login in logins:
        _do(connection, "GRANT {login} TO CURRENT_USER", login=login)


def _mark(connection: Connection, role: str) -> None:
    database = connection.execute(text("SELECT pg_catalog.current_database()")).scalar_one()
    statement = sql.SQL("COMMENT ON ROLE {role} IS {said}").format(
        role=sql.Identifier(role), said=sql.Literal(_OURS + database)
    )
    _run(connection, statement)


def _set_password(connection: Connection, statement: LiteralString, user: str, password: str) -> None:
    verifier = sql.Literal(make_verifier(password, user))
    _run(connection, sql.SQL(statement).format(user=sql.Identifier(user), verifier=verifier))


def _do(connection: Connection, statement: LiteralString, **names: str) -> None:
    quoted = {key: sql.Identifier(name) for key, name in names.items()}
    _run(connection, sql.SQL(statement).format(**quoted))


def _run(connection: Connection, statement: sql.Composed) -> None:
    connection.exec_driver_sql(statement.as_string().replace("%", "%%"))
