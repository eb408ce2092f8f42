"""What another process does to a registry or a file while `Stores` is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fix_apps import make_lab
from penstock import Stores
from penstock.registry import DatabaseRegistry
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _stores(url: str, password: str) -> Iterator[Stores]:
    registry = DatabaseRegistry(url, password=SecretRef("file", password) if password else None)
    with Stores(registry, apps=[make_lab()]) as stores:
        yield stores


def link_gages(registry: str, password: str, service: str) -> None:
    """Link another service to the setting `gages`."""
    with _stores(registry, password) as stores:
        stores.links.add(service, "lab", "gages")


def unlink_gages(registry: str, password: str) -> None:
    """Pull the service out of the setting `gages`."""
    with _stores(registry, password) as stores:
        assert stores.links.remove("lab", "gages")


def edit_service(registry: str, password: str, service: str, **changes: Any) -> None:
    """Change a service; a password is given as the file that it is in."""
    if "password_file" in changes:
        changes["password"] = SecretRef("file", changes.pop("password_file"))
    with _stores(registry, password) as stores:
        stores.services.edit(replace(stores.services.get(service), **changes))


def move_gages(registry: str, password: str, database: str) -> None:
    """Let the store `gages` be in another database of its service."""
    with _stores(registry, password) as stores:
        entry = stores.registry.find_store("lab", "gages")
        assert entry is not None
        stores.registry.put_store(replace(entry, database=database))


def make_file_anew(path: str) -> None:
    """Remove a store's file, and make another one there with one gage in it."""
    for side in ("", "-wal", "-shm"):
        if os.path.exists(path + side):
            os.unlink(path + side)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE gage (number VARCHAR PRIMARY KEY, altitude FLOAT NOT NULL)")
        connection.execute("INSERT INTO gage VALUES ('anew', 1.0)")
        connection.commit()


def remove_file(path: str) -> None:
    """Remove a store's file."""
    os.unlink(path)
