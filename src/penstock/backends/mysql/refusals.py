"""Raises the errors of refused rows that SQLAlchemy raises on other servers."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from pymysql.constants import ER
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from penstock.backends import refusals as known
from penstock.backends.mysql.faults import number_of, words_of
from penstock.backends.refusals import numbered, spelled, unsent
from penstock.backends.rows import Unfit, Writing
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

ANOTHER = "(SELECT NULL UNION ALL SELECT NULL)"
"""Where a statement meets this, another row is in the way than the one that is meant: it fails."""

_ANOTHER_IS_THERE = 1242
_DUPLICATE = 1062
_DEADLOCK = 1213
# Refusals of a row that the driver takes for troubles of the server: what is missing or forbidden, by a
# constraint, a view or a trigger; and values that a column can't hold.
_CONSTRAINTS = frozenset({1364, 1369, 1644, 3819, 4025})
_VALUES = frozenset({1264, 1292, 1366, 1411, 1416, 1690, 1906, 3105, 3140, 4079})

_NAMES_CONSTRAINT = frozenset({1062, 1451, 1452, 3819, 4025})

_NAMED = re.compile(r"(?:[Cc]olumn|Field|CONSTRAINT|for key) (?:[`'][^`']+[`']\.)*[`']([^`']+)[`']")

_WHY = {
    **dict.fromkeys((1048, 1364), known.NULL),
    **dict.fromkeys((1062, 1586), known.UNIQUE),
    **dict.fromkeys((1216, 1217, 1451, 1452), known.REFERENCE),
    **dict.fromkeys((1369, 3819, 4025), known.CHECK),
    1406: known.TOO_LONG,
    **dict.fromkeys((1264, 1690), known.TOO_LARGE),
    **dict.fromkeys((1265, 1292, 1366, 1411, 1416, 4079), known.NO_VALUE),
    1300: known.NO_TEXT,
    **dict.fromkeys((1906, 3105), known.GENERATED),
    1644: known.BY_TRIGGER,
}

_NAMES = {number: name for name, number in vars(ER).items() if isinstance(number, int)}
"""What the server's errors are called."""

# With limits of their own, since sql_select_limit may be less.
_UNIQUE = text("""
    SELECT index_name, column_name FROM information_schema.statistics
    WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :table AND non_unique = 0
    LIMIT 1000000""")

_GENERATED = text("""
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :table
    AND COALESCE(generation_expression, '') <> ''
    LIMIT 1000000""")


def check_writable(writing: Writing) -> None:
    """Raise Unfit for a column whose values the server makes: it would not say so in every statement."""
    for place, column in enumerate(writing.columns):
        if column.computed is not None:
            raise Unfit(0, place)


def check_updatable(connection: Connection, writing: Writing) -> None:
    """Raise Unfit for the same, where only the server knows: an UPDATE by a join leaves it out in silence."""
    asked = {"schema": writing.table.schema, "table": writing.table.name}
    made = {str(name).lower() for name in connection.execute(_GENERATED, asked).scalars()}
    for place, column in enumerate(writing.columns):
        if column.name.lower() in made and column in writing.update:
            raise Unfit(0, place)


def check_key(connection: Connection, writing: Writing) -> None:
    """Refuse a key by which rows can't be told apart: the server has no word for it, and takes any.

    Raises:
        NotSupported: No unique key has these columns.
    """
    if not writing.key or set(writing.key) == set(writing.table.primary_key):
        return
    asked = {"schema": writing.table.schema, "table": writing.table.name}
    found: dict[str, set[str]] = {}
    for index, name in connection.execute(_UNIQUE, asked):
        found.setdefault(str(index), set()).add(str(name).lower())
    wanted = {column.name.lower() for column in writing.key}
    if wanted not in found.values():
        raise NotSupported(
            f"Rows of {writing.table.name} can't be told apart by {', '.join(sorted(wanted))}.",
            why="There is no unique key of these columns.",
            hint="Name the columns of one, or of the primary key.",
        )


def why_refused(error: Exception) -> str:
    """Why a row is refused: what its number means, since the server quotes values."""
    number = number_of(error)
    if number is None:
        return unsent(error)
    return numbered(_WHY.get(number) or spelled(_NAMES.get(number, "error")), f"error {number}")


def column_of(error: Exception, writing: Writing) -> str:
    """The column that an error means, or the constraint; empty if the server does not say.

    What stands last in a message is the server's, before that may be a value that looks the same.
    """
    named = _NAMED.findall(words_of(error))
    if not named or number_of(error) is None:
        return ""
    name = str(named[-1])
    columns = {column.name.lower() for column in writing.table.columns}
    return name if number_of(error) in _NAMES_CONSTRAINT or name.lower() in columns else ""


def has_ended(error: Exception) -> bool:
    """Whether a transaction is gone, since its locks and another's were in each other's way."""
    return number_of(error) == _DEADLOCK


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
