"""Penstock joins applications to SQL databases: declare, link, sync, use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.app import App, Connection, Database, Kind, OneStore, Store, current_stores, use
    from penstock.backends import StoreRole
    from penstock.declare import ConnectionSetting as PersistentStoreConnectionSetting
    from penstock.declare import DatabaseSetting as PersistentStoreDatabaseSetting
    from penstock.declare import SessionOptions
    from penstock.engines import EngineOptions
    from penstock.errors import PenstockError
    from penstock.provision.dynamic import NewStore
    from penstock.provision.provisioner import SyncOptions
    from penstock.provision.results import (
        DropResult,
        PurgeResult,
        RotateResult,
        StoreResult,
        SyncResult,
        UndropResult,
    )
    from penstock.provision.status import Health, StoreStatus
    from penstock.registry import MemoryRegistry, RoleMode, Service
    from penstock.secrets import SecretRef
    from penstock.stores import Stores

__version__ = "0.1.0"

_HOMES = {
    "App": ("penstock.app", "App"),
    "Connection": ("penstock.app", "Connection"),
    "Database": ("penstock.app", "Database"),
    "DropResult": ("penstock.provision.results", "DropResult"),
    "EngineOptions": ("penstock.engines", "EngineOptions"),
    "Health": ("penstock.provision.status", "Health"),
    "Kind": ("penstock.app", "Kind"),
    "MemoryRegistry": ("penstock.registry", "MemoryRegistry"),
    "NewStore": ("penstock.provision.dynamic", "NewStore"),
    "OneStore": ("penstock.app", "OneStore"),
    "PenstockError": ("penstock.errors", "PenstockError"),
    "PersistentStoreConnectionSetting": ("penstock.declare", "ConnectionSetting"),
    "PersistentStoreDatabaseSetting": ("penstock.declare", "DatabaseSetting"),
    "PurgeResult": ("penstock.provision.results", "PurgeResult"),
    "RoleMode": ("penstock.registry", "RoleMode"),
    "RotateResult": ("penstock.provision.results", "RotateResult"),
    "SecretRef": ("penstock.secrets", "SecretRef"),
    "SessionOptions": ("penstock.declare", "SessionOptions"),
    "Service": ("penstock.registry", "Service"),
    "Store": ("penstock.app", "Store"),
    "StoreResult": ("penstock.provision.results", "StoreResult"),
    "StoreRole": ("penstock.backends", "StoreRole"),
    "StoreStatus": ("penstock.provision.status", "StoreStatus"),
    "Stores": ("penstock.stores", "Stores"),
    "SyncOptions": ("penstock.provision.provisioner", "SyncOptions"),
    "SyncResult": ("penstock.provision.results", "SyncResult"),
    "UndropResult": ("penstock.provision.results", "UndropResult"),
    "current_stores": ("penstock.app", "current_stores"),
    "use": ("penstock.app", "use"),
}

__all__ = [
    "App",
    "Connection",
    "Database",
    "DropResult",
    "EngineOptions",
    "Health",
    "Kind",
    "MemoryRegistry",
    "NewStore",
    "OneStore",
    "PenstockError",
    "PersistentStoreConnectionSetting",
    "PersistentStoreDatabaseSetting",
    "PurgeResult",
    "RoleMode",
    "RotateResult",
    "SecretRef",
    "Service",
    "SessionOptions",
    "Store",
    "StoreResult",
    "StoreRole",
    "StoreStatus",
    "Stores",
    "SyncOptions",
    "SyncResult",
    "UndropResult",
    "current_stores",
    "use",
]


def __getattr__(name: str) -> object:
    """Find a public name where it lives, on first use: importing penstock loads nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
