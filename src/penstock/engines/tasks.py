"""The pool of a store for the tasks of event loops, on the same budget."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from penstock.engines import fork
from penstock.engines.pool import StorePool, Supply

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Callable

    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry

    from penstock.engines.queueing import Holder, Waiter
    from penstock.engines.reservation import Grant

_Result = TypeVar("_Result")

_THREADS = 8


class TaskWaiter:
    """A task in a budget's queue: it sleeps without holding its loop up."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._woken: asyncio.Future[None] = self._loop.create_future()

    def set(self) -> None:
        """End the sleep; may be called from any thread."""
        with suppress(RuntimeError):  # The loop is closed: nobody sleeps there any more.
            self._loop.call_soon_threadsafe(self._end)

    def wait(self, timeout: float) -> None:
        """Sleep until woken."""
        await_only(asyncio.wait([self._woken], timeout=timeout))

    def _end(self) -> None:
        if not self._woken.done():
            self._woken.set_result(None)


class _Threads:
    """Threads for what would hold a loop up.

    They are nobody else's: work that waits for a connection must not keep the owner of one waiting.
    """

    def __init__(self) -> None:
        self.after_fork()
        fork.remember(self)

    def after_fork(self) -> None:
        """In a child of fork: it has none of its parent's threads."""
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="penstock-offload")

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Have something done."""
        return self._executor.submit(work)


_threads = _Threads()


def offload(work: Callable[[], _Result]) -> _Result:
    """Do something in a thread, from a greenlet of SQLAlchemy's, while the loop goes on."""
    return await_only(asyncio.wrap_future(_threads.submit(work)))


def soon(work: Callable[[], None]) -> None:
    """Do something that needs a moment: in a thread if this is a loop's, which must go on."""
    if not in_greenlet():
        work()
        return
    done = _threads.submit(work)
    lifetime = _lifetimes.get(asyncio.get_running_loop())
    if lifetime is not None:
        lifetime.wait_for(done)


class TaskSupply(Supply, Protocol):
    """Where connections of tasks come from."""

    def end(self, raw: Any) -> None:
        """End an idle connection from any thread, whatever became of its loop."""


class LoopHolder:
    """The connections of one store that belong to one event loop.

    A driver's connection can be used only by tasks of the loop it was made in, but it can be ended
    from everywhere.

    Args:
        pool: The store's pool.
    """

    __slots__ = ("__weakref__", "_pool")

    def __init__(self, pool: TaskPool) -> None:
        self._pool = pool

    @property
    def label(self) -> str:
        """Whose connections these are."""
        return self._pool.label

    def discard(self, entry: ConnectionPoolEntry) -> None:
        """End a connection that nobody uses."""
        raw = entry.driver_connection
        if raw is not None:
            cast("Any", entry).dbapi_connection = None
            soon(partial(self._pool.supply.end, raw))


class _LoopLifetime:
    """What an event loop has of all stores, from its first connection until it ends.

    asyncio ends its asynchronous generators after its tasks and before it closes; a generator that
    does nothing else is how this learns of it. A loop that is closed in another way leaves its
    connections behind: they are ended when their slots are needed, or another loop begins.
    """

    def __init__(self) -> None:
        self._holders: list[tuple[TaskPool, LoopHolder]] = []
        self._owed: set[Future[None]] = set()
        self._generator = self._until_the_end()

    def begin(self) -> None:
        """Start the generator, in the loop."""
        await_only(anext(self._generator))

    def holder(self, pool: TaskPool) -> LoopHolder:
        """A new holder of one store's connections."""
        holder = LoopHolder(pool)
        self._holders.append((pool, holder))
        return holder

    def wait_for(self, work: Future[None]) -> None:
        """Let the loop end no sooner than what is being done for it."""
        self._owed.add(work)
        work.add_done_callback(self._owed.discard)

    def end(self, loop: AbstractEventLoop) -> None:
        """End the connections that are idle; none is in use any more."""
        for pool, holder in self._holders:
            pool.leave(loop, holder)

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            _end_lifetime(asyncio.get_running_loop())
            await asyncio.gather(*map(asyncio.wrap_future, list(self._owed)))
            for _ in range(2):  # A loop is told in its next turn, and closes what it has in the one after.
                await asyncio.sleep(0)


_lifetimes: dict[AbstractEventLoop, _LoopLifetime] = {}


def _lifetime_of(loop: AbstractEventLoop) -> _LoopLifetime:
    lifetime = _lifetimes.get(loop)
    if lifetime is None:
        for other in [other for other in list(_lifetimes) if other.is_closed()]:
            _end_lifetime(other)
        lifetime = _lifetimes[loop] = _LoopLifetime()
        lifetime.begin()
    return lifetime


def _end_lifetime(loop: AbstractEventLoop) -> None:
    lifetime = _lifetimes.pop(loop, None)
    if lifetime is not None:  # Else another thread does it.
        lifetime.end(loop)


class TaskPool(StorePool):
    """A pool whose connections are used by the tasks of event loops, each loop its own."""

    def __init__(self, supply: TaskSupply, dialect: Dialect | None = None, **options: Any) -> None:
        super().__init__(supply, dialect, **options)
        self.supply = supply
        self._loops: dict[AbstractEventLoop, LoopHolder] = {}

    def leave(self, loop: AbstractEventLoop, holder: LoopHolder) -> None:
        """End the idle connections of a loop that ends."""
        self._loops.pop(loop, None)
        self._close_idle(holder)

    def _holder(self) -> Holder:
        loop = asyncio.get_running_loop()
        holder = self._loops.get(loop)
        if holder is None:
            holder = self._loops[loop] = _lifetime_of(loop).holder(self)
        return holder

    def _holders(self) -> list[Holder]:
        return list(self._loops.values())

    def _waiter(self) -> Waiter:
        return TaskWaiter()

    def _make_room(self, grant: Grant) -> None:
        if grant.victims:
            # Not `offload`, which a cancelled task would call off.
            await_only(asyncio.wait([asyncio.wrap_future(_threads.submit(grant.clear_the_way))]))
