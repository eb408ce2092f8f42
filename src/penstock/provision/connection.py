"""Connections of Penstock's own in a store, and the store's lock on one of them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from penstock.backends import shared
from penstock.engines import own_engine, reserved
from penstock.errors import PenstockError, StoreNotCreated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from penstock.connect import Address


@contextmanager
def own_connection(address: Address) -> Iterator[Connection]:
    """A connection on which names resolve nowhere that an app can write to.

    It is closed afterwards, or kept for the next use (see `keeping`).
    """
    database_address, backend = address.database_address, address.backend
    with (
        reserved(database_address, backend, own=1),
        own_engine(database_address, backend) as engine,
        engine.connect() as connection,
    ):
        yield connection


@contextmanager
def locked(address: Address, timeout: float) -> Iterator[Callable[[], None]]:
    """Hold the lock of a store by the connection that all other work of the block is done on, too.

    Whoever drops the database takes the lock away with it. What is given raises StoreNotCreated if that has
    happened; and what fails after it has happened, fails for that reason.

    Raises:
        StoreBusy: Another sync has had it for longer than `timeout` seconds.
        StoreNotCreated: The database is gone.
    """
    database_address, backend = address.database_address, address.backend
    if backend.capabilities.databases_are_files:
        with backend.lock(database_address, timeout):
            yield lambda: None
        return
    with ExitStack() as held:
        try:
            connection = held.enter_context(own_connection(address))
            held.enter_context(backend.lock(database_address, timeout, connection))
            connection.commit()
        except DBAPIError as error:
            what = f"The store's database {database_address.database} can't be locked for a sync."
            raise backend.translate(error, what) from error
        raw = connection.connection.driver_connection
        held.enter_context(shared(raw))

        def check() -> None:
            if not backend.is_alive(raw, database_address, backend.file_identity(database_address)):
                raise StoreNotCreated(f"The database {database_address.database} was taken away meanwhile.")

        try:
            yield check
        except (DBAPIError, PenstockError) as error:
            try:
                check()
            except StoreNotCreated as gone:
                raise gone from error
            raise
