"""Connections of Penstock's own, and what every connection says when it starts."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy.dialects.mysql.pymysql  # noqa: F401  (whole, before threads ask for it at once)
from pymysql.constants import SERVER_STATUS
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from penstock.backends import kept, servers
from penstock.backends.address import direct_login
from penstock.backends.contract import ConnectionOptions
from penstock.backends.kept import SessionCare, SessionKey
from penstock.backends.lines import is_quiet, line_kept
from penstock.backends.mysql.connecting import connect
from penstock.backends.mysql.faults import may_be_login, translated
from penstock.backends.mysql.pymysql_compat import descriptor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from penstock.backends.address import Login, Server

PYMYSQL = "pymysql"
"""What Penstock itself speaks with, and threads do."""

ASYNCMY = "asyncmy"
"""What event loops speak with."""

MARIADB = "mariadb"

_YEAR = 365 * 24 * 60 * 60


def with_driver(url: URL, driver: str) -> URL:
    """The same address with another driver."""
    return url.set(drivername=f"{url.get_backend_name()}+{driver}")


_MODES = (
    "'STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,"
    "NO_AUTO_VALUE_ON_ZERO' /*M! ',SIMULTANEOUS_ASSIGNMENT' */"
    " /*!80000 ',ONLY_FULL_GROUP_BY,NO_ZERO_IN_DATE,NO_ZERO_DATE' */"
)
"""The modes that are a server's default, and more; adjacent string literals are joined."""

_SETTINGS = (
    "time_zone = '+00:00'",
    f"sql_mode = {_MODES}",
    "default_storage_engine = 'InnoDB'",  # The other ones have no transactions.
    "foreign_key_checks = 1",
    "unique_checks = 1",
    "completion_type = 0",  # A COMMIT begins no transaction, and ends no session.
    "sql_auto_is_null = 0",
    "sql_select_limit = 18446744073709551615",
    "sql_safe_updates = 0",  # What updates many rows names them in a table, and not by a key.
    "sql_big_selects = 1",
    "group_concat_max_len = 1048576",
)


def start_up(purpose: str, options: ConnectionOptions) -> dict[str, Any]:
    """What a connection says of itself when it starts.

    A session is as other servers' are, whatever this one's defaults: its clock shows UTC, it refuses
    values that a column can't hold, a key of 0 is a key as any other, an UPDATE reads all it needs before
    it sets anything, and each statement sees what was committed before it. What only one of the two kinds
    of server knows is in a comment that only this one executes
    (https://mariadb.com/docs/server/reference/sql-structure/comments).
    """
    settings: list[str] = list(_SETTINGS)
    if not options.trusted:
        settings.append(f"wait_timeout = {_YEAR}")  # One that holds a lock says nothing for long.
    own = [
        _either("tx_isolation = 'READ-COMMITTED'", "transaction_isolation = 'READ-COMMITTED'"),
        " /*M! , check_constraint_checks = 1 */",
    ]
    if options.read_only:
        own.append(_either("tx_read_only = 1", "transaction_read_only = 1"))
    timeout = options.statement_timeout if options.trusted else options.statement_timeout or 0
    if timeout is not None:
        milliseconds = max(round(timeout * 1000), 1) if timeout else 0
        own.append(
            _either(f"max_statement_time = {milliseconds / 1000:.3f}", f"max_execution_time = {milliseconds}")
        )
    return {
        "program_name": purpose[:60],
        "connect_timeout": max(1, round(options.driver_timeout)),
        "charset": "utf8mb4",
        "use_unicode": True,
        "init_command": f"SET SESSION {', '.join(settings)}{' '.join(own)}",
    }


def _either(mariadb: str, mysql: str) -> str:
    return f" /*M! , {mariadb} */ /*!80000 , {mysql} */"


def password_of(url: URL) -> dict[str, str | bytes]:
    """User and password of an address as servers know them; drivers would write the password in Latin-1."""
    known: dict[str, str | bytes] = {"user": url.username} if url.username else {}
    return known if url.password is None else {**known, "password": str(url.password).encode()}


