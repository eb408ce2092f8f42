"""What a backend must be able to do: everything above asks, never names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from penstock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sqlalchemy import URL, Connection, Engine

    from penstock.backends.address import DatabaseAddress, Server
    from penstock.backends.clients import ClientBackend
    from penstock.backends.frames import FrameBackend
    from penstock.backends.roles import RoleBackend
    from penstock.backends.rows import RowBackend
    from penstock.errors import PenstockError

PINNED = "penstock_pinned"
"""The execution option of a connection that works inside a transaction of others; it begins none."""

TRACED = "penstock_traced"
"""The execution option of a connection of which it is remembered where in the code it began to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend's servers can do, beyond what all of them can.

    Attributes:
        transactional_ddl: A failed transaction also undoes the tables it made.
        plain_connections: A connection setting can hand out an engine of its own.
        lock_survives_drop: The lock of a store can be held while its database is dropped.
        database_is_schema: The dialect calls a database a schema, so that each store's has another name.
        errors_abort: After an error, a transaction does nothing more until it is rolled back.
        default_privileges: Who may use the tables of a store may use those that are made later.
        databases_are_files: A database is a file, to which one transaction writes at a time.
    """

    transactional_ddl: bool
    plain_connections: bool
    lock_survives_drop: bool = False
    database_is_schema: bool = False
    errors_abort: bool = False
    default_privileges: bool = True
    databases_are_files: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOptions:
    """How one connection is made.

    Args:
        trusted: Whether it serves the app; otherwise it is Penstock's own, which finds nothing by
            name that it did not qualify.
        connect_timeout: Seconds to wait for the server to answer; default 10.
        statement_timeout: Seconds after which the server ends a statement; None for its own figure.
        read_only: Whether its transactions are READ ONLY unless they say otherwise; default False.
    """

    trusted: bool = True
    connect_timeout: float = 10.0
    statement_timeout: float | None = None
    read_only: bool = False

    def at(self, url: URL) -> ConnectionOptions:
        """The same with the `connect_timeout` of an address, where that has one."""
        seconds = own_timeout(url)
        return self if seconds is None else replace(self, connect_timeout=seconds)

    @property
    def driver_timeout(self) -> float:
        """Seconds for the driver; the rest is for finding out what it is that does not answer."""
        return self.connect_timeout - min(1.0, self.connect_timeout / 5)


def own_timeout(url: URL) -> float | None:
    """The `connect_timeout` of an address in seconds; None if it has none, as 0 means.

    Raises:
        ConfigError: It is no number.
    """
    said = url.query.get("connect_timeout", "0")
    try:
        seconds = float(said if isinstance(said, str) else said[-1])
    except ValueError:
        raise ConfigError(
            "The connect_timeout of this address is no number.", hint="Write seconds: ?connect_timeout=5"
        ) from None
    return seconds if 0 < seconds < inf else None


_Result = TypeVar("_Result")


class Offload(Protocol):
    """Runs what would hold an event loop up in a thread, while the loop goes on."""

    def __call__(self, work: Callable[[], _Result]) -> _Result:
        """What the work returns, or raises."""


def run_inline(work: Callable[[], _Result]) -> _Result:
    """Run it here and now, where nobody minds: not in an event loop."""
    return work()


class AsyncDriver(Protocol):
    """How one asynchronous driver does it; SQLAlchemy's greenlets await what it connects.

    Attributes:
        name: What SQLAlchemy calls dialect and driver, as in an address.
        dialect_options: What `create_engine` is told besides the address.
    """

    name: str
    dialect_options: dict[str, Any]

    def connect(
        self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, offload: Offload
    ) -> Any:
        """A driver connection to the store, in SQLAlchemy's dress; called in a greenlet.

        Args:
            dialect: SQLAlchemy's dialect of this driver.
            address: The database.
            options: How to connect.
            offload: Runs what touches files or the network by itself.

        Raises:
            StoreNotCreated: The database does not exist.
        """

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        """The same question as `Backend.is_alive`, of this driver's own connection."""

    def leave(self, connection: Any) -> None:
        """Do what is due before SQLAlchemy closes a connection in its dress; called in a greenlet."""

    def end(self, raw: Any) -> None:
        """End an idle connection, whatever became of its event loop, and wait until its server knows.

        It may be called in any thread; that of a running loop is better spared the moment's wait.
        """


