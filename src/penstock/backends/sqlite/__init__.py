"""SQLite: a service is a directory, a store is a file in it."""

from __future__ import annotations

from penstock.backends.sqlite.backend import SQLiteBackend

__all__ = ["make_backend"]


def make_backend() -> SQLiteBackend:
    """The backend of `sqlite:` addresses."""
    return SQLiteBackend()
