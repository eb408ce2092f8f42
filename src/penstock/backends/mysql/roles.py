"""MariaDB roles of a store's own: made, granted, given logins, dropped."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, text
from sqlalchemy.exc import DBAPIError

from penstock.backends.faults import explained
from penstock.backends.mysql import ending, grants
from penstock.backends.mysql.faults import NO_RIGHT, number_of, translated
from penstock.backends.mysql.sessions import is_mariadb, maintenance, quoted
from penstock.backends.roles import NewLogin, RoleNames, ServerRoles
from penstock.errors import NotSupported, PermissionRefused, StoreNotOurs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Login, Server
    from penstock.errors import PenstockError

_NEEDED = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE TEMPORARY TABLES", "EXECUTE"),
    *("CREATE USER", "PROCESS", "CONNECTION ADMIN"),
)
"""What the service's user passes on to stores' logins, or needs to make them and to end their sessions."""

_explained = partial(explained, translated)

_MAY = text("""
    SELECT privilege_type FROM information_schema.user_privileges
    WHERE grantee = :grantee AND is_grantable = 'YES'""")
# Who makes a role may give it to others; nobody else may, until he is let do so.
_ROLES = text("""
    SELECT u.user AS name, m.user IS NOT NULL AS ours FROM mysql.user u
    LEFT JOIN mysql.roles_mapping m ON m.role = u.user AND m.admin_option = 'Y'
      AND CONCAT(m.user, '@', m.host) = CURRENT_USER()
    WHERE u.host = '' AND u.is_role = 'Y' AND u.user IN :names""").bindparams(
    bindparam("names", expanding=True)
)
_USERS = text("""
    SELECT u.user AS name, u.host AS host, m.role IS NOT NULL AS ours,
      JSON_VALUE(u.priv, '$.default_role') AS role, JSON_VALUE(u.priv, '$.account_locked') AS locked
    FROM mysql.global_priv u
    LEFT JOIN mysql.roles_mapping m ON m.user = u.user AND m.host = u.host AND m.role IN :groups
    WHERE u.host <> '' AND u.user IN :names""").bindparams(
    bindparam("groups", expanding=True), bindparam("names", expanding=True)
)
_MEMBERS = text("""
    SELECT DISTINCT user FROM mysql.roles_mapping
    WHERE role IN (:app, :reader) AND host <> '' ORDER BY 1""")
_LEFT = text("""
    SELECT user FROM mysql.user WHERE LEFT(user, CHAR_LENGTH(:prefix)) = :prefix AND is_role = 'Y'""")
_SESSIONS = text("SELECT command AS doing FROM information_schema.processlist WHERE user = :login")
# What the server says of transactions may be as old as the time since it was last asked, up to this.
_SETTLE = text("DO SLEEP(0.11)")
_IN_TRANSACTION = text("""
    SELECT 1 FROM information_schema.innodb_trx t
    JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
    WHERE p.user = :login LIMIT 1""")


@dataclass(frozen=True, slots=True)
class _User:
    """A user as the server knows it: whether it has one of a store's roles, and begins with it."""

    name: str
    host: str
    role: str
    ours: bool
    locked: bool


