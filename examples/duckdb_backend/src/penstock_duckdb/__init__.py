"""DuckDB: a service is a directory, a store is a file in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock_duckdb.backend import DuckDBBackend

__all__ = ["make_backend"]


def make_backend() -> DuckDBBackend:
    """The backend of `duckdb:` addresses."""
    from penstock_duckdb.backend import DuckDBBackend

    return DuckDBBackend()
