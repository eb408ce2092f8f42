"""PostgreSQL for event loops: psycopg, or asyncpg where an address says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from ssl import SSLError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import uuid4

from penstock.backends.lines import end_in_loop, is_quiet, is_quiet_in_loop
from penstock.backends.postgresql.connecting import NEEDS_TLS, Refusal, finding
from penstock.backends.postgresql.faults import MAY_BE_LOGIN
from penstock.backends.postgresql.pins import PORT
from penstock.backends.postgresql.sessions import ASYNCPG, settings_of, until_ended
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL

    from penstock.backends.address import DatabaseAddress
    from penstock.backends.contract import ConnectionOptions, Offload

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
        self.connect = connect

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        return not raw.closed and is_quiet(raw.fileno())

    def leave(self, connection: Any) -> None:
        """Nothing: the server ends the transaction with the session."""

    def end(self, raw: Any) -> None:
        with until_ended(raw):
            raw.pgconn.finish()


@dataclass(frozen=True, slots=True)
class _Refused:
    """A refused connection: as SQLAlchemy has it, and what is known of it."""

    error: Exception
    refusal: Refusal


class AsyncpgDriver:
    """asyncpg.

    Args:
        ignored: Options of an address that libpq understands and asyncpg would send to the server.
        may_have_come: Whether a store that refused us may let us in the next time; raises StoreNotCreated.
    """

    name = ASYNCPG

    def __init__(
        self, ignored: tuple[str, ...], may_have_come: Callable[[Exception, DatabaseAddress, Offload], bool]
    ) -> None:
        self.dialect_options: dict[str, Any] = {}
        self._ignored = ignored
        self._may_have_come = may_have_come

    def connect(
        self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, offload: Offload
    ) -> Any:
        made = self._attempt(dialect, address, options, offload(address.login.with_password))
        if isinstance(made, _Refused) and made.refusal.state.startswith(MAY_BE_LOGIN):
            spare = offload(address.login.with_spare)
            made = made if spare is None else self._attempt(dialect, address, options, spare)
        if not isinstance(made, _Refused):
            return made
        made.error.__cause__ = offload(partial(finding, made.refusal))
        self._may_have_come(made.error, address, offload)
        raise made.error

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        return not raw.is_closed() and is_quiet_in_loop(raw)

    def leave(self, connection: Any) -> None:
        """Nothing: the server ends the transaction with the session."""

    def end(self, raw: Any) -> None:
        end_in_loop(raw, raw.terminate)

    def _attempt(self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, url: URL) -> Any:
        """A connection, or how it was refused; the driver's own error holds the password."""
        dbapi = dialect.loaded_dbapi
        params = self._params(dialect, url.set(database=address.database)) | _start_up(address, options)
        refused = (
            dbapi.Error,
            dbapi.asyncpg.PostgresError,
            dbapi.asyncpg.InterfaceError,
            OSError,
            ValueError,
        )
        try:
            return dialect.connect(**params)
        except refused as error:  # A TimeoutError is an OSError.
            made = dbapi.OperationalError(str(error) or "The server did not answer in time.")
            made.sqlstate = made.pgcode = getattr(error, "sqlstate", None)
            return _Refused(made, _refusal(error, str(made), params, url))

    def _params(self, dialect: Any, url: URL) -> dict[str, Any]:
        """What asyncpg is told; of libpq's options it takes only those in an address, as `sslmode`."""
        options = {key: value for key, value in url.query.items() if key not in self._ignored}
        where = {key: options.pop(key) for key in _WHERE if key in options}
        _, params = dialect.create_connect_args(url.set(query=where))
        if params.get("host"):
            params.setdefault("port", PORT)  # Not what PGPORT says.
        return {**params, "dsn": f"postgresql://?{urlencode(options, doseq=True)}"} if options else params


def _refusal(error: Exception, words: str, params: dict[str, Any], url: URL) -> Refusal:
    """What asyncpg says of a connection that was refused; the server's fields are among it.

    SQLAlchemy 2.1 gives its own error for the server's, whose cause is asyncpg's.
    """
    both = (error, error.__cause__)
    refused = next((each for each in both if hasattr(each, "server_source_function")), error)
    hosts = params.get("host") or ""
    return Refusal(
        words=words,
        host=hosts if isinstance(hosts, str) and not hosts.startswith("/") else "",
        port=params.get("port") or PORT,
        user=str(params.get("user") or ""),
        database=str(params.get("database") or ""),
        state=getattr(refused, "sqlstate", None) or "",
        routine=getattr(refused, "server_source_function", None) or "",
        needs_tls=url.query.get("sslmode") in NEEDS_TLS or any(isinstance(each, SSLError) for each in both),
        late=any(isinstance(each, TimeoutError) for each in both),
    )


def asyncpg_driver(
    ignored: tuple[str, ...], may_have_come: Callable[[Exception, DatabaseAddress, Offload], bool]
) -> AsyncpgDriver:
    """The driver of `postgresql+asyncpg:` addresses; raises MissingExtra without asyncpg."""
    if find_spec("asyncpg") is None:
        raise MissingExtra(
            "This service's address asks for the package asyncpg, which is not installed.",
            hint='pip install "penstock[asyncpg]"',
        )
    return AsyncpgDriver(ignored, may_have_come)


def _start_up(address: DatabaseAddress, options: ConnectionOptions) -> dict[str, Any]:
    """What a connection says of itself when it starts (see `sessions.start_up`).

    Behind a pooler of transactions no statement may be prepared under a name that another
    session has (https://docs.sqlalchemy.org/en/21/dialects/postgresql.html,
    "Prepared Statement Name with PGBouncer").
    """
    settings = {"application_name": address.purpose[:63]}
    said: dict[str, Any] = {
        "timeout": options.at(address.login.url).driver_timeout,
        "server_settings": settings,
    }
    if address.server.pooled:
        return said | {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
        }
    settings.update(settings_of(options))
    return said
