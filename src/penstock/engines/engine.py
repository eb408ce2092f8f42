"""One engine per store and process: few connections, a current address, fork-safe."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from penstock.backends import TRACED, ConnectionOptions, DatabaseAddress, backend_for
from penstock.backends.kept import UnpooledUntilEnded
from penstock.declare import SessionOptions
from penstock.engines import fork
from penstock.engines.budgets import budget_of
from penstock.engines.observed import observed
from penstock.engines.pool import StorePool, info_of
from penstock.engines.shared import SharedDialect, shared_dialect
from penstock.errors import NotSupported, PenstockError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import URL
    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

    from penstock.backends import Backend
    from penstock.engines.budget import Budget
    from penstock.engines.options import EngineOptions

_logger = logging.getLogger(__name__)

_PING_AFTER = 30.0
"""Seconds of idleness after which a connection through a pooler is asked whether it still works."""


SessionFactory: TypeAlias = sessionmaker[Session]

PLAIN = SessionOptions()


class Lookup(Protocol):
    """Where a store is, asked again whenever that may have changed."""

    def address(self) -> DatabaseAddress:
        """The store's address now; raises what the caller of `connect()` shall see."""

    def generation(self, max_age: float) -> int:
        """A number that changes when the address may have (see `Registry.generation`)."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """An address that never changes."""

    where: DatabaseAddress

    def address(self) -> DatabaseAddress:
        """The address."""
        return self.where

    def generation(self, max_age: float) -> int:
        """Always the same."""
        return 0


class AsyncCompanion(Protocol):
    """Another engine of the same store, which moves with it."""

    def dispose(self) -> None:
        """Close the idle connections now, those in use when they come back; for any thread."""


class StoreEngine:
    """The engine of one store, and the sessions made from it.

    The engine's URL never has a password: the password is looked up each time a connection is made,
    and the address whenever the registry has changed, so one Engine object serves for as long as the
    process lives.

    Args:
        lookup: Tells where the store is.
        options: How connections are made and shared.
        owner: Whose figure of `max_connections` this is; it counts for as long as that lives.
        budget: What to share connections with; by default all that this process has to the server.
        sessions: How its sessions are made, unless who asks for one says otherwise.
        read_only: Whether its transactions are READ ONLY; default False.

    Attributes:
        engine: The one engine; asking for it connects to nothing.
        companions: The store's async engine, once it was asked for.
    """

    __slots__ = (
        "__weakref__",
        "_address",
        "_generation",
        "_makers",
        "_owner",
        "_shared",
        "backend",
        "budget",
        "companions",
        "engine",
        "lookup",
        "options",
        "read_only",
        "sessions",
    )  # fmt: skip

    def __init__(
        self,
        lookup: Lookup,
        options: EngineOptions,
        *,
        owner: object,
        budget: Budget | None = None,
        sessions: SessionOptions = PLAIN,
        read_only: bool = False,
    ) -> None:
        self.lookup = lookup
        self.options = options
        self.sessions = sessions
        self.read_only = read_only
        self.companions: list[AsyncCompanion] = []
        self._owner = owner
        self._makers: dict[SessionOptions, SessionFactory] = {}
        self._generation = lookup.generation(options.refresh_interval)
        self._address = lookup.address()
        self.backend = backend_for(self._address.server.login.url)
        self.budget = budget or budget_of(self._address.server, self.backend, options, owner)
        self.engine = self._make()
        if options.trace_sessions:
            self.engine.update_execution_options(**{TRACED: True})
        if read_only:
            self.engine.update_execution_options(penstock_readonly=True)
        fork.remember(self)

    @property
    def sessionmaker(self) -> SessionFactory:
        """The session factory of the store's own options; one object."""
        return self.sessions_by(self.sessions)

    def sessions_by(self, options: SessionOptions) -> SessionFactory:
        """The session factory of these options; one object for each."""
        maker = self._makers.get(options)
        if maker is None:
            maker = self._makers.setdefault(options, _session_factory(self.engine, options))
        return maker

    @property
    def shares_statements(self) -> bool:
        """Whether its dialect and compiled statements are those of all the server's stores."""
        return self._shared is not None

    def dispose(self) -> None:
        """Close the idle connections now, those in use when they come back; it stays usable."""
        self.engine.dispose()
        for companion in self.companions:
            companion.dispose()

    def after_fork(self) -> None:
        """In a child of fork: leave the parent's connections alone."""
        pool = self.engine.pool
        if isinstance(pool, StorePool):
            fork.keep_for_ever(pool)
            self.engine.pool = pool.for_child()

    @property
    def address(self) -> DatabaseAddress:
        """Where the store is, as far as is known."""
        return self._address

    @property
    def connection_options(self) -> ConnectionOptions:
        """How one connection is made."""
        return ConnectionOptions(
            connect_timeout=self.options.connect_timeout,
            statement_timeout=self.options.statement_timeout,
            read_only=self.read_only,
        )

    # --- what its pool asks (`Supply`) ---

    @property
    def label(self) -> str:
        """Whose connections these are: `app:store`."""
        return self._address.label or self._address.database

    @property
    def timeout(self) -> float:
        """Seconds to wait for a connection."""
        return self.options.pool_timeout

    @property
    def recycle(self) -> int:
        """Seconds after which an idle connection is replaced."""
        return self.options.pool_recycle

    def refresh(self, max_age: float | None = None) -> None:
        """Notice that the store moved; one that can't be looked up just now stays where it was.

        Args:
            max_age: Seconds by which the answer may be out of date; by default the interval of the options.
        """
        try:
            generation = self.lookup.generation(self.options.refresh_interval if max_age is None else max_age)
            if generation == self._generation:
                return
            address = self.lookup.address()
        except RegistryError as error:
            _logger.warning("%s: its address can't be looked up: %s", self.label, error.what)
            return
        except PenstockError:  # Nothing is linked any more: what is open leads nowhere.
            self.dispose()
            raise
        self._move_to(address)
        self._generation = generation

    def connect(self, rec: ConnectionPoolEntry) -> Any:
        """A new driver connection; a refused one is tried again if the store has moved."""
        tried = self._address
        try:
            return self._connect_to(tried, rec)
        except Exception:
            if not self.has_moved(tried):
                raise
        return self._connect_to(self._address, rec)

    def is_good(self, entry: ConnectionPoolEntry, idle_since: float) -> bool:
        """Whether an idle connection can be handed out: asks the operating system, not the server."""
        return is_good(entry, idle_since, self._address, self.backend, self.engine.dialect)

    def closing(self, raw: Any) -> AbstractContextManager[None]:
        """A block in which a connection is closed; it ends when the server no longer counts it."""
        return self.backend.closing(raw)

    # --- connecting ---

    def _connect_to(self, address: DatabaseAddress, entry: ConnectionPoolEntry) -> Any:
        info_of(entry)["file_identity"] = self.backend.file_identity(address)
        dialect = observed(self.engine.dialect, entry)
        raw = self.backend.connect(dialect, address, self.connection_options)
        try:
            if self._shared is not None:
                self._shared.set_up(raw, self.engine.url)
            self.backend.set_up(raw)
        except BaseException:
            self.engine.dialect.do_terminate(raw)
            raise
        return raw

    def has_moved(self, tried: DatabaseAddress) -> bool:
        """Whether the store is elsewhere now, or its password is kept elsewhere."""
        try:
            self._move_to(self.lookup.address())
        except RegistryError:
            return False
        return self._address != tried

    def _move_to(self, address: DatabaseAddress) -> None:
        if address == self._address:
            return
        if address.server.login.url.get_backend_name() != self.engine.dialect.name:
            raise NotSupported(
                f"The store {address.label or address.database} moved to another kind of server "
                "while this process runs.",
                hint="Restart this process.",
            )
        _logger.info("%s moved", self.label, extra={"action": "store moved", "store": self.label})
        self.dispose()
        self._address = address
        point(self.engine, self.backend.store_url(address), self.backend)
        self.budget = budget_of(address.server, self.backend, self.options, self._owner)
        self.dispose()

    def _make(self) -> Engine:
        """An engine that is not connected yet."""
        url, echo, hide = (
            self.backend.store_url(self._address),
            self.options.echo,
            self.options.hide_parameters,
        )
        self._shared: SharedDialect | None = None
        if self.options.share_statements:
            self._shared = _shared_for(self._address, self.backend, trusted=True)
            pool = partial(StorePool, self, echo=echo)
            return self._shared.engine(pool, url, echo=echo, hide_parameters=hide)
        options = self.backend.dialect_options(self._address)
        engine = sqlalchemy.create_engine(
            url, pool=StorePool(self), echo=echo, hide_parameters=hide, **options
        )
        self.backend.listen(engine)
        return engine


