"""Connections of Penstock's own: to the maintenance database, and into a store."""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from penstock.backends import kept, servers
from penstock.backends.address import direct_login
from penstock.backends.contract import ConnectionOptions, run_inline
from penstock.backends.kept import SessionCare, SessionKey
from penstock.backends.lines import is_quiet, line_kept
from penstock.backends.postgresql.connecting import finding, refusal_of
from penstock.backends.postgresql.faults import (
    ELSEWHERE,
    forget_password,
    may_be_login,
    no_answer,
    sqlstate_of,
    translated,
)
from penstock.backends.postgresql.pins import PATIENT, PINNED, as_options, led_by_address, set_what_differs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import psycopg

    from penstock.backends.address import DatabaseAddress, Login, Server
    from penstock.backends.contract import Offload
    from penstock.errors import PenstockError

DRIVER = "postgresql+psycopg"
"""What Penstock itself speaks with, and threads do."""

ASYNCPG = "postgresql+asyncpg"
"""What an address begins with that prefers asyncpg in event loops."""

TRUSTED_PATH = "public"
"""Where an app's own statements look names up."""

PINNED_PATH = "pg_catalog,pg_temp"
"""Where Penstock's own statements look names up: nowhere that an app can write to."""

UTF8 = "utf-8"
"""What Python calls the encoding of most sessions."""

_STAY = """
    SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
    WHERE name = 'idle_session_timeout'"""


def start_up(
    purpose: str, options: ConnectionOptions, *, pooled: bool = False, role: str = ""
) -> dict[str, Any]:
    """What a connection says of itself when it starts, before anything can be looked up in it.

    A pooler of transactions refuses start-up options, and gives the next transaction another session,
    which does not know what was prepared in this one (https://www.pgbouncer.org/features.html,
    "SQL feature map for pooling modes").
    """
    said: dict[str, Any] = {
        "application_name": purpose[:63],
        "connect_timeout": max(1, round(options.driver_timeout)),
        "client_encoding": "UTF8",
    }
    if pooled:
        return said | {"prepare_threshold": None, "options": ""}
    settings = settings_of(options)
    if role:
        settings["role"] = role
    return said | {"options": as_options(settings)}


def settings_of(options: ConnectionOptions) -> dict[str, str]:
    """The settings of a session."""
    settings = dict(PINNED) if options.trusted else PINNED | PATIENT
    settings["search_path"] = TRUSTED_PATH if options.trusted else PINNED_PATH
    if options.statement_timeout is not None:
        settings["statement_timeout"] = str(max(1, round(options.statement_timeout * 1000)))
    if options.read_only:
        settings["default_transaction_read_only"] = "on"
    return settings


def codec_of(raw: psycopg.BaseConnection[Any]) -> str:
    """In what a session of psycopg's sends texts; where the server takes all bytes, as psycopg does."""
    codec = raw.info.encoding
    return UTF8 if codec == "ascii" else codec


def until_ended(raw: Any) -> AbstractContextManager[None]:
    """Close a connection of psycopg's in the block, and wait until its session has ended."""
    return nullcontext() if raw.closed else line_kept(raw.fileno())


_TRIES = 5
"""Tries to connect where libpq, asked why it was refused, was let in: a database was made anew, say."""


def connect(dialect: Any, args: Any, params: Any, offload: Offload = run_inline) -> Any:
    """A driver connection; a refused one's error has the server's SQLSTATE, and no password.

    Its cause is one of ours, where more is known than the SQLSTATE.
    """
    end = time.monotonic() + params["connect_timeout"]
    raw = _opened(dialect, args, led_by_address(params), offload, end)
    try:
        set_what_differs(raw)
    except BaseException:
        dialect.do_terminate(raw)
        raise
    return raw


def _opened(dialect: Any, args: Any, params: Any, offload: Offload, end: float) -> Any:
    for tries in reversed(range(_TRIES)):
        try:
            return dialect.connect(*args, **params)
        except dialect.loaded_dbapi.Error as error:
            forget_password(error)
            refusal = offload(partial(refusal_of, error, params, max(1.0, end - time.monotonic())))
            if refusal.passing and tries and time.monotonic() < end:
                continue
            error.sqlstate = refusal.state or None
            raise error from offload(partial(finding, refusal))
    return None


