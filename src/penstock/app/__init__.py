"""What an app is written with: its class, and the handles of its stores."""

from penstock.app.app import App
from penstock.app.handles import Connection, Database, Kind, OneStore, Store
from penstock.current import current_stores, use

__all__ = ["App", "Connection", "Database", "Kind", "OneStore", "Store", "current_stores", "use"]
