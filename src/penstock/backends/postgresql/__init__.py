"""PostgreSQL: a service is a server, a store is a database on it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from penstock.backends.postgresql.backend import PostgreSQLBackend

__all__ = ["make_backend"]


def make_backend() -> PostgreSQLBackend:
    """The backend of `postgresql:` addresses; raises MissingExtra without psycopg 3."""
    if find_spec("psycopg") is None:
        raise MissingExtra(
            "PostgreSQL needs the package psycopg, which is not installed.",
            hint='pip install "penstock[postgresql]"',
        )
    from penstock.backends.postgresql.backend import PostgreSQLBackend

    return PostgreSQLBackend()
