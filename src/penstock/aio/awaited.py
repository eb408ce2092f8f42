"""Makes an awaited method of a blocking one: the same signature, in a thread."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Concatenate, Generic, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Sync = TypeVar("_Sync")
_Sync_co = TypeVar("_Sync_co", covariant=True)


class Awaited(Generic[_Sync_co]):
    """The base of objects whose methods are awaited; `awaited` makes them.

    Args:
        sync: That object.
    """

    def __init__(self, sync: _Sync_co) -> None:
        self._sync = sync


class Opening(Awaited[_Sync_co], ABC):
    """The same for an object that opens sessions; these verbs are made by `opened`."""

    @abstractmethod
    async def _sessions(self, *args: Any, **options: Any) -> async_sessionmaker[AsyncSession]:
        """The session factory that the arguments of a verb stand for."""


def awaited(
    method: Callable[Concatenate[_Sync, _Parameters], _Result],
) -> Callable[Concatenate[Awaited[_Sync], _Parameters], Coroutine[Any, Any, _Result]]:
    """Make an awaited method that runs in a thread; cancelling the task does not stop the work.

    A callback given as `on_event` is called in the loop's thread, one event after the other, all of them
    before the call returns. What it raises goes to the loop's exception handler and stops nothing.

    Args:
        method: What is done in the thread.
    """

    async def wait(self: Awaited[_Sync], /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        if kwargs.get("on_event") is not None:
            kwargs["on_event"] = _in_loop(cast("Callable[..., object]", kwargs["on_event"]))
        return await asyncio.to_thread(method, self._sync, *args, **kwargs)

    update_wrapper(wait, method)
    return wait


def opened(
    method: Callable[Concatenate[_Sync, _Parameters], object],
    opening: Callable[[async_sessionmaker[AsyncSession]], AbstractAsyncContextManager[AsyncSession]],
) -> Callable[Concatenate[Opening[_Sync], _Parameters], AbstractAsyncContextManager[AsyncSession]]:
    """The same for an `async with` block: an async session, of what `_sessions` of the object answers.

    Args:
        method: What opens a session for threads.
        opening: How the session factory opens one.
    """

    @asynccontextmanager
    async def session(
        self: Opening[_Sync], /, *args: _Parameters.args, **kwargs: _Parameters.kwargs
    ) -> AsyncIterator[AsyncSession]:
        async with opening(await self._sessions(*args, **kwargs)) as session:
            yield session

    update_wrapper(session, method)
    return session


def _in_loop(callback: Callable[..., object]) -> Callable[..., None]:
    """A callback that may be called in any thread: this loop's calls it; nobody does once that is closed."""
    loop = asyncio.get_running_loop()

    def tell(event: object) -> None:
        try:
            loop.call_soon_threadsafe(callback, event)
        except RuntimeError:
            if not loop.is_closed():
                raise

    return tell
