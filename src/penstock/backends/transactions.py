"""Runs work in the caller's transaction, or in one of its own."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


class Transactions(Protocol):
    """How one dialect begins transactions, and loses them."""

    def autocommits(self, connection: Connection) -> bool:
        """Whether the next statement would be a transaction by itself, which nobody would have to commit."""

    def begin(self, connection: Connection) -> bool:
        """See to it that the server is in a transaction, where a savepoint would be one by itself.

        Returns:
            Whether it is a transaction of its own, since the connection is in autocommit.
        """

    def ended(self, error: Exception) -> bool:
        """Whether a server's error has ended the transaction, with all that was done in it."""


@contextmanager
def savepoint(connection: Connection, backend: Transactions, name: str = "penstock_rows") -> Iterator[None]:
    """In the block, a failure leaves the transaction as it was before; or ends it, where the server did.

    It costs less than SQLAlchemy's own. In autocommit it is a transaction.

    Args:
        connection: Where.
        backend: Of the connection.
        name: What the server calls it; another one than that of a savepoint around it.
    """
    if backend.begin(connection):
        with _committed(connection):
            yield
        return
    connection.exec_driver_sql(f"SAVEPOINT {name}")
    try:
        yield
    except BaseException as error:
        with suppress(SQLAlchemyError):  # What went wrong first is what is told.
            _undo(connection, name, ended=isinstance(error, DBAPIError) and backend.ended(error))
        raise
    connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")


@contextmanager
def _committed(connection: Connection) -> Iterator[None]:
    """In the block is a transaction that SQLAlchemy does not know of: in autocommit it ends none."""
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        with suppress(SQLAlchemyError):
            connection.exec_driver_sql("ROLLBACK")
        raise


def _undo(connection: Connection, name: str, *, ended: bool) -> None:
    whole = connection.get_transaction()
    if whole is not None and ended:
        whole.rollback()  # Else what was done in it would be missed by nobody.
    elif whole is not None:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")
