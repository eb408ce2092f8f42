"""PostgreSQL for event loops: psycopg, or asyncpg where an address says so."""

from __future__ import annotations

import time
from asyncio import get_running_loop
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import uuid4

from penstock.backends.postgresql.sessions import (
    ASYNCPG,
    TRUSTED_PATH,
    is_quiet,
    line_kept,
    missing,
    until_ended,
)
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from sqlalchemy import URL

    from penstock.backends.contract import Aside, ConnectionOptions
    from penstock.backends.place import Place

_NOT_THERE = "3D000"
_NO_LOGIN = "28"
_FAREWELL = 1.0
_STANDSTILL = 0.05
_WHERE = ("host", "port")


class PsycopgDriver:
    """psycopg's asynchronous side.

    Args:
        dialect_options: What its dialect is told.
        connect: Connects as the backend does for threads.
    """

    name = "postgresql+psycopg_async"

    def __init__(self, dialect_options: dict[str, Any], connect: Callable[..., Any]) -> None:
        self.dialect_options = dialect_options
        self._connect = connect

    def connect(self, dialect: Any, place: Place, options: ConnectionOptions, aside: Aside) -> Any:
        return self._connect(dialect, place, options, aside)

    def is_alive(self, raw: Any, place: Place, mark: object) -> bool:
        return not raw.closed and is_quiet(raw.fileno())

    def leave(self, connection: Any) -> None:
        """Nothing: the server ends the transaction with the session."""

    def end(self, raw: Any) -> None:
        with until_ended(raw):
            raw.pgconn.finish()


class AsyncpgDriver:
    """asyncpg.

    Args:
        ignored: Options of an address that libpq understands and asyncpg would send to the server.
    """

    name = ASYNCPG

    def __init__(self, ignored: tuple[str, ...]) -> None:
        self.dialect_options: dict[str, Any] = {}
        self._ignored = ignored

    def connect(self, dialect: Any, place: Place, options: ConnectionOptions, aside: Aside) -> Any:
        made = self._attempt(dialect, place, options, aside(place.login.with_password))
        if str(getattr(made, "sqlstate", "")).startswith(_NO_LOGIN):
            spare = aside(place.login.with_spare)
            made = made if spare is None else self._attempt(dialect, place, options, spare)
        if not isinstance(made, Exception):
            return made
        if getattr(made, "sqlstate", None) == _NOT_THERE:
            raise missing(place) from made
        raise made

    def is_alive(self, raw: Any, place: Place, mark: object) -> bool:
        line = raw._transport.get_extra_info("socket")
        return not raw.is_closed() and line is not None and is_quiet(line.fileno())

    def leave(self, connection: Any) -> None:
        """Nothing: the server ends the transaction with the session."""

    def end(self, raw: Any) -> None:
        loop: AbstractEventLoop = raw._loop
        transport: Any = raw._transport
        ended = Event()

        def terminate() -> None:
            raw.terminate()
            loop.call_soon(ended.set)  # The transport is closed in the loop's next turn, just before this.

        line = transport.get_extra_info("socket")
        descriptor = -1 if line is None else line.fileno()
        with line_kept(descriptor) if descriptor >= 0 else nullcontext(), suppress(RuntimeError):
            if _runs_here(loop):
                terminate()
                return
            loop.call_soon_threadsafe(terminate)
        _await(ended, loop)
        if loop.is_closed():
            with suppress(RuntimeError):  # It can't be told any more.
                raw.terminate()
            _close(transport)

    def _attempt(self, dialect: Any, place: Place, options: ConnectionOptions, url: URL) -> Any:
        """A connection, or its refusal as SQLAlchemy's error; the driver's own holds the password."""
        dbapi = dialect.loaded_dbapi
        params = self._params(dialect, url.set(database=place.database)) | _start_up(place, options)
        refused = (
            dbapi.Error,
            dbapi.asyncpg.PostgresError,
            dbapi.asyncpg.InterfaceError,
            OSError,
            ValueError,
        )
        try:
            return dbapi.connect(**params)
        except refused as error:  # A TimeoutError is an OSError.
            refusal = dbapi.OperationalError(str(error) or "The server did not answer in time.")
            refusal.sqlstate = refusal.pgcode = getattr(error, "sqlstate", None)
            return refusal

    def _params(self, dialect: Any, url: URL) -> dict[str, Any]:
        """What asyncpg is told; of libpq's options it takes only those in an address, as `sslmode`."""
        options = {key: value for key, value in url.query.items() if key not in self._ignored}
        where = {key: options.pop(key) for key in _WHERE if key in options}
        _, params = dialect.create_connect_args(url.set(query=where))
        return {**params, "dsn": f"postgresql://?{urlencode(options, doseq=True)}"} if options else params


def asyncpg_driver(ignored: tuple[str, ...]) -> AsyncpgDriver:
    """The driver of `postgresql+asyncpg:` addresses; raises MissingExtra without asyncpg."""
    if find_spec("asyncpg") is None:
        raise MissingExtra(
            "This service's address asks for the package asyncpg, which is not installed.",
            hint='pip install "penstock[asyncpg]"',
        )
    return AsyncpgDriver(ignored)


def _start_up(place: Place, options: ConnectionOptions) -> dict[str, Any]:
    """What a connection says of itself when it starts (see `sessions.start_up`).

    Behind a pooler of transactions no statement may be prepared under a name that another
    session has (https://docs.sqlalchemy.org/en/21/dialects/postgresql.html,
    "Prepared Statement Name with PGBouncer").
    """
    settings = {"application_name": place.purpose[:63]}
    said: dict[str, Any] = {"timeout": options.connect_timeout, "server_settings": settings}
    if place.server.pooled:
        return said | {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
        }
    settings["search_path"] = TRUSTED_PATH
    if options.statement_timeout is not None:
        settings["statement_timeout"] = str(max(1, round(options.statement_timeout * 1000)))
    return said


def _runs_here(loop: AbstractEventLoop) -> bool:
    try:
        return get_running_loop() is loop
    except RuntimeError:
        return False


def _await(ended: Event, loop: AbstractEventLoop) -> None:
    """Wait until the loop has done what it was told, but not for one that stands still or is closed."""
    end = time.monotonic() + (_FAREWELL if loop.is_running() else _STANDSTILL)
    while not loop.is_closed() and time.monotonic() < end:
        if ended.wait(0.005):
            return


def _close(transport: Any) -> None:
    """Do what the loop would have done, had it not been closed: asyncio has no other word for it."""
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
    with suppress(AttributeError, RuntimeError):  # uvloop has closed its own.
        inner._call_connection_lost(None)
