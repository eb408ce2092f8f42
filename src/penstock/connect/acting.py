"""Which `Stores` object the code of an app that runs just now belongs to."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.connect.sessions import Sessions

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Stores = TypeVar("_Stores", bound="Sessions")

in_use: ContextVar[Sessions | None] = ContextVar("penstock_stores", default=None)
"""The object of the innermost `use` block, or whose method runs; None outside of both."""


@contextmanager
def acting_for(stores: Sessions) -> Iterator[None]:
    """A block in which these stores are the current ones."""
    token = in_use.set(stores)
    try:
        yield
    finally:
        in_use.reset(token)


def on_its_behalf(
    method: Callable[Concatenate[_Stores, _Arguments], _Result],
) -> Callable[Concatenate[_Stores, _Arguments], _Result]:
    """Let a method of `Stores` run with its object as the current one.

    An app's own code runs inside: initializers, listeners on its tables, callbacks. Where it asks for a store
    by its class (`App.store`), it means the store that is being worked on.
    """

    @wraps(method)
    def run(stores: _Stores, /, *args: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        with acting_for(stores):
            return method(stores, *args, **options)

    return run
