"""The plugin for MongoDB, which Penstock has not."""

from __future__ import annotations

from typing import Any

from penstock.errors import NotSupported


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotSupported(
        f"There is no {name}: Penstock has no plugin for MongoDB.",
        why="Its stores are SQL databases.",
        hint="from penstock.compat.db_plugins import SQLConnection",
    )
