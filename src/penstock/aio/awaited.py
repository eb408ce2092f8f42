"""A method becomes one that is awaited: the same signature, in a thread."""

from __future__ import annotations

import asyncio
from functools import update_wrapper
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from penstock.stores import Stores

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class HasDesk(Protocol):
    """Whatever stands in front of a desk."""

    @property
    def desk(self) -> Stores:
        """The desk."""


def awaited(
    method: Callable[Concatenate[Stores, _Parameters], _Result],
) -> Callable[Concatenate[HasDesk, _Parameters], Coroutine[Any, Any, _Result]]:
    """The same, in a thread: the loop goes on. Who stops waiting does not stop the work.

    Args:
        method: What the desk does.
    """

    async def wait(self: HasDesk, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        return await asyncio.to_thread(method, self.desk, *args, **kwargs)

    update_wrapper(wait, method)
    return wait
