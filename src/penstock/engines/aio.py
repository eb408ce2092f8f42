"""The async engine of a store, beside its sync one, on the same budget."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext import asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session
from sqlalchemy.util.concurrency import in_greenlet

from penstock.backends import TRACED
from penstock.engines import fork
from penstock.engines.engine import is_good, point
from penstock.engines.observed import observed
from penstock.engines.pool import info_of
from penstock.engines.shared import SharedDialect, shared_dialect
from penstock.engines.tasks import TaskPool, offload, soon

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.pool import ConnectionPoolEntry

    from penstock.backends import AsyncDriver, DatabaseAddress
    from penstock.declare import SessionOptions
    from penstock.engines.budget import Budget
    from penstock.engines.engine import StoreEngine


class AsyncStoreEngine:
    """The async engine of one store, and the sessions made from it.

    Where the store is, and what may be open, is the business of the store's sync engine; this one
    asks it in a thread. It may be used in any number of event loops, at once or one after the other.

    Args:
        store: The store's sync engine.
        driver: Makes and checks connections.

    Attributes:
        engine: The one async engine; asking for it connects to nothing.
    """

    __slots__ = ("__weakref__", "_due", "_makers", "_shared", "_store", "driver", "engine")

    def __init__(self, store: StoreEngine, driver: AsyncDriver) -> None:
        self._store = store
        self._due = 0.0
        self._makers: dict[SessionOptions, async_sessionmaker[AsyncSession]] = {}
        self.driver = driver
        self.engine = self._make()
        if store.options.trace_sessions:
            self.engine.sync_engine.update_execution_options(**{TRACED: True})
        if store.read_only:
            self.engine.sync_engine.update_execution_options(penstock_readonly=True)
        fork.remember(self)

    @property
    def sessionmaker(self) -> async_sessionmaker[AsyncSession]:
        """The session factory of the store's own options; one object."""
        return self.sessions_by(self._store.sessions)

    def sessions_by(self, options: SessionOptions) -> async_sessionmaker[AsyncSession]:
        """The session factory of these options; one object for each."""
        maker = self._makers.get(options)
        return self._makers.setdefault(options, self._maker_by(options)) if maker is None else maker

    def _maker_by(self, options: SessionOptions) -> async_sessionmaker[AsyncSession]:
        engine = self.engine
        if options.execution_options:
            engine = engine.execution_options(**options.execution_options)
        return async_sessionmaker(
            engine,
            sync_session_class=options.class_ or Session,
            autoflush=options.autoflush,
            expire_on_commit=bool(options.expire_on_commit),
            info=dict(options.info) or None,
        )

    def dispose(self) -> None:
        """Close the idle connections now, those in use when they come back; for any thread."""
        self._due = 0.0
        sync = self.engine.sync_engine
        url = self._store.backend.store_url(self._store.address).set(drivername=self.driver.name)
        point(sync, url, self._store.backend)
        sync.pool.dispose()

    def after_fork(self) -> None:
        """In a child of fork: leave the parent's connections alone."""
        sync = self.engine.sync_engine
        if isinstance(sync.pool, TaskPool):
            fork.keep_for_ever(sync.pool)
            sync.pool = sync.pool.for_child()

    # --- what its pool asks (`TaskSupply`) ---

    @property
    def label(self) -> str:
        """Whose connections these are: `app:store`."""
        return self._store.label

    @property
    def budget(self) -> Budget:
        """What they count against: the same as the connections of threads."""
        return self._store.budget

    @property
    def timeout(self) -> float:
        """Seconds to wait for a connection."""
        return self._store.timeout

    @property
    def recycle(self) -> int:
        """Seconds after which an idle connection is replaced."""
        return self._store.recycle

    def refresh(self) -> None:
        """Notice that the store moved.

        What a registry knows may be out of date by `refresh_interval`, so asking is worth a thread
        only after another part of it: half of each makes the whole.
        """
        now = time.monotonic()
        if now >= self._due:
            self._due = now + self._store.options.refresh_interval / 2
            offload(partial(self._store.refresh, self._store.options.refresh_interval / 2))

    def connect(self, rec: ConnectionPoolEntry) -> Any:
        """A new driver connection; a refused one is tried again if the store has moved."""
        tried = self._store.address
        try:
            return self._connect_to(tried, rec)
        except Exception:
            if not offload(partial(self._store.has_moved, tried)):
                raise
        return self._connect_to(self._store.address, rec)

    def is_good(self, entry: ConnectionPoolEntry, idle_since: float) -> bool:
        """Whether an idle connection can be handed out."""
        return is_good(entry, idle_since, self._store.address, self.driver, self.engine.dialect)

    @contextmanager
    def closing(self, raw: Any) -> Iterator[None]:
        """A block in which SQLAlchemy closes a connection."""
        if in_greenlet():  # Else the collector does it, and nothing can be awaited.
            self.driver.leave(raw)
        yield

    def end(self, raw: Any) -> None:
        """End an idle connection, from any thread."""
        self.driver.end(raw)

    def _connect_to(self, address: DatabaseAddress, entry: ConnectionPoolEntry) -> Any:
        store, dialect = self._store, self.engine.dialect
        info_of(entry)["file_identity"] = store.backend.file_identity(address)
        raw = self.driver.connect(observed(dialect, entry), address, store.connection_options, offload)
        try:
            if self._shared is not None:
                self._shared.set_up(raw, self.engine.url)
            store.backend.set_up(raw)
        except BaseException:
            soon(partial(self.end, dialect.get_driver_connection(raw)))
            raise
        return raw

    def _make(self) -> AsyncEngine:
        store, options = self._store, self.driver.dialect_options
        url = store.backend.store_url(store.address).set(drivername=self.driver.name)
        echo, hide = store.options.echo, store.options.hide_parameters
        self._shared: SharedDialect | None = None
        if store.options.share_statements:
            key = (store.backend.server_key(store.address.server), url.drivername, store.address.spatial)
            self._shared = shared_dialect(key, lambda: SharedDialect(url, options, store.backend))
            pool = partial(TaskPool, self, echo=echo)
            return self._shared.async_engine(pool, url, echo=echo, hide_parameters=hide)
        engine = asyncio.create_async_engine(
            url, pool=TaskPool(self), echo=echo, hide_parameters=hide, **options
        )
        store.backend.listen(engine.sync_engine)
        return engine
