"""Databases that were dropped are kept under another name, and nobody is let in."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from penstock.backends.address import missing
from penstock.backends.postgresql.ending import without_sessions
from penstock.backends.postgresql.faults import NOT_THERE, sqlstate_of, translated
from penstock.backends.postgresql.sessions import maintenance

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from penstock.backends.address import DatabaseAddress

_NAME_BYTES = 63


def quarantine_name(database: str, when: datetime) -> str:
    """What a database is called while it is kept."""
    ending = f"_dropped_{when:%Y%m%d%H%M%S}_{token_hex(2)}"
    kept = database.encode()[: _NAME_BYTES - len(ending)]
    return kept.decode(errors="ignore") + ending


def quarantine(address: DatabaseAddress, name: str) -> None:
    """Rename a database and close its door, in one transaction; sessions in it are ended first.

    Raises:
        StoreBusy: Somebody uses it whom the service's role can't send away.
        StoreNotCreated: It is not there.
    """
    with maintenance(address.server) as connection:

        def rename() -> None:
            _rename(connection, address.database, name, allow_connections=False)

        try:
            without_sessions(connection, address.database, rename)
        except DBAPIError as error:
            if sqlstate_of(error) == NOT_THERE:
                raise missing(address) from error
            raise translated(error, f"The database {address.database} can't be set aside.") from error


def allow_connections(address: DatabaseAddress) -> None:
    """Open the door of a database again."""
    with maintenance(address.server) as connection:
        quote = connection.dialect.identifier_preparer.quote_identifier
        try:
            connection.exec_driver_sql(f"ALTER DATABASE {quote(address.database)} ALLOW_CONNECTIONS true")
        except DBAPIError as error:
            raise translated(error, f"The database {address.database} can't be opened again.") from error


def restore(address: DatabaseAddress, name: str) -> None:
    """Give a database its name again, and open its door."""
    with maintenance(address.server) as connection:
        try:
            _rename(connection, address.database, name, allow_connections=True)
        except DBAPIError as error:
            raise translated(error, f"The database {address.database} can't be renamed to {name}.") from error


def _rename(connection: Connection, old: str, new: str, *, allow_connections: bool) -> None:
    """Both in one transaction; the renaming waits for a few seconds until others have left."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    done = False
    connection.exec_driver_sql("BEGIN")
    try:
        connection.exec_driver_sql(f"ALTER DATABASE {quote(old)} RENAME TO {quote(new)}")
        connection.exec_driver_sql(
            f"ALTER DATABASE {quote(new)} ALLOW_CONNECTIONS {str(allow_connections).lower()}"
        )
        connection.exec_driver_sql("COMMIT")
        done = True
    finally:
        if not done:
            connection.exec_driver_sql("ROLLBACK")
