"""The socket of a connection: whether data waits in it, and how it is closed."""

from __future__ import annotations

import os
import select
import socket
import time
from asyncio import get_running_loop
from contextlib import contextmanager, nullcontext, suppress
from threading import Event
from typing import TYPE_CHECKING, Any

from penstock.backends.asyncio_compat import close_at_once, loop_of, transport_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator

_FAREWELL = 1.0
"""Seconds to wait for a session's end after it was closed."""

_STANDSTILL = 0.05


def is_quiet(descriptor: int) -> bool:
    """Whether nothing has arrived at an idle connection: an ended session says so before it goes.

    Args:
        descriptor: The file descriptor of its socket; negative once that is closed.
    """
    if descriptor < 0:
        return False
    line = select.poll()
    line.register(descriptor, select.POLLIN)
    return not line.poll(0)


@contextmanager
def line_kept(descriptor: int) -> Iterator[None]:
    """Hang up in the block, and wait until the session has ended: until then the server counts it.

    The server's process leaves the list of sessions before the kernel closes its socket.
    """
    kept = os.dup(descriptor)
    with socket.socket(fileno=kept) as line:
        yield
        with suppress(OSError):  # It has ended already.
            line.shutdown(socket.SHUT_WR)
            _read_to_the_end(kept)


def is_quiet_in_loop(raw: Any) -> bool:
    """The same question of a connection of asyncpg's or asyncmy's; False once it has no line."""
    transport = transport_of(raw)
    line = None if transport is None else transport.get_extra_info("socket")
    return line is not None and is_quiet(line.fileno())


def end_in_loop(raw: Any, terminate: Callable[[], object]) -> None:
    """End a connection that belongs to an event loop, whatever became of that, and wait until it has ended.

    Args:
        raw: A connection of asyncpg's or asyncmy's.
        terminate: Ends it; called in the loop, if that still runs.
    """
    loop, transport, ended = loop_of(raw), transport_of(raw), Event()
    if transport is None:
        return

    def end() -> None:
        terminate()
        loop.call_soon(ended.set)  # The transport is closed in the loop's next turn, just before this.

    line = transport.get_extra_info("socket")
    descriptor = -1 if line is None else line.fileno()
    with line_kept(descriptor) if descriptor >= 0 else nullcontext(), suppress(RuntimeError):
        if _runs_here(loop):
            end()
            return
        loop.call_soon_threadsafe(end)
    _await(ended, loop)
    if loop.is_closed():
        with suppress(RuntimeError):  # It can't be told any more.
            terminate()
        close_at_once(transport)


def _read_to_the_end(descriptor: int) -> None:
    arrivals = select.poll()
    arrivals.register(descriptor, select.POLLIN)
    end = time.monotonic() + _FAREWELL
    while (left := end - time.monotonic()) > 0 and arrivals.poll(left * 1000):
        if not os.read(descriptor, 4096):
            return


def _runs_here(loop: AbstractEventLoop) -> bool:
    try:
        return get_running_loop() is loop
    except RuntimeError:
        return False


def _await(ended: Event, loop: AbstractEventLoop) -> None:
    """Wait until the loop has done what it was told, but not for one that stands still or is closed."""
    end = time.monotonic() + (_FAREWELL if loop.is_running() else _STANDSTILL)
    while not loop.is_closed() and time.monotonic() < end:
        if ended.wait(0.005):
            return
