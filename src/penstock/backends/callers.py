"""Where in an app's code something is done, for messages about it."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

_LIBRARIES = ("penstock.", "sqlalchemy.", "contextlib.", "asyncio.", "threading.", "concurrent.")


def calling_code() -> str:
    """The innermost line that is neither Penstock's nor SQLAlchemy's: `file:line in function`; else empty."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_library(frame):
        frame = frame.f_back
    frame = frame or _frame_of_task()
    if frame is None:
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def caller() -> str:
    """Who runs: a task of an event loop, else a thread."""
    task = running_task()
    if task is not None:
        return f"task {task.get_name()}"
    return f"thread {threading.current_thread().name}"


def running_task() -> asyncio.Task[Any] | None:
    """The task of an event loop that runs here, if one does."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _frame_of_task() -> FrameType | None:
    """The same where SQLAlchemy's greenlet has a stack of its own, which ends with it."""
    task, found = running_task(), None
    awaited: Any = None if task is None else task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None and not _is_library(frame):
            found = frame
        awaited = getattr(awaited, "cr_await", None)
    return found


def _is_library(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return f"{name}.".startswith(_LIBRARIES)
