"""Refusals of rows, as SQLAlchemy has them for other servers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy.exc import DBAPIError, OperationalError

from penstock.backends.mysql.faults import number_of, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

ANOTHER = "(SELECT NULL UNION ALL SELECT NULL)"
"""Where a statement meets this, another row is in the way than the one that is meant: it fails."""

_ANOTHER_IS_THERE = 1242
_DUPLICATE = 1062
_DEADLOCK = 1213
# Refusals of a row that the driver takes for troubles of the server: what is missing or forbidden, and
# values that a column can't hold.
_CONSTRAINTS = frozenset({1364, 3819, 4025})
_VALUES = frozenset({1264, 1292, 1366, 1411, 1416, 1690, 3140, 4079})


def has_ended(error: Exception) -> bool:
    """Whether a transaction is gone, since its locks and another's were in each other's way."""
    return number_of(error) == _DEADLOCK


def wrapped(connection: Connection, statement: str, error: Exception) -> DBAPIError:
    """A driver's error as one of SQLAlchemy's family."""
    raw: Any = connection.connection.driver_connection
    if connection.dialect.is_disconnect(error, raw, None):  # type: ignore[arg-type]
        connection.invalidate(error)
    return _instance(connection, statement, error)


@contextmanager
def as_others(connection: Connection) -> Iterator[None]:
    """In the block, a refusal of a row is no OperationalError."""
    try:
        yield
    except OperationalError as error:
        number, driver = number_of(error), connection.dialect.loaded_dbapi
        if number == _ANOTHER_IS_THERE:
            made = driver.IntegrityError(_DUPLICATE, "Another row is there, by another key than is meant")
        elif number in _CONSTRAINTS:
            made = driver.IntegrityError(number, words_of(error))
        elif number in _VALUES:
            made = driver.DataError(number, words_of(error))
        else:
            raise
        raise _instance(connection, str(error.statement), made) from error


def _instance(connection: Connection, statement: str, error: Exception) -> DBAPIError:
    made = DBAPIError.instance(
        statement,
        None,
        error,
        connection.dialect.loaded_dbapi.Error,
        connection_invalidated=connection.invalidated,
        dialect=connection.dialect,
    )
    return cast("DBAPIError", made)
