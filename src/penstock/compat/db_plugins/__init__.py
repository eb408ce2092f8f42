"""What programs for db-plugins import, in place of `db_plugins.db.sql`."""

from penstock.compat.db_plugins.addresses import MAP_KEYS, satisfy_keys, settings_map
from penstock.compat.db_plugins.connection import SQLConnection, SQLDatabaseCreator
from penstock.compat.db_plugins.generic import Pagination, PaginationNoCount, new_DBConnection
from penstock.compat.db_plugins.query import IgnoredKeys, SQLQuery

__all__ = [
    "MAP_KEYS",
    "IgnoredKeys",
    "Pagination",
    "PaginationNoCount",
    "SQLConnection",
    "SQLDatabaseCreator",
    "SQLQuery",
    "new_DBConnection",
    "satisfy_keys",
    "settings_map",
]
