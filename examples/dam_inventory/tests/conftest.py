"""Which app is tested."""

from __future__ import annotations

import pytest

from dam_inventory.app import DamInventory


@pytest.fixture(scope="session")
def penstock_apps() -> list[type[DamInventory]]:
    """The app whose stores are copied."""
    return [DamInventory]


@pytest.fixture(autouse=True)
def _copies(penstock_stores: object) -> None:
    """Every test uses copies of the stores."""