class Backend(Protocol):
    """How one dialect does it.

    Attributes:
        name: What SQLAlchemy calls the dialect.
        capabilities: What its servers can do.
        roles: Gives stores roles of their own; None where there is no such thing.
        rows: Writes many rows.
        frames: Reads many rows into tables; None where SQLAlchemy's own way is as good.
        clients: Tells other programs where a database is.
        default_schema: Where the record is; None if there are no schemas.
        max_connections: How many connections a process may have to a server, unless told otherwise.
    """

    name: str
    capabilities: Capabilities
    roles: RoleBackend | None
    rows: RowBackend
    frames: FrameBackend | None
    clients: ClientBackend
    default_schema: str | None
    max_connections: int

    def dialect_options(self, address: DatabaseAddress) -> dict[str, Any]:
        """What `create_engine` is told besides the address; it differs only by `place.spatial`."""

    def normalise(self, url: URL) -> URL:
        """The same address with a driver Penstock uses; raises ConfigError for a bad one."""

    def sync_url(self, url: URL) -> URL:
        """The same address with the driver for threads, if it asks for one for event loops."""

    def split(self, url: URL) -> tuple[URL, str]:
        """A store's full URL as a service's URL and a database name."""

    def password_audience(self, url: URL) -> URL:
        """The parts of an address that decide who receives its password, and how safely."""

    def store_url(self, address: DatabaseAddress) -> URL:
        """The URL of a store, without its password."""

    def display_name(self, address: DatabaseAddress) -> str:
        """What a message calls the database: by its name, or by its file."""

    def check_name(self, database: str) -> None:
        """Raise InvalidName for a database name this backend can't carry."""

    def make_home(self, address: DatabaseAddress) -> None:
        """Make what a database of Penstock's own needs around it: a directory, for a file."""

    def has_home(self, address: DatabaseAddress) -> bool:
        """Whether that is there; without it, there is no database either."""

    def connection_address(self, server: Server, label: str) -> DatabaseAddress:
        """The database that a plain connection to the server goes to; raises NotSupported."""

    def exists(self, address: DatabaseAddress) -> bool:
        """Ask the server whether the database is there."""

    def create(self, address: DatabaseAddress) -> bool:
        """Make the database; False if it was there already (made by someone else just now)."""

    def clone(self, source: DatabaseAddress, address: DatabaseAddress) -> bool:
        """Make the database as a copy of another one on the same server; False if it was there already.

        Raises:
            StoreBusy: Somebody uses the other one.
        """

    def databases(self, server: Server, prefix: str) -> list[str]:
        """The databases whose names begin so."""

    def named_lock(
        self, server: Server, name: str, *, shared: bool = False, timeout: float
    ) -> AbstractContextManager[None]:
        """Hold a lock that all who use a server share by its name, or have it with others who share it.

        It is let go of with the block, or with the process.

        Raises:
            StoreBusy: Others had it for longer than `timeout` seconds.
        """

    def forget_lock(self, server: Server, name: str) -> None:
        """Remove what is left of a lock that nobody will ever want again."""

    def prepare(self, address: DatabaseAddress) -> None:
        """Set a new database up before its record is written; safe to repeat."""

    def is_prepared(self, connection: Connection) -> bool:
        """Whether a database is set up as `prepare` does it; a drop that was killed may have undone that."""

    def drop(self, address: DatabaseAddress, last: str = "") -> bool:
        """Drop the database and end its connections; False if it was not there.

        Args:
            address: The database.
            last: The table that goes last, where they go one by one.
        """

    def quarantine_name(self, address: DatabaseAddress, when: datetime) -> str:
        """What the database may be called while it is kept after a drop at this time."""

    def quarantine(self, address: DatabaseAddress, name: str) -> None:
        """Rename the database, end its connections and refuse new ones.

        Raises:
            StoreBusy: Somebody uses it who can't be made to let go.
            StoreNotCreated: It is not there.
        """

    def allow_connections(self, address: DatabaseAddress) -> None:
        """Let those who may connect do so again to a database that was set aside."""

    def restore(self, address: DatabaseAddress, name: str) -> None:
        """Give a database that was set aside its name again, and let those in who may connect."""

    def drop_remains(self, address: DatabaseAddress) -> None:
        """Drop what a `quarantine` or `restore` that was killed left under a name, if no store is there.

        What others are at work on is left to them.
        """

    def enable_spatial(self, address: DatabaseAddress) -> None:
        """Give the database spatial types; safe to repeat."""

    def spatial_problem(self, address: DatabaseAddress, *, exists: bool) -> PenstockError | None:
        """Why this database can't be a spatial store, or None.

        Args:
            address: The database.
            exists: Whether it is there already.
        """

    def lock(
        self, address: DatabaseAddress, timeout: float, on: Connection | None = None
    ) -> AbstractContextManager[None]:
        """Hold the store's lock, waiting up to `timeout` seconds; raises StoreBusy.

        Args:
            address: The store.
            timeout: Seconds.
            on: A session of Penstock's own in the store, which may have the lock until that session ends,
                whatever others do on it; by default one for the block alone.
        """

    def lock_transaction(self, connection: Connection) -> None:
        """Let only one transaction at a time past this point in a database, until it ends."""

    def has_table(self, connection: Connection, table: str) -> bool:
        """Whether a plain table of this name is in the default schema.

        Never a view, nor a table at which somebody's code runs when it is read or written.
        """

    def has_relations(self, connection: Connection, besides: str) -> bool:
        """Whether there are tables, views or sequences of a user's, besides the one named."""

    def size(self, connection: Connection) -> int:
        """The database's size in bytes."""

    def version(self, server: Server) -> str:
        """The server's version; connects, so it is also the test of a service."""

    def connection_limit(self, server: Server) -> int | None:
        """The most connections the server gives to all its clients together; None if there is no limit."""

    def server_key(self, server: Server) -> str:
        """What a server is called: the same for all services that lead to it, without the user."""

    def connect(self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions) -> Any:
        """A driver connection to the store, for an engine's pool.

        Raises:
            StoreNotCreated: The database does not exist.
        """

    def set_up(self, raw: Any) -> None:
        """Do what every new connection needs."""

    def file_identity(self, address: DatabaseAddress) -> object:
        """What tells this database from a later one at the same place; None if the server does."""

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        """Whether an idle connection still leads to its database, as far as can be told without asking it.

        Args:
            raw: The driver's connection.
            address: The database.
            file_identity: What `file_identity` said when the connection was made.
        """

    def closing(self, raw: Any) -> AbstractContextManager[None]:
        """A block in which a connection is closed; it ends when the server no longer counts it."""

    def listen(self, engine: Engine | type[Engine]) -> None:
        """Attach what every transaction of an engine, or of a class of engines, needs."""

    def translate(self, error: Exception, what: str) -> PenstockError:
        """A driver's error as one of ours: the code decides, the server's words are kept."""

    def is_disconnect(self, error: Exception) -> bool:
        """Whether an error says that the database, or the session in it, was taken away."""

    def async_driver(self, address: DatabaseAddress) -> AsyncDriver:
        """The driver for event loops that the service's address asks for, or the usual one.

        Raises:
            MissingExtra: It is not installed.
        """
