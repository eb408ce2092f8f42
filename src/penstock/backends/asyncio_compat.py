"""What asyncio, asyncpg and asyncmy know of a line, and have no public name for."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

# A release of theirs that has them otherwise fails tests/unit/backends/test_drivers.py.


def transport_of(raw: Any) -> Any:
    """What a connection of asyncpg's or asyncmy's sends with; None once that is gone."""
    return raw._transport


def loop_of(raw: Any) -> AbstractEventLoop:
    """The event loop that it was made in."""
    loop: AbstractEventLoop = raw._loop
    return loop


def close_at_once(transport: Any) -> None:
    """Do what the loop would have done, had it not been closed: asyncio has no other word for it."""
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
    with suppress(AttributeError, RuntimeError):  # uvloop has closed its own.
        inner._call_connection_lost(None)
