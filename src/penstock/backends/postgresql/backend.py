"""The PostgreSQL backend: databases, locks and sessions over psycopg 3."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

from penstock.backends import kept
from penstock.backends.address import DatabaseAddress, Server, direct_login, missing
from penstock.backends.contract import Capabilities, ConnectionOptions
from penstock.backends.faults import found_in
from penstock.backends.kept import SessionKey
from penstock.backends.lines import is_quiet
from penstock.backends.postgresql import copies, ending, postgis, quarantine
from penstock.backends.postgresql.asynchronous import PsycopgDriver, asyncpg_driver
from penstock.backends.postgresql.clients import PostgreSQLClients
from penstock.backends.postgresql.faults import (
    DUPLICATE,
    GONE,
    INSUFFICIENT_PRIVILEGE,
    NOT_THERE,
    is_about_database,
    no_answer,
    sqlstate_of,
    translated,
    was_cut,
)
from penstock.backends.postgresql.frames import PostgreSQLFrames
from penstock.backends.postgresql.roles import PostgreSQLRoles
from penstock.backends.postgresql.rows import PostgreSQLRows
from penstock.backends.postgresql.sessions import (
    ASYNCPG,
    DRIVER,
    care_of,
    connect,
    maintenance,
    maintenance_databases,
    own_session,
    start_up,
    stay,
    until_ended,
    with_either,
)
from penstock.backends.servers import ServerBackend
from penstock.errors import (
    ConfigError,
    DatabaseMissing,
    InvalidName,
    PenstockError,
    PermissionRefused,
    ServerError,
    ServerUnreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from penstock.backends.contract import AsyncDriver, Offload

_NAME_BYTES = 63
_PORT = 5432
_LOCK_KEY = 0x70656E73746F636B
_TRANSACTION_KEY = _LOCK_KEY + 1
# Of the options that libpq and psycopg take, those that neither lead elsewhere nor weaken the way there.
_NO_SAY = (
    "application_name",
    "client_encoding",
    "connect_timeout",
    "fallback_application_name",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "target_session_attrs",
    "tcp_user_timeout",
)
_USER_RELATIONS = """
    SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT (n.nspname = 'public' AND c.relname = :besides)
      AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    LIMIT 1"""
_ROOM = """
    SELECT pg_catalog.sum(CASE name WHEN 'max_connections' THEN setting::int ELSE - setting::int END)
    FROM pg_catalog.pg_settings
    WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')"""
# A table at which nothing of anybody's runs when it is read or written: no trigger, rule, policy or function.
_PLAIN_TABLE = """
    SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relname = :table AND c.relkind = 'r'
      AND NOT (c.relhastriggers OR c.relhasrules OR c.relrowsecurity OR c.relhassubclass)
      AND NOT EXISTS (
        SELECT 1 FROM pg_catalog.pg_depend d
        WHERE d.refclassid::pg_catalog.regclass::text IN ('pg_proc', 'pg_operator')
          AND d.objid IN (
            SELECT c.oid UNION ALL
            SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid UNION ALL
            SELECT a.oid FROM pg_catalog.pg_attrdef a WHERE a.adrelid = c.oid UNION ALL
            SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid))"""


