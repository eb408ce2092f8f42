"""MariaDB and MySQL: a service is a server, a store is a database on it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from penstock.backends.mysql.backend import MySQLBackend

__all__ = ["make_backend"]


def make_backend() -> MySQLBackend:
    """The backend of `mariadb:` and `mysql:` addresses; raises MissingExtra without PyMySQL."""
    if find_spec("pymysql") is None:
        raise MissingExtra(
            "MariaDB needs the package PyMySQL, which is not installed.",
            hint='pip install "penstock[mariadb]"',
        )
    from penstock.backends.mysql.backend import MySQLBackend

    return MySQLBackend()