class _Checks(Protocol):
    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        """See `Backend.is_alive`."""


def is_good(
    entry: ConnectionPoolEntry, idle_since: float, address: DatabaseAddress, driver: _Checks, dialect: Dialect
) -> bool:
    """Whether an idle connection can be handed out.

    Args:
        entry: The connection.
        idle_since: When it was used last, by the monotonic clock.
        address: Where it should lead.
        driver: Asks the operating system about it.
        dialect: Asks the server, where nothing else tells: through a pooler, after a while.
    """
    raw = entry.driver_connection
    if raw is None or not driver.is_alive(raw, address, _file_identity_of(entry)):
        return False
    return (
        not address.server.pooled or time.monotonic() - idle_since < _PING_AFTER or _answers(entry, dialect)
    )


def _answers(entry: ConnectionPoolEntry, dialect: Dialect) -> bool:
    try:
        return bool(entry.dbapi_connection and dialect.do_ping(entry.dbapi_connection))
    except dialect.loaded_dbapi.Error:
        return False


def _session_factory(engine: Engine, options: SessionOptions) -> SessionFactory:
    if options.execution_options:
        engine = engine.execution_options(**options.execution_options)
    return sessionmaker(
        engine,
        class_=options.class_ or Session,
        autoflush=options.autoflush,
        expire_on_commit=options.expire_on_commit is not False,
        info=dict(options.info) or None,
    )


