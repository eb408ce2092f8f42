"""The settings of a session by which values are read and written alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

PINNED = {
    # What psycopg can read, and all digits of a number.
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    # A clock for all: of a moment in another zone Python could not hold the first and the last day.
    "TimeZone": "UTC",
    # What SQL means.
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    # A statement sees what others have committed before it, on which `get_or_create` rests.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
"""Settings of every session."""

PATIENT = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
"""Settings of Penstock's own sessions, besides: a lock is waited for, and held, for as long as it takes."""

_REPORTED = ("DateStyle", "TimeZone", "standard_conforming_strings")
"""The settings that a server reports by itself, and that a pooler keeps for each client."""

PORT = 5432
"""Where a server listens if an address does not say."""


def as_options(settings: Mapping[str, str]) -> str:
    """Settings as libpq's `options`, where a space has to be escaped."""
    return " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in settings.items())


def led_by_address(params: dict[str, Any]) -> dict[str, Any]:
    """How to connect where an address says, and not where PGHOSTADDR or PGPORT do."""
    if not params.get("host"):
        return params
    return {"hostaddr": "", "port": PORT} | params


def set_what_differs(raw: Any) -> None:
    """Set what a new session has otherwise: PGDATESTYLE and PGTZ count for more than options do.

    Args:
        raw: The connection, or SQLAlchemy's adapter of an asynchronous one.
    """
    known: psycopg.BaseConnection[Any] = getattr(raw, "driver_connection", raw)
    other = [name for name in _REPORTED if known.info.parameter_status(name) != PINNED[name]]
    if not other:
        return
    cursor = raw.cursor()
    for name in other:
        cursor.execute(f"SET {name} = '{PINNED[name]}'")
    cursor.close()
    raw.commit()
