"""Copies of whole databases, and locks that all users of a server share."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.postgresql.faults import DUPLICATE, sqlstate_of, translated
from penstock.backends.postgresql.sessions import maintenance, stay
from penstock.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Server

_LARGE = 12_000_000
"""Bytes from which on the server copies files, with two checkpoints, faster than blocks through its log."""

_SINCE_15 = 150_000
_PAUSE = 0.05


def clone(source: DatabaseAddress, address: DatabaseAddress) -> bool:
    """Make a database from another one as its template; False if it was there already."""
    with maintenance(address.server) as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        made = f"CREATE DATABASE {quote(address.database)} TEMPLATE {quote(source.database)}"
        try:
            connection.exec_driver_sql(made + _strategy(connection, source.database))
        except DBAPIError as error:
            if sqlstate_of(error) in DUPLICATE:
                return False
            what = f"The database {address.database} can't be made as a copy of {source.database}."
            raise translated(error, what) from error
    return True


def databases(server: Server, prefix: str) -> list[str]:
    """The databases whose names begin so."""
    query = text("SELECT datname FROM pg_catalog.pg_database WHERE pg_catalog.starts_with(datname, :prefix)")
    with maintenance(server) as connection:
        return list(connection.execute(query, {"prefix": prefix}).scalars())


@contextmanager
def named_lock(server: Server, name: str, *, shared: bool, timeout: float) -> Iterator[None]:
    """Hold an advisory lock of the maintenance database, whose key is the beginning of the name's SHA-256."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    take = f"SELECT pg_catalog.pg_try_advisory_lock{'_shared' if shared else ''}({key})"
    end = time.monotonic() + timeout
    with maintenance(server) as connection:
        stay(connection)
        while not connection.exec_driver_sql(take).scalar():
            if time.monotonic() >= end:
                raise StoreBusy(f"Another process has the lock {name} on service {server.service}.")
            time.sleep(_PAUSE)
        yield


def _strategy(connection: Connection, source: str) -> str:
    """How the server is to copy, where it can be told."""
    number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
    if number < _SINCE_15:
        return ""
    size = connection.execute(
        text("SELECT pg_catalog.pg_database_size(:name)"), {"name": source}
    ).scalar_one()
    return f" STRATEGY {'FILE_COPY' if size > _LARGE else 'WAL_LOG'}"