def until_ended(raw: Any) -> AbstractContextManager[None]:
    """Close a connection of PyMySQL's in the block, and wait until its session has ended."""
    return line_kept(descriptor_of(raw)) if raw.open else nullcontext()


with_either = partial(servers.with_either, may_be_login)
"""Connect with a login's password, or with the one that is about to take its place."""


def care_of(connect_anew: Callable[[], Any]) -> SessionCare:
    """How a connection of Penstock's own is kept."""

    def renew(raw: Any) -> None:
        if raw.get_autocommit():
            raw.autocommit(False)

    def close(raw: Any) -> None:
        with until_ended(raw), suppress(Exception):  # It may have been ended meanwhile.
            raw.close()

    return SessionCare(connect=connect_anew, renew=renew, is_idle=_is_idle, close=close)


def _is_idle(raw: Any) -> bool:
    in_transaction = SERVER_STATUS.SERVER_STATUS_IN_TRANS
    return bool(raw.open) and not raw.server_status & in_transaction and is_quiet(descriptor_of(raw))


def own_engine(login: Login, server: Server, *, keep: bool = False, anywhere: bool = False) -> Engine:
    """An unpooled engine in autocommit, in no database.

    Args:
        login: Who does the work.
        server: The server.
        keep: Whether its connection may be one that is kept (see `keeping`), which it leaves as it was.
        anywhere: Whether such a one may be in a database.
    """
    options = ConnectionOptions(trusted=False, connect_timeout=server.connect_timeout).at(login.url)
    engine = create_engine(
        with_driver(login.url, PYMYSQL).set(database=""),
        poolclass=kept.UnpooledUntilEnded,
        closing=until_ended,
        isolation_level="AUTOCOMMIT",
        connect_args=start_up("penstock", options),
    )

    def log_in(dialect: Any, record: object, args: Any, params: dict[str, Any]) -> Any:
        def attempt(url: URL) -> Any:
            return connect(dialect, args, params | password_of(url))

        key = SessionKey(login, "", "penstock") if keep else None
        return kept.obtain(key, care_of(partial(with_either, login, attempt)), anywhere=anywhere)

    event.listen(engine, "do_connect", log_in)
    return engine


@contextmanager
def maintenance(
    server: Server, login: Login | None = None, *, keep: bool = False, anywhere: bool = False
) -> Iterator[Connection]:
    """A connection for server-wide work, in no database.

    Args:
        server: The server.
        login: Who does the work; by default the service's user.
        keep: Whether it may be one that is kept (see `own_engine`).
        anywhere: Whether such a one may be in a database.
    """
    try:
        engine = own_engine(login or direct_login(server), server, keep=keep, anywhere=anywhere)
        connection = engine.connect()
    except DBAPIError as error:
        raise translated(error, f"Service {server.service} can't be used.") from error
    try:
        yield connection
    finally:
        with suppress(DBAPIError):  # It may have been ended meanwhile.
            connection.close()


def quoted(connection: Connection, *names: str) -> str:
    """Names as a statement has them, with dots between them."""
    return ".".join(connection.dialect.identifier_preparer.quote_identifier(name) for name in names)


def has_database(connection: Connection, database: str) -> bool:
    """Whether the server has a database that the user may see."""
    query = text("SELECT 1 FROM information_schema.schemata WHERE schema_name = :name")
    return connection.execute(query, {"name": database}).first() is not None


def version_of(connection: Connection) -> tuple[str, str]:
    """Whether it is `MariaDB` or `MySQL`, and its version."""
    said = str(connection.exec_driver_sql("SELECT VERSION()").scalar_one())
    return "MariaDB" if "MariaDB" in said else "MySQL", said.partition("-")[0]


def is_mariadb(connection: Connection) -> bool:
    """Whether the server is MariaDB, whatever its address calls it."""
    return version_of(connection)[0] == "MariaDB"
