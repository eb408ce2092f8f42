"""From a store's sync engine to its async one, where that is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from penstock.engines.aio import AsyncStoreEngine
    from penstock.engines.engine import StoreEngine


def async_companion(store: StoreEngine) -> AsyncStoreEngine:
    """The async engine of a store: one object, whatever threads ask for it at once.

    Args:
        store: The store's sync engine.

    Raises:
        MissingExtra: The driver, or greenlet, is not installed.
    """
    if not store.companions:
        store.companions.append(_make(store))
    return cast("AsyncStoreEngine", store.companions[0])


def _make(store: StoreEngine) -> AsyncStoreEngine:
    driver = store.backend.async_driver(store.address)
    if find_spec("greenlet") is None:
        raise MissingExtra(
            "Async engines need the package greenlet, which is not installed.",
            hint='pip install "sqlalchemy[asyncio]"',
        )
    from penstock.engines.aio import AsyncStoreEngine

    return AsyncStoreEngine(store, driver)
