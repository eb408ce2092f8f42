"""The same stores, awaited: async engines and sessions; control verbs in threads."""

from __future__ import annotations

from penstock.aio.groups import AsyncKeptStores, AsyncLinks, AsyncLogins, AsyncServices, AsyncUnusedStores
from penstock.aio.handles import AsyncConnection, AsyncKind, AsyncStore
from penstock.aio.stores import AsyncConnections, AsyncStores, current_stores

__all__ = [
    "AsyncConnection",
    "AsyncConnections",
    "AsyncKeptStores",
    "AsyncKind",
    "AsyncLinks",
    "AsyncLogins",
    "AsyncServices",
    "AsyncStore",
    "AsyncStores",
    "AsyncUnusedStores",
    "current_stores",
]
