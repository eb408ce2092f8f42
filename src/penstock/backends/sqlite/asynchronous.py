"""SQLite for event loops: over aiosqlite, which has a thread for each connection."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING, Any

from penstock.backends.sqlite import library
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.backends.address import DatabaseAddress
    from penstock.backends.contract import ConnectionOptions, Offload

_FAREWELL = 1.0


class AiosqliteDriver:
    """aiosqlite.

    Args:
        connect: Connects as the backend does for threads.
        is_alive: Tells whether a file is still the one that was opened.
        spatial: Whether it is for spatial stores.
    """

    name = "sqlite+aiosqlite"

    def __init__(
        self,
        connect: Callable[..., Any],
        is_alive: Callable[[Any, DatabaseAddress, object], bool],
        *,
        spatial: bool,
    ) -> None:
        self.dialect_options: dict[str, Any] = {"module": _spatial_module()} if spatial else {}
        self._connect = connect
        self.is_alive = is_alive

    def connect(
        self, dialect: Any, address: DatabaseAddress, options: ConnectionOptions, offload: Offload
    ) -> Any:
        return self._connect(dialect, address, offload)

    def leave(self, connection: Any) -> None:
        # A closed connection keeps its lock for as long as there is a cursor, as a cancelled task leaves one
        # (https://sqlite.org/c3ref/close.html, "zombie").
        with suppress(*library.errors(), ValueError):
            connection.rollback()

    def end(self, raw: Any) -> None:
        # Where there is a loop, `stop` would report to it, though by then that may be closed.
        stopping = Thread(target=raw.stop, name="penstock-end", daemon=True)
        stopping.start()
        stopping.join()
        raw._thread.join(_FAREWELL)


class _SpatialModule:
    """aiosqlite, over the library that opens the files of spatial stores, and with that one's errors."""

    def __init__(self) -> None:
        import aiosqlite

        self._aiosqlite = aiosqlite
        self._library = library.library(spatial=True)
        self.Connection = aiosqlite.Connection

    def connect(self, database: str, **options: Any) -> Any:
        """A connection that knows spatial types; it is opened in a thread of its own, once awaited."""
        return self._aiosqlite.Connection(partial(library.connect, database, spatial=True, **options), 64)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def _spatial_module() -> Any:
    """What SQLAlchemy's dialect for aiosqlite takes as its module."""
    from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_dbapi

    return AsyncAdapt_aiosqlite_dbapi(_SpatialModule(), library.library(spatial=True))  # type: ignore[arg-type]


def aiosqlite_driver(
    connect: Callable[..., Any], is_alive: Callable[[Any, DatabaseAddress, object], bool], *, spatial: bool
) -> AiosqliteDriver:
    """The driver of SQLite for event loops; raises MissingExtra without aiosqlite."""
    if find_spec("aiosqlite") is None:
        raise MissingExtra(
            "SQLite in an event loop needs the package aiosqlite, which is not installed.",
            hint='pip install "penstock[aiosqlite]"',
        )
    return AiosqliteDriver(connect, is_alive, spatial=spatial)
