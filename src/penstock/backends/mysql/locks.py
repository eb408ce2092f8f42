"""Locks that all users of a server share by their names."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.address import missing
from penstock.backends.mysql.faults import translated
from penstock.backends.mysql.sessions import has_database, maintenance
from penstock.errors import StoreBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress, Server

_SHARERS = 64
"""How many can share a lock at a time."""

_TAKE = text("SELECT GET_LOCK(:name, :seconds)")
_LET_GO = text("SELECT RELEASE_LOCK(:name)")
_PAUSE = 0.05


@contextmanager
def store_lock(address: DatabaseAddress, timeout: float, on: Connection | None = None) -> Iterator[None]:
    """Hold the lock of a store, whose database must be there by then.

    Args:
        address: The store.
        timeout: Seconds to wait.
        on: The session that has it until that ends; by default one of its own, for the block.
    """
    with maintenance(address.server) if on is None else nullcontext(on) as connection:
        what = f"The store's database {address.database} can't be locked for a sync."
        try:
            if not _take(connection, f"store {address.database}", timeout):
                raise StoreBusy(
                    what,
                    why=f"Another sync has had it for longer than {timeout:g} seconds.",
                    hint="Wait for the other sync to end, then run the command again.",
                )
            if not has_database(connection, address.database):
                raise missing(address)
        except DBAPIError as error:
            raise translated(error, what) from error
        yield


@contextmanager
def named_lock(server: Server, name: str, *, shared: bool, timeout: float) -> Iterator[None]:
    """Hold a lock, or have it with others who share it.

    The server's own locks are had by one alone. So there is a gate, through which one goes at a time, and a
    row of places behind it: who shares takes one of them, who wants it alone stays in the gate and waits
    for all of them.
    """
    end = time.monotonic() + timeout
    with maintenance(server) as connection:
        held = _take(connection, f"{name} gate", timeout)
        held = held and (_take_one if shared else _take_all)(connection, name, end)
        if not held:
            raise StoreBusy(f"Another process has the lock {name} on service {server.service}.")
        if shared:
            connection.execute(_LET_GO, {"name": _hashed(f"{name} gate")})
        yield


def _take_one(connection: Connection, name: str, end: float) -> bool:
    while True:
        if any(_take(connection, f"{name} {number}", 0) for number in range(_SHARERS)):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)


def _take_all(connection: Connection, name: str, end: float) -> bool:
    places = (f"{name} {number}" for number in range(_SHARERS))
    return all(_take(connection, place, end - time.monotonic()) for place in places)


def _take(connection: Connection, name: str, seconds: float) -> bool:
    asked = {"name": _hashed(name), "seconds": max(seconds, 0)}
    return bool(connection.execute(_TAKE, asked).scalar())


def _hashed(name: str) -> str:
    """A name of at most 64 characters, as the server takes it."""
    return f"penstock {hashlib.sha256(name.encode()).hexdigest()[:48]}"
