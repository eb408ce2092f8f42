"""Turns a driver's error, and what was found out about it, into Penstock's own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from penstock.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.errors import PenstockError


def cause_of(error: BaseException | None) -> BaseException | None:
    """The driver's error, out of SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) else error


def found_in(error: BaseException) -> ServerError | None:
    """What was found out of a connection that was refused; it is the cause of the driver's error."""
    cause = cause_of(error)
    found = None if cause is None else cause.__cause__
    return found if isinstance(found, ServerError) else None


@contextmanager
def explained(translate: Callable[[Exception, str], PenstockError], what: str) -> Iterator[None]:
    """Raise errors of the block's statements as ours.

    Args:
        translate: Makes one of a driver's error.
        what: What could not be done.
    """
    try:
        yield
    except DBAPIError as error:
        raise translate(error, what) from error
