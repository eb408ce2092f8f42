"""Lets listeners see a statement whose rows are sent apart, such as COPY."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Dialect

_Result = TypeVar("_Result")


def executed(connection: Connection, statement: str, work: Callable[[Any, str], _Result]) -> _Result:
    """Do something in the place of the driver's `execute`: a COPY, or a file that is loaded.

    SQLAlchemy does the rest, as for every statement: what listens to cursors and errors hears of it, an
    error of the driver's becomes one of SQLAlchemy's, a connection that is lost is invalidated.

    Args:
        connection: Where.
        statement: What listeners and errors show: without the rows.
        work: Does it; it is given a cursor, and the statement as listeners have left it.

    Returns:
        What `work` returns.

    Raises:
        DBAPIError: The driver raised an error.
    """
    instead = _Instead(connection.dialect, work)
    kept, connection.dialect = connection.dialect, cast("Dialect", instead)
    try:
        connection.exec_driver_sql(statement)
    finally:
        connection.dialect = kept
    return cast("_Result", instead.result)


class _Instead:
    """A dialect that does something else in the place of `execute`."""

    result: Any = None

    def __init__(self, dialect: Dialect, work: Callable[[Any, str], Any]) -> None:
        self._dialect = dialect
        self._work = work

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """See `Dialect.do_execute`."""
        self.result = self._work(cursor, statement)

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        """See `Dialect.do_execute_no_params`."""
        self.result = self._work(cursor, statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)
