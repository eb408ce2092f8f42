"""Databases that were dropped are kept under another name, and nobody is let in."""

from __future__ import annotations

import time
from secrets import token_hex
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from penstock.backends.postgresql.faults import IN_USE, NOT_THERE, sqlstate_of, translated
from penstock.backends.postgresql.sessions import maintenance, missing

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from penstock.backends.place import Place

_NAME_BYTES = 63
_ATTEMPTS = 10
_PAUSE = 0.1
_END_SESSIONS = """
    SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE datname = :name AND pid <> pg_catalog.pg_backend_pid()
      AND pg_catalog.pg_has_role(usesysid, 'USAGE')"""


def aside_name(database: str, when: datetime) -> str:
    """What a database is called while it is kept."""
    ending = f"_dropped_{when:%Y%m%d%H%M%S}_{token_hex(2)}"
    kept = database.encode()[: _NAME_BYTES - len(ending)]
    return kept.decode(errors="ignore") + ending


def set_aside(place: Place, name: str) -> None:
    """Rename a database and close its door, in one transaction; sessions in it are ended first.

    Raises:
        StoreBusy: Somebody uses it whom the service's role can't send away.
        StoreNotCreated: It is not there.
    """
    with maintenance(place.server) as connection:
        for attempt in range(_ATTEMPTS):
            connection.execute(text(_END_SESSIONS), {"name": place.database})
            try:
                _rename(connection, place.database, name, let_in=False)
                return
            except DBAPIError as error:
                _check(error, place, again=attempt < _ATTEMPTS - 1)
            time.sleep(_PAUSE)


def let_in(place: Place) -> None:
    """Open the door of a database again."""
    with maintenance(place.server) as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        try:
            connection.exec_driver_sql(f"ALTER DATABASE {quote(place.database)} ALLOW_CONNECTIONS true")
        except DBAPIError as error:
            raise translated(error, f"The database {place.database} can't be opened again.") from error


def bring_back(place: Place, name: str) -> None:
    """Give a database its name again, and open its door."""
    with maintenance(place.server) as connection:
        try:
            _rename(connection, place.database, name, let_in=True)
        except DBAPIError as error:
            raise translated(error, f"The database {place.database} can't be renamed to {name}.") from error


def _rename(connection: Connection, old: str, new: str, *, let_in: bool) -> None:
    """Both in one transaction; the renaming waits for a few seconds until others have left."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    done = False
    connection.exec_driver_sql("BEGIN")
    try:
        connection.exec_driver_sql(f"ALTER DATABASE {quote(old)} RENAME TO {quote(new)}")
        connection.exec_driver_sql(f"ALTER DATABASE {quote(new)} ALLOW_CONNECTIONS {str(let_in).lower()}")
        connection.exec_driver_sql("COMMIT")
        done = True
    finally:
        if not done:
            connection.exec_driver_sql("ROLLBACK")


def _check(error: DBAPIError, place: Place, *, again: bool) -> None:
    """Go on only if somebody came in meanwhile."""
    state = sqlstate_of(error)
    if state == NOT_THERE:
        raise missing(place) from error
    if state != IN_USE or not again:
        raise translated(error, f"The database {place.database} can't be set aside.") from error