class PostgreSQLBackend(ServerBackend):
    """How PostgreSQL does it."""

    name = "postgresql"
    capabilities = Capabilities(
        transactional_ddl=True,
        plain_connections=True,
        errors_abort=True,
        quarantine=True,
        clones=True,
        transaction_locks=True,
        asyncio=True,
    )
    roles = PostgreSQLRoles()
    rows = PostgreSQLRows()
    frames = PostgreSQLFrames()
    clients = PostgreSQLClients()
    kind = "PostgreSQL"
    harmless_options = _NO_SAY
    default_schema = "public"

    def dialect_options(self, address: DatabaseAddress) -> dict[str, Any]:
        # One dialect serves many databases, and an extension's type has another number in each.
        return {"use_native_hstore": False}

    def normalise(self, url: URL) -> URL:
        has_user = bool(url.username) or "user" in url.query
        self.check_address(url, has_user=has_user, example="postgresql")
        if url.username and len(url.username.encode()) > _NAME_BYTES:
            raise ConfigError(f"The user of this PostgreSQL address is longer than {_NAME_BYTES} bytes.")
        return url if url.drivername == ASYNCPG else self.sync_url(url)

    def sync_url(self, url: URL) -> URL:
        return url.set(drivername=DRIVER)

    def check_name(self, database: str) -> None:
        encoded = database.encode(errors="replace")
        if not database or "\0" in database or len(encoded) > _NAME_BYTES:
            raise InvalidName(
                f"{database!r} can't be the name of a PostgreSQL database.",
                why=f"A name has 1 to {_NAME_BYTES} bytes, none of them zero.",
            )

    def connection_address(self, server: Server, label: str) -> DatabaseAddress:
        database = maintenance_databases(server.login.url)[0]
        return DatabaseAddress(server=server, database=database, label=label)

    def exists(self, address: DatabaseAddress) -> bool:
        try:
            with maintenance(address.server, keep=True, anywhere=True) as connection:
                return _exists(connection, address.database)
        except ServerError as error:
            if not isinstance(error, ServerUnreachable) and self._answers(address):
                return True
            raise

    def create(self, address: DatabaseAddress) -> bool:
        with maintenance(address.server, keep=True) as connection:
            name = _quoted(connection, address.database)
            try:
                connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
            except DBAPIError as error:
                if sqlstate_of(error) in DUPLICATE:
                    return False
                what = f"The database {address.database} can't be created."
                if sqlstate_of(error) == INSUFFICIENT_PRIVILEGE:
                    raise _to_be_made(connection, address, what) from error
                raise self.translate(error, what) from error
        return True

    def clone(self, source: DatabaseAddress, address: DatabaseAddress) -> bool:
        return copies.clone(source, address)

    def databases(self, server: Server, prefix: str) -> list[str]:
        return copies.databases(server, prefix)

    def named_lock(
        self, server: Server, name: str, *, shared: bool = False, timeout: float
    ) -> AbstractContextManager[None]:
        return copies.named_lock(server, name, shared=shared, timeout=timeout)

    def prepare(self, address: DatabaseAddress) -> None:
        with maintenance(address.server, keep=True, anywhere=True) as connection:
            name = _quoted(connection, address.database)
            if _owns(connection, address.database):
                connection.exec_driver_sql(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")

    def drop(self, address: DatabaseAddress, last: str = "") -> bool:
        with maintenance(address.server) as connection:
            if not _exists(connection, address.database):
                return False
            try:
                ending.drop(connection, address.database)
            except DBAPIError as error:
                raise self.translate(error, f"The database {address.database} can't be dropped.") from error
        return True

    def quarantine_name(self, address: DatabaseAddress, when: datetime) -> str:
        return quarantine.quarantine_name(address.database, when)

    def quarantine(self, address: DatabaseAddress, name: str) -> None:
        quarantine.quarantine(address, name)

    def allow_connections(self, address: DatabaseAddress) -> None:
        quarantine.allow_connections(address)

    def restore(self, address: DatabaseAddress, name: str) -> None:
        quarantine.restore(address, name)

    def enable_spatial(self, address: DatabaseAddress) -> None:
        postgis.enable(address)

    def spatial_problem(self, address: DatabaseAddress, *, exists: bool) -> PenstockError | None:
        return postgis.problem(address, exists=exists)

    @contextmanager
    def lock(self, address: DatabaseAddress, timeout: float, on: Connection | None = None) -> Iterator[None]:
        with ExitStack() as held:
            try:
                connection = on or held.enter_context(own_session(direct_login(address.server), address))
                stay(connection)
                connection.exec_driver_sql(f"SET lock_timeout = {max(1, int(timeout * 1000))}")
                connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_lock({_LOCK_KEY})")
                connection.exec_driver_sql("RESET lock_timeout")
            except DBAPIError as error:
                raise self._lock_refused(error, address) from error
            yield

    def lock_transaction(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({_TRANSACTION_KEY})")

    def has_table(self, connection: Connection, table: str) -> bool:
        return connection.execute(text(_PLAIN_TABLE), {"table": table}).first() is not None

    def has_relations(self, connection: Connection, besides: str) -> bool:
        return connection.execute(text(_USER_RELATIONS), {"besides": besides}).first() is not None

    def size(self, connection: Connection) -> int:
        query = text("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")
        return int(connection.execute(query).scalar_one())

    def version(self, server: Server) -> str:
        with maintenance(server, keep=True, anywhere=True) as connection:
            return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"

    def connection_limit(self, server: Server) -> int | None:
        with maintenance(server) as connection:
            return int(connection.execute(text(_ROOM)).scalar_one())

    def server_key(self, server: Server) -> str:
        url = server.login.url
        hosts = url.host or url.query.get("host") or "localhost"
        ports = url.port or url.query.get("port") or _PORT
        return f"{_joined(hosts)}:{_joined(ports)}"

    def _connect(
        self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, offload: Offload
    ) -> Any:
        login = address.login if options.trusted else direct_login(address.server)
        pooled = address.server.pooled and options.trusted
        said = start_up(address.purpose, options.at(login.url), pooled=pooled, role=address.role)
        own = not (options.trusted or address.role)

        def attempt(url: URL) -> Any:
            args, params = dialect.create_connect_args(url.set(database=address.database))
            return connect(dialect, args, params | said, offload)

        try:
            if own:
                care = care_of(lambda: with_either(login, attempt, offload))
                return kept.obtain(SessionKey(login, address.database, address.purpose), care)
            return with_either(login, attempt, offload)
        except dialect.loaded_dbapi.Error as error:
            if not self._may_have_come(error, address, offload):
                raise
        # It was made just now, or says again why we can't enter.
        return with_either(login, attempt, offload)

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        return not raw.closed and is_quiet(raw.fileno())

    def closing(self, raw: Any) -> AbstractContextManager[None]:
        return until_ended(raw)

    def translate(self, error: Exception, what: str) -> PenstockError:
        return translated(error, what)

    def _was_ended(self, error: Exception) -> bool:
        found = found_in(error)
        if found is not None:  # A connection that was refused had no session to lose.
            return isinstance(found, DatabaseMissing)
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return True
        return sqlstate_of(error) in GONE or was_cut(error)

    def async_driver(self, address: DatabaseAddress) -> AsyncDriver:
        if address.server.login.url.drivername == ASYNCPG:
            ignored = tuple(option for option in _NO_SAY if option != "target_session_attrs")
            return asyncpg_driver(ignored, self._may_have_come)
        return PsycopgDriver(self.dialect_options(address), self._connect)

    def _may_have_come(self, error: Exception, address: DatabaseAddress, offload: Offload) -> bool:
        """Whether a store that refused us may let us in the next time.

        Raises:
            StoreNotCreated: There is no such database.
        """
        state, pooled = sqlstate_of(error), address.server.pooled  # A pooler has words of its own.
        if no_answer(error) or not (pooled or is_about_database(state)):
            return False
        gone = state == NOT_THERE and not pooled
        there = False if gone else offload(partial(self._is_there, address))
        if there is False:
            raise missing(address) from error
        return bool(there) and (pooled or state is None)

    def _answers(self, address: DatabaseAddress) -> bool:
        """Whether the store itself lets us in, where the server's own databases do not."""
        try:
            with own_session(direct_login(address.server), address):
                return True
        except DBAPIError:
            return False

    def _lock_refused(self, error: DBAPIError, address: DatabaseAddress) -> PenstockError:
        state = sqlstate_of(error)
        asked = state is None and not no_answer(error)
        if state == NOT_THERE or (asked and self._is_there(address) is not None):
            return missing(address)  # It may have been made again since.
        return self.translate(error, f"The store's database {address.database} can't be locked for a sync.")


def _joined(values: object) -> str:
    """One host or port, or several as an address's options have them."""
    return ",".join(map(str, values)) if isinstance(values, tuple) else str(values)


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


def _to_be_made(connection: Connection, address: DatabaseAddress, what: str) -> PermissionRefused:
    """The role may create no database, but it can use one that an administrator made for it."""
    user = connection.execute(text("SELECT current_user")).scalar_one()
    quote = connection.dialect.identifier_preparer.quote_identifier
    make = f"CREATE DATABASE {quote(address.database)} OWNER {quote(user)}".replace("%%", "%")
    return PermissionRefused(
        what,
        why=f"The role {user} of service {address.server.service} may not create databases (CREATEDB).",
        hint=f"Have an administrator of the server do, then sync again: {make}",
    )


def _exists(connection: Connection, database: str) -> bool:
    query = text("SELECT 1 FROM pg_catalog.pg_database WHERE datname = :name")
    return connection.execute(query, {"name": database}).first() is not None


def _owns(connection: Connection, database: str) -> bool:
    query = text(
        "SELECT pg_catalog.pg_has_role(datdba, 'USAGE') FROM pg_catalog.pg_database WHERE datname = :name"
    )
    return bool(connection.execute(query, {"name": database}).scalar())
