"""How connections are made, watched and closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from penstock.errors import ConfigError, NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import URL, Engine

    from penstock.backends.address import DatabaseAddress

PINNED = "penstock_pinned"
"""The execution option of a connection that works inside a transaction of others; it begins none."""

TRACED = "penstock_traced"
"""The execution option of a connection whose first write is traced to a line of code."""


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
        """A driver connection to the store, wrapped by SQLAlchemy's adapter; called in a greenlet.

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
        """Prepare SQLAlchemy's adapter of a connection to be closed; called in a greenlet."""

    def end(self, raw: Any) -> None:
        """End an idle connection, whatever became of its event loop, and wait until its server knows.

        It may be called in any thread; that of a running loop is better spared the moment's wait.
        """


class Connections(ABC):
    """How one dialect's connections are made, watched and closed."""

    @abstractmethod
    def connect(self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions) -> Any:
        """A driver connection to the store, for an engine's pool.

        Raises:
            StoreNotCreated: The database does not exist.
        """

    def dialect_options(self, address: DatabaseAddress) -> dict[str, Any]:
        """What `create_engine` is told besides the address; it differs only by `address.spatial`."""
        return {}

    def set_up(self, raw: Any) -> None:
        """Do what every new connection needs; by default nothing."""

    def file_identity(self, address: DatabaseAddress) -> object:
        """What tells this database from a later one at the same address; None if the server does."""
        return None

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        """Whether an idle connection still leads to its database, as far as can be told without asking it.

        By default it is taken to; then a statement finds out.

        Args:
            raw: The driver's connection.
            address: The database.
            file_identity: What `file_identity` said when the connection was made.
        """
        return True

    def closing(self, raw: Any) -> AbstractContextManager[None]:
        """A block in which a connection is closed; it ends when the server no longer counts it."""
        return nullcontext()

    def listen(self, engine: Engine | type[Engine]) -> None:
        """Attach what every transaction of an engine, or of a class of engines, needs; by default nothing."""

    def async_driver(self, address: DatabaseAddress) -> AsyncDriver:
        """The driver for event loops that the service's address asks for, or the usual one.

        Raises:
            MissingExtra: It is not installed.
            NotSupported: There is none.
        """
        raise NotSupported(
            f"There is no driver for event loops for service {address.server.service}.",
            hint="Use the store in threads: asyncio.to_thread(...)",
        )
