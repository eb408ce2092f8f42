"""For the tests of apps: copies of their stores, and what is rolled back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.connect.standins import real_stores
    from penstock.testing.copies import CopiedStores
    from penstock.testing.run import stores_for_tests

_HOMES = {
    "CopiedStores": "penstock.testing.copies",
    "real_stores": "penstock.connect.standins",
    "stores_for_tests": "penstock.testing.run",
}

__all__ = ["CopiedStores", "real_stores", "stores_for_tests"]


def __getattr__(name: str) -> Any:
    # Every run of pytest imports the plugin beside this file, whether it tests an app or not.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
