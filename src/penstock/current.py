"""The `Stores` that apps use: those of `use`, else made from the configuration."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from penstock.connect.acting import in_use
from penstock.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Iterator

_default: dict[str, Stores] = {}


def current_stores() -> Stores:
    """The current `Stores`: those of `use`, else made from the configuration on first use.

    In code that `Stores` runs, such as an initializer, it is that very object.
    """
    stores = in_use.get()
    if stores is not None:
        return cast("Stores", stores)
    found = _default.get("stores")
    if found is None:  # Two threads may both make one; a lock could be held while the process forks.
        found = _default.setdefault("stores", Stores.from_config())
    return found


@contextmanager
def use(stores: Stores, *, everywhere: bool = False) -> Iterator[Stores]:
    """Make this `Stores` the current one for every app inside the `with` block.

    Args:
        stores: The `Stores` object.
        everywhere: Whether all other threads and tasks use it too meanwhile, unless they are in such a block
            of their own; otherwise, as `contextvars` have it, tasks that begin in the block do, new threads
            don't.

    >>> from penstock import MemoryRegistry
    >>> with use(Stores(MemoryRegistry())) as stores:
    ...     current_stores() is stores
    True
    """
    token, before = in_use.set(stores), dict(_default)
    if everywhere:
        _default["stores"] = stores
    try:
        with stores.standing_in():
            yield stores
    finally:
        in_use.reset(token)
        if everywhere:
            _default.clear()
            _default.update(before)