class MariaDBRoles(ServerRoles):
    """How MariaDB gives a store roles of its own (see `RoleBackend`).

    A database has no owner: the service's user makes everything. The two roles have what an app and a
    reader may do; each login has one of them. Roles are ours if the service's user may give them to others,
    which the server lets nobody but their maker do; a login is, if it has one of these.
    """

    longest = 80
    has_owners = False

    def problem(self, server: Server) -> PenstockError | None:
        what = f"Service {server.service} can't give its stores roles of their own."
        with maintenance(server, keep=True, anywhere=True) as connection:
            if not is_mariadb(connection):
                return NotSupported(what, why="Its server is MySQL; Penstock makes roles on MariaDB only.")
            return _lack(connection, _NEEDED, what, "may not do, and let others do, all that this takes")

    def owner_problem(self, address: DatabaseAddress) -> PenstockError | None:
        """Why its app can't make tables: a right is missing, or its name is too long for a grant of all."""
        what = f"The app of {address.label} can't be let make tables in it."
        if not grants.is_grantable(address.database):
            return NotSupported(
                what, why=f"The name {address.database} is too long for a grant of all in it."
            )
        with maintenance(address.server, keep=True, anywhere=True) as connection:
            return _lack(connection, grants.OWNERS, what, "can't let others do")

    def state(self, connection: Connection, names: RoleNames, logins: Sequence[str]) -> tuple[bool, bool]:
        groups = [names.app, names.reader]
        known = _known(connection, names)
        if set(known) != set(groups) or not all(known.values()):
            return bool(known), False
        users = _users(connection, names, logins)
        settled = {user.name for user in users if user.ours and user.role in groups and not user.locked}
        return True, settled == set(logins) and grants.are_complete(connection, names)

    def grant(self, connection: Connection, names: RoleNames, record: str) -> None:
        known = _known(connection, names)
        for role in (names.app, names.reader):
            if role not in known:
                connection.exec_driver_sql(f"CREATE ROLE {quoted(connection, role)}")
            elif not known[role]:
                raise _not_ours(connection, role)
        grants.give(connection, names, record)

    def grant_copy(self, connection: Connection, names: RoleNames, record: str) -> None:
        grants.give_all(connection, names)

    def add_logins(
        self,
        connection: Connection,
        names: RoleNames,
        logins: Sequence[NewLogin],
        *,
        everywhere: bool = False,
    ) -> None:
        known = {user.name: user for user in _users(connection, names, [login.name for login in logins])}
        for user in known.values():
            if not user.ours:
                raise _stranger(user)
        for login in logins:
            _add(connection, names.of(login.role), login, known.get(login.name))

    def in_use(self, connection: Connection, login: str) -> bool:
        commands = set(connection.execute(_SESSIONS, {"login": login}).scalars())
        if commands <= {"Sleep"}:
            return bool(commands) and _is_in_transaction(connection, login)
        return True

    def drop_login(self, connection: Connection, names: RoleNames, login: str) -> None:
        for user in _logins(connection, names):
            if user.name == login:
                _drop(connection, user)

    def let_end(self, address: DatabaseAddress, names: RoleNames) -> None:
        """Nothing: the service's user may end every session."""

    def refuse_connections(self, server: Server, names: RoleNames) -> None:
        with maintenance(server) as connection, _explained(f"The logins of {names} can't be locked."):
            for user in _logins(connection, names):
                connection.exec_driver_sql(
                    f"ALTER USER {_account(connection, user.name, user.host)} ACCOUNT LOCK"
                )
                ending.end_sessions_of(connection, user.name)

    def allow_connections(self, server: Server, names: RoleNames) -> None:
        with maintenance(server) as connection, _explained(f"The logins of {names} can't be unlocked."):
            for user in _logins(connection, names):
                connection.exec_driver_sql(
                    f"ALTER USER {_account(connection, user.name, user.host)} ACCOUNT UNLOCK"
                )

    def drop(self, server: Server, names: RoleNames) -> None:
        with maintenance(server) as connection, _explained(f"The roles of {names} can't be dropped."):
            for user in _logins(connection, names):
                _drop(connection, user)
            for role, ours in _known(connection, names).items():
                if ours:
                    connection.exec_driver_sql(f"DROP ROLE IF EXISTS {quoted(connection, role)}")

    def left(self, server: Server, prefix: str) -> list[RoleNames]:
        with maintenance(server) as connection:
            if not is_mariadb(connection) or not _may_look(connection):
                return []
            found = connection.execute(_LEFT, {"prefix": prefix}).scalars().all()
        return self._left(found)

    def change_password(self, server: Server, login: Login, password: str) -> None:
        what = f"The password of service {server.service} can't be changed."
        with maintenance(server, login) as connection, _explained(what):
            if not is_mariadb(connection):  # It would take the verifier for the password.
                raise NotSupported(what, why="Its server is MySQL; Penstock does so on MariaDB only.")
            connection.exec_driver_sql(f"SET PASSWORD = '{make_verifier(password)}'")


def make_verifier(password: str) -> str:
    """What the server stores of a password, useless for logging in (`mysql_native_password`).

    >>> make_verifier("secret")
    '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7'
    """
    # The server decides how. What is guessed from it is as hard to find as the password, which is random.
    once = hashlib.sha1(password.encode()).digest()  # noqa: S324
    return f"*{hashlib.sha1(once).hexdigest().upper()}"  # noqa: S324