def point(engine: Engine, url: URL, backend: Backend) -> None:
    """Let an engine lead to another database of the same kind, once its pool is empty."""
    engine.url = url
    if backend.capabilities.database_is_schema:
        engine.dialect.default_schema_name = url.database


@contextmanager
def own_engine(address: DatabaseAddress, backend: Backend) -> Iterator[Engine]:
    """An engine for Penstock's own statements: names resolve nowhere that an app can write to.

    Its connections are closed after use; whoever uses it has reserved what it needs.
    """
    shared = _shared_for(address, backend, trusted=False)
    _recent.append(shared)
    url = backend.store_url(address)

    def connect() -> Any:
        options = ConnectionOptions(trusted=False, connect_timeout=address.server.connect_timeout)
        raw = backend.connect(shared.dialect, address, options)
        shared.set_up(raw, url)
        backend.set_up(raw)
        return raw

    pool = UnpooledUntilEnded(connect, backend.closing, dialect=shared.dialect)
    yield shared.own_engine(pool, url)


def _shared_for(address: DatabaseAddress, backend: Backend, *, trusted: bool) -> SharedDialect:
    """What the stores of a server share; where names are looked up differs, so that is kept apart."""
    url = backend.store_url(address)
    key = (backend.server_key(address.server), url.drivername, trusted, address.spatial)
    options = backend.dialect_options(address)
    return shared_dialect(key, lambda: SharedDialect(url, options, backend))


_recent: deque[SharedDialect] = deque(maxlen=8)
"""What own engines, which live for a moment, had in common last: the server is not asked of itself anew."""


def _file_identity_of(entry: ConnectionPoolEntry) -> object:
    return info_of(entry).get("file_identity")
