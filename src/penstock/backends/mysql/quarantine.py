"""Databases that were dropped are kept under another name: their tables are moved."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from penstock.backends.address import missing
from penstock.backends.mysql import copies, ending
from penstock.backends.mysql.faults import translated
from penstock.backends.mysql.locks import store_lock
from penstock.backends.mysql.sessions import has_database, maintenance
from penstock.errors import StoreBusy, StoreNotCreated

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress

_NAME_LENGTH = 64
_PATIENCE = 10.0
"""Seconds to wait for others who are at work on a database."""

_ASIDE = re.compile(r"_dropped_\d{14}_[0-9a-f]{4}\Z")


def quarantine_name(database: str, when: datetime) -> str:
    """What a database is called while it is kept."""
    ending_ = f"_dropped_{when:%Y%m%d%H%M%S}_{token_hex(2)}"
    return database[: _NAME_LENGTH - len(ending_)] + ending_


def is_quarantined(database: str) -> bool:
    """Whether a database is called as one that is kept."""
    return _ASIDE.search(database) is not None


def quarantine(address: DatabaseAddress, name: str) -> None:
    """Move a database's tables to another one, and drop it; sessions in it are ended.

    A database has no name that could be changed. Until the tables have been moved, all at once, the new
    one counts as not there; from then on, what is left of the old one is empty, and counts as nothing.

    Raises:
        StoreBusy: Somebody uses it whom the service's user can't send away.
        StoreNotCreated: It is not there.
        NotSupported: There is something in it that can't be moved: a view, a trigger, a routine.
    """
    what = f"The database {address.database} can't be set aside."
    with maintenance(address.server) as connection:
        if not has_database(connection, address.database):
            raise missing(address)
        try:
            _move(connection, address, name, what)
        except DBAPIError as error:
            raise translated(error, what) from error


def restore(address: DatabaseAddress, name: str) -> None:
    """Move the tables of a database that was set aside back to where they were."""
    what = f"The database {address.database} can't be brought back as {name}."
    with maintenance(address.server) as connection:
        try:
            _move(connection, address, name, what)
        except DBAPIError as error:
            raise translated(error, what) from error


def drop_remains(address: DatabaseAddress) -> None:
    """Drop a database from which all tables were moved, or to which none were; one in use is left alone."""
    with (
        suppress(StoreBusy, StoreNotCreated),
        store_lock(address, _PATIENCE),
        maintenance(address.server) as connection,
    ):
        try:
            if copies.is_empty(connection, address.database):
                ending.drop(connection, address.database)
        except DBAPIError as error:
            raise translated(error, f"The database {address.database} can't be dropped.") from error


def _move(connection: Connection, address: DatabaseAddress, new: str, what: str) -> None:
    """Move all tables; whoever finds a database empty must not drop it while they come there."""
    old = address.database
    copies.check_only_tables(connection, old, what)
    copies.create(connection, new)
    try:
        with store_lock(replace(address, database=new), _PATIENCE):
            ending.without_sessions(connection, old, lambda: copies.move_tables(connection, old, new, what))
    finally:
        for each in (new, old):
            if not copies.tables_of(connection, each):
                ending.drop(connection, each)
                break