def _add(connection: Connection, role: str, login: NewLogin, known: _User | None) -> None:
    """Make a login that has a role from the first moment, or give it a password; it begins with the role."""
    host = _service_user(connection)[1] if known is None else known.host
    user = _account(connection, login.name, host)
    begin = f"GRANT {quoted(connection, role)} TO {user}" if known is None else f"ALTER USER {user}"
    verifier = make_verifier(login.password)
    end = "" if known is None else " ACCOUNT UNLOCK"
    connection.exec_driver_sql(f"{begin} IDENTIFIED VIA mysql_native_password USING '{verifier}'{end}")
    connection.exec_driver_sql(f"SET DEFAULT ROLE {quoted(connection, role)} FOR {user}")


def _drop(connection: Connection, user: _User) -> None:
    """Drop a login, then end its sessions, which would live on."""
    connection.exec_driver_sql(f"DROP USER IF EXISTS {_account(connection, user.name, user.host)}")
    ending.end_sessions_of(connection, user.name)


def _is_in_transaction(connection: Connection, login: str) -> bool:
    connection.execute(_SETTLE)
    return connection.execute(_IN_TRANSACTION, {"login": login}).first() is not None


def _may_look(connection: Connection) -> bool:
    """Whether the service's user may look at users; one who may not has never made any."""
    try:
        connection.exec_driver_sql("SELECT 1 FROM mysql.roles_mapping LIMIT 0")
    except DBAPIError as error:
        if number_of(error) not in NO_RIGHT:
            raise
        return False
    return True


def _lack(connection: Connection, rights: Sequence[str], what: str, why: str) -> PermissionRefused | None:
    """The error for rights that the service's user can't give to others; None if it can."""
    name, host = _service_user(connection)
    found = connection.execute(_MAY, {"grantee": f"'{name}'@'{host}'"}).scalars().all()
    lacking = ", ".join(right for right in rights if right not in found)
    if not lacking:
        return None
    return PermissionRefused(
        what,
        why=f"The service's user {name}@{host} {why}: {lacking}.",
        hint="Have an administrator of the server do:"
        f" GRANT {lacking} ON *.* TO '{name}'@'{host}' WITH GRANT OPTION",
    )


def _service_user(connection: Connection) -> tuple[str, str]:
    """The service's user, and from where it may log in."""
    user = str(connection.exec_driver_sql("SELECT CURRENT_USER()").scalar_one())
    name, _, host = user.rpartition("@")
    return name, host


def _account(connection: Connection, name: str, host: str) -> str:
    return f"{quoted(connection, name)}@{quoted(connection, host)}"


def _known(connection: Connection, names: RoleNames) -> dict[str, bool]:
    """The roles of a store that exist, and whether each is ours."""
    if not _may_look(connection):
        return {}
    found = connection.execute(_ROLES, {"names": [names.app, names.reader]})
    return {row.name: bool(row.ours) for row in found}


def _users(connection: Connection, names: RoleNames, wanted: Sequence[str]) -> list[_User]:
    asked = {"groups": [names.app, names.reader], "names": list(wanted)}
    found = connection.execute(_USERS, asked)
    return [_User(row.name, row.host, row.role or "", bool(row.ours), row.locked == "1") for row in found]


def _logins(connection: Connection, names: RoleNames) -> list[_User]:
    """The logins of a store that Penstock made; not those of people who were let in by hand."""
    if not _may_look(connection):
        return []
    members = connection.execute(_MEMBERS, {"app": names.app, "reader": names.reader}).scalars().all()
    made = re.compile(f"({re.escape(names.app)}|{re.escape(names.reader)})_[0-9a-f]{{6}}")
    return _users(connection, names, [name for name in members if made.fullmatch(name)])


def _not_ours(connection: Connection, role: str) -> StoreNotOurs:
    name, host = _service_user(connection)
    return StoreNotOurs(
        f"The role {role} exists on the server and was not made by {name}@{host}, so it is left alone.",
        hint=f"If it is this store's, have its maker do: GRANT {role} TO '{name}'@'{host}' WITH ADMIN OPTION",
    )


def _stranger(user: _User) -> StoreNotOurs:
    return StoreNotOurs(
        f"The user {user.name} exists on the server and has no role of this store, so it is left alone.",
        hint=f"Look at what it is for, and rename or drop it: SHOW GRANTS FOR '{user.name}'@'{user.host}'",
    )