with_either = partial(servers.with_either, may_be_login)
"""Connect with a login's password, or with the one that is about to take its place."""


def care_of(connect_anew: Callable[[], Any]) -> SessionCare:
    """How a connection of Penstock's own is kept."""

    def renew(raw: Any) -> None:
        raw.autocommit = False

    def close(raw: Any) -> None:
        with until_ended(raw):
            raw.close()

    return SessionCare(connect=connect_anew, renew=renew, is_idle=_is_idle, close=close)


def _is_idle(raw: Any) -> bool:
    return not raw.closed and raw.info.transaction_status == TransactionStatus.IDLE and is_quiet(raw.fileno())


def own_engine(
    login: Login,
    database: str,
    server: Server,
    purpose: str = "penstock",
    *,
    keep: bool = False,
    anywhere: bool = False,
) -> Engine:
    """An unpooled engine in autocommit whose names resolve in pg_catalog only.

    Args:
        login: Who does the work.
        database: Where.
        server: The server.
        purpose: What a connection says of itself.
        keep: Whether it may be one that is kept (see `keeping`), which it leaves as it was.
        anywhere: Whether such a one may be in any database.
    """
    options = ConnectionOptions(trusted=False, connect_timeout=server.connect_timeout).at(login.url)
    engine = create_engine(
        login.url.set(drivername=DRIVER, database=database),
        poolclass=kept.UnpooledUntilEnded,
        closing=until_ended,
        isolation_level="AUTOCOMMIT",
        connect_args=start_up(purpose, options),
    )

    def log_in(dialect: Any, record: object, args: Any, params: dict[str, Any]) -> Any:
        def attempt(url: URL) -> Any:
            found = {"user": url.username, "password": url.password}  # A lease has a user of its own.
            return connect(dialect, args, params | {name: str(each) for name, each in found.items() if each})

        key = SessionKey(login, database, purpose) if keep else None
        return kept.obtain(key, care_of(partial(with_either, login, attempt)), anywhere=anywhere)

    event.listen(engine, "do_connect", log_in)
    return engine


@contextmanager
def own_session(login: Login, address: DatabaseAddress, *, keep: bool = False) -> Iterator[Connection]:
    """A connection into a store, for Penstock's own statements (see `own_engine`)."""
    engine = own_engine(login, address.database, address.server, address.purpose, keep=keep)
    with engine.connect() as connection:
        yield connection


def stay(connection: Connection) -> None:
    """Turn off the idle timeouts of a session that holds a lock; older servers ignore that."""
    connection.exec_driver_sql(_STAY)


def maintenance_databases(url: URL) -> list[str]:
    """The databases to connect to for server-wide work, in order of preference."""
    if url.database:
        return [url.database]
    return ["postgres", *([url.username] if url.username and url.username != "postgres" else [])]


@contextmanager
def maintenance(
    server: Server, login: Login | None = None, *, keep: bool = False, anywhere: bool = False
) -> Iterator[Connection]:
    """A connection for server-wide work: the named maintenance database, `postgres`, or the user's.

    Args:
        server: The server.
        login: Who does the work; by default the service's role.
        keep: Whether it may be one that is kept (see `own_engine`).
        anywhere: Whether such a one may be in any database.
    """
    connection = _first_answering(server, login or direct_login(server), keep=keep, anywhere=anywhere)
    with connection:
        yield connection


def _first_answering(server: Server, login: Login, *, keep: bool, anywhere: bool) -> Connection:
    refusals: list[PenstockError] = []
    for database in maintenance_databases(login.url):
        try:
            return own_engine(login, database, server, keep=keep, anywhere=anywhere).connect()
        except DBAPIError as error:
            refusals.append(translated(error, f"Service {server.service} can't be used."))
            refusals[-1].__cause__ = error
            if no_answer(error) or sqlstate_of(error) not in ELSEWHERE:
                break
    raise refusals[0]
