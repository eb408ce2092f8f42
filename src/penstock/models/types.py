"""Column types that keep what they are given, or refuse it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.types import TypeDecorator

from penstock.backends.datetimes import (
    UTC_DATETIME,
    UTC_DATETIME_IMPORT,
    UTC_DATETIME_SOURCE,
    AlwaysAware,
    UTCNow,
)
from penstock.errors import InvalidValue

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Dialect
    from sqlalchemy.types import TypeEngine


class _InvalidValue(InvalidValue, DontWrapMixin):
    """The same, as SQLAlchemy lets it through: its own error would repeat the values."""


class UTCDateTime(AlwaysAware, TypeDecorator[datetime]):
    """Aware datetimes go in, of any time zone, and come out in UTC, on every server.

    To the microsecond, on MariaDB too. A datetime without a time zone is refused, in a condition as in a
    row.

    Raises:
        InvalidValue: Something else is given, when the statement is executed.
    """

    impl = UTC_DATETIME
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> datetime | None:
        """The same in UTC."""
        return None if value is None else _in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What was stored, in UTC."""
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        """What a datetime is added to may be a span of time."""
        if value is None or isinstance(value, datetime | str):
            return self
        return self.impl_instance.coerce_compared_value(op, value)

    def __repr__(self) -> str:
        return "UTCDateTime()"


def utc_now() -> ColumnElement[datetime]:
    """The time by the server's clock, for `server_default`, `onupdate` and statements.

    On PostgreSQL, that is when the transaction began. SQLite tells it to the millisecond.

    >>> print(utc_now())
    CURRENT_TIMESTAMP
    """
    return UTCNow(UTCDateTime())


def render_item(kind: str, item: Any, context: Any) -> str | bool:
    """How Alembic writes the types of `penstock.models` in a migration: as those of SQLAlchemy.

    Give it to `context.configure(render_item=render_item)` in `env.py`; else a migration names
    `penstock.models.types.UTCDateTime` and does not import it.

    Args:
        kind: What kind of thing is written.
        item: The thing.
        context: What the migration imports is added to it.
    """
    if kind != "type" or not isinstance(item, UTCDateTime):
        return False
    context.imports.add(UTC_DATETIME_IMPORT)
    return UTC_DATETIME_SOURCE


def _in_utc(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise _InvalidValue(
            f"This column takes datetimes, not {type(value).__name__}.",
            hint="Give a datetime with a time zone: datetime.now(UTC), datetime.fromisoformat(…).",
        )
    if value.utcoffset() is None:
        raise _InvalidValue(
            "This column takes no datetime without a time zone.",
            why="Nobody can tell which hour it means.",
            hint="Give it its time zone: value.replace(tzinfo=UTC), or datetime.now(UTC).",
        )
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise _InvalidValue("A datetime is outside the years 1 to 9999 of UTC.") from error
