"""The MariaDB and MySQL backend: databases, locks and sessions over PyMySQL."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from penstock.backends import kept
from penstock.backends.address import DatabaseAddress, Server, direct_login, missing
from penstock.backends.contract import Capabilities, ConnectionOptions, own_timeout
from penstock.backends.frames import RowFrames
from penstock.backends.kept import SessionKey
from penstock.backends.lines import is_quiet
from penstock.backends.mysql import copies, ending, locks, quarantine
from penstock.backends.mysql.asynchronous import asyncmy_driver
from penstock.backends.mysql.clients import MySQLClients
from penstock.backends.mysql.connecting import PORT, connect, pattern_of
from penstock.backends.mysql.faults import NO_ENTRY, NO_RIGHT, number_of, translated, was_ended
from penstock.backends.mysql.pymysql_compat import descriptor_of
from penstock.backends.mysql.roles import MariaDBRoles
from penstock.backends.mysql.rows import MySQLRows
from penstock.backends.mysql.sessions import (
    ASYNCMY,
    MARIADB,
    PYMYSQL,
    care_of,
    has_database,
    maintenance,
    password_of,
    start_up,
    until_ended,
    version_of,
    with_driver,
    with_either,
)
from penstock.backends.servers import ServerBackend
from penstock.errors import (
    ConfigError,
    InvalidName,
    NotSupported,
    PenstockError,
    PermissionRefused,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from datetime import datetime

    from penstock.backends.contract import AsyncDriver, Offload

_NAME_LENGTH = 64
_KINDS = {"mysql2": "mysql"}
"""What others call a kind of address."""

# Of the options that PyMySQL takes, those that neither lead elsewhere nor weaken the way there.
_NO_SAY = ("charset", "connect_timeout", "read_timeout", "use_unicode", "write_timeout")
_OURS = ("init_command", "program_name", "autocommit", "client_flag", "sql_mode")
_PLAIN_TABLE = text("""
    SELECT 1 FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_name = :table AND table_type = 'BASE TABLE'
      AND NOT EXISTS (
        SELECT 1 FROM information_schema.triggers
        WHERE event_object_schema = DATABASE() AND event_object_table = :table)""")
_RELATIONS = text("""
    SELECT 1 FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_name <> :besides LIMIT 1""")
_SIZE = text("""
    SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables
    WHERE table_schema = DATABASE()""")


class MySQLBackend(ServerBackend):
    """How MariaDB and MySQL do it."""

    name = "mysql"
    capabilities = Capabilities(
        plain_connections=True,
        lock_survives_drop=True,
        database_is_schema=True,
        default_privileges=False,
        quarantine=True,
        clones=True,
        asyncio=True,
    )
    roles = MariaDBRoles()
    rows = MySQLRows()
    frames = RowFrames(interleaved=False)
    clients = MySQLClients()
    kind = "MariaDB"
    harmless_options = _NO_SAY

    def normalise(self, url: URL) -> URL:
        self.check_address(url, has_user=bool(url.username), example="mariadb")
        ours = ", ".join(option for option in _OURS if option in url.query)
        if ours:
            raise ConfigError(f"This MariaDB address has options that Penstock sets itself: {ours}.")
        kind, _, driver = url.drivername.partition("+")
        url = url.set(drivername=_KINDS.get(kind, kind))
        seconds = own_timeout(url)
        if seconds is not None:  # SQLAlchemy takes it for an int, and is not alone.
            url = url.update_query_dict({"connect_timeout": str(ceil(seconds))})
        return with_driver(url, ASYNCMY if driver == ASYNCMY else PYMYSQL)

    def sync_url(self, url: URL) -> URL:
        return with_driver(url, PYMYSQL)

    def check_name(self, database: str) -> None:
        bad = not database or len(database) > _NAME_LENGTH or "\0" in database or database.endswith(" ")
        if bad or any(ord(character) > 0xFFFF for character in database):
            raise InvalidName(
                f"{database!r} can't be the name of a MariaDB database.",
                why=f"A name has 1 to {_NAME_LENGTH} characters, and does not end in a space.",
            )

    def connection_address(self, server: Server, label: str) -> DatabaseAddress:
        return DatabaseAddress(server=server, database=server.login.url.database or "", label=label)

    def exists(self, address: DatabaseAddress) -> bool:
        with maintenance(address.server, keep=True, anywhere=True) as connection:
            return copies.is_there(
                connection, address.database, quarantined=quarantine.is_quarantined(address.database)
            )

    def create(self, address: DatabaseAddress) -> bool:
        with maintenance(address.server, keep=True) as connection:
            try:
                return copies.create(connection, address.database)
            except DBAPIError as error:
                what = f"The database {address.database} can't be created."
                refused = self.translate(error, what)
                if isinstance(refused, PermissionRefused):
                    raise _to_be_granted(connection, address, what) from error
                raise refused from error

    def clone(self, source: DatabaseAddress, address: DatabaseAddress) -> bool:
        return copies.clone(source, address)

    def databases(self, server: Server, prefix: str) -> list[str]:
        return copies.databases(server, prefix)

    def named_lock(
        self, server: Server, name: str, *, shared: bool = False, timeout: float
    ) -> AbstractContextManager[None]:
        return locks.named_lock(server, name, shared=shared, timeout=timeout)

    def drop(self, address: DatabaseAddress, last: str = "") -> bool:
        with maintenance(address.server) as connection:
            try:
                there = has_database(connection, address.database)
                return there and ending.drop(connection, address.database, last)
            except DBAPIError as error:
                raise self.translate(error, f"The database {address.database} can't be dropped.") from error

    def quarantine_name(self, address: DatabaseAddress, when: datetime) -> str:
        return quarantine.quarantine_name(address.database, when)

    def quarantine(self, address: DatabaseAddress, name: str) -> None:
        quarantine.quarantine(address, name)

    def restore(self, address: DatabaseAddress, name: str) -> None:
        quarantine.restore(address, name)

    def drop_remains(self, address: DatabaseAddress) -> None:
        quarantine.drop_remains(address)

    def spatial_problem(self, address: DatabaseAddress, *, exists: bool) -> PenstockError | None:
        url = address.server.login.url
        if url.get_backend_name() == MARIADB or "MariaDB" not in self.version(address.server):
            return None
        return NotSupported(
            f"The store {address.label} can't be spatial on service {address.server.service}.",
            why="Its server is MariaDB, and its address says mysql:, whose spatial columns differ.",
            hint=f"penstock services edit {address.server.service} --url {url.set(drivername=MARIADB)}",
        )

    def lock(
        self, address: DatabaseAddress, timeout: float, on: Connection | None = None
    ) -> AbstractContextManager[None]:
        return locks.store_lock(address, timeout, on)

    def has_table(self, connection: Connection, table: str) -> bool:
        return connection.execute(_PLAIN_TABLE, {"table": table}).first() is not None

    def has_relations(self, connection: Connection, besides: str) -> bool:
        return connection.execute(_RELATIONS, {"besides": besides}).first() is not None

    def size(self, connection: Connection) -> int:
        return int(connection.execute(_SIZE).scalar_one())

    def version(self, server: Server) -> str:
        with maintenance(server, keep=True, anywhere=True) as connection:
            return " ".join(version_of(connection))

    def connection_limit(self, server: Server) -> int | None:
        with maintenance(server) as connection:
            most, own = connection.exec_driver_sql("SELECT @@max_connections, @@max_user_connections").one()
        return min(int(most), int(own) or int(most))

    def server_key(self, server: Server) -> str:
        url = server.login.url
        return str(url.query.get("unix_socket") or f"{url.host or 'localhost'}:{url.port or PORT}")

    def _connect(
        self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, offload: Offload
    ) -> Any:
        login = address.login if options.trusted else direct_login(address.server)
        said = start_up(address.purpose, options.at(login.url))

        def attempt(url: URL) -> Any:
            args, params = dialect.create_connect_args(url.set(database=address.database))
            return connect(dialect, args, params | said | password_of(url), offload)

        try:
            if not options.trusted:
                care = care_of(lambda: with_either(login, attempt, offload))
                return kept.obtain(SessionKey(login, address.database, address.purpose), care)
            return with_either(login, attempt, offload)
        except dialect.loaded_dbapi.Error as error:
            number = number_of(error)
            # 1044 is said of any database that a user has no right in; only another user sees if it is there.
            # A sync of Penstock's goes on, to make it.
            hidden = number in NO_RIGHT and options.trusted and address.own_login is None
            if number not in NO_ENTRY or hidden or offload(partial(self._is_there, address)) is not False:
                raise
            raise missing(address) from error

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        return bool(raw.open) and is_quiet(descriptor_of(raw))

    def closing(self, raw: Any) -> AbstractContextManager[None]:
        return until_ended(raw) if raw.open else nullcontext()

    def translate(self, error: Exception, what: str) -> PenstockError:
        return translated(error, what)

    def _was_ended(self, error: Exception) -> bool:
        return was_ended(error)

    def async_driver(self, address: DatabaseAddress) -> AsyncDriver:
        return asyncmy_driver(address.server.login.url.get_backend_name(), self._connect)


def _to_be_granted(connection: Connection, address: DatabaseAddress, what: str) -> PermissionRefused:
    """The user may create no database, but it can be let do so, or use one that was made for it."""
    user = connection.exec_driver_sql("SELECT CURRENT_USER()").scalar_one()
    name, _, host = str(user).rpartition("@")
    database = pattern_of(address.database).replace("`", "``")
    return PermissionRefused(
        what,
        why=f"The user {user} of service {address.server.service} may not create it (CREATE).",
        hint="Have an administrator of the server do, then sync again:"
        f" GRANT ALL ON `{database}`.* TO '{name}'@'{host}'",
    )
