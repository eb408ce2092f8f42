"""An app that knows where dams are: one spatial store, on PostGIS or SpatiaLite."""

from __future__ import annotations

from dam_inventory.app import DamInventory

__all__ = ["DamInventory"]
