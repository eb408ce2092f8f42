"""Which lines of a traceback are an app's own."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = str(Path(__file__).parents[1])
_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")
_BETWEEN = ("alembic", "click", "sqlalchemy")
"""What may run before an app's code does, as for its listeners."""

_MOST = 12


def app_frames(error: BaseException) -> list[str]:
    """Where in the code of an app an error came from, outermost first, two lines a frame; none if it did not.

    Args:
        error: What was raised; of an error of Penstock's, what caused it counts.
    """
    cause = _cause(error)
    if cause is None:
        return []
    found = list(_own(traceback.extract_tb(cause.__traceback__)))
    if isinstance(cause, SyntaxError) and cause.filename and _package(cause.filename) is not None:
        text = (cause.text or "").strip()
        found.append(traceback.FrameSummary(cause.filename, cause.lineno or 1, "", line=text))
    left_out = ["…"] if len(found) > _MOST else []
    return left_out + [line for frame in found[-_MOST:] for line in _lines(frame)]


def _cause(error: BaseException) -> BaseException | None:
    """What an error of Penstock's was made from, which is not one itself."""
    cause: BaseException | None = error
    while isinstance(cause, PenstockError):
        cause = cause.__cause__
    return cause


def _own(frames: traceback.StackSummary) -> Iterator[traceback.FrameSummary]:
    """The frames of the app: outside of what is installed, or in the package that Penstock called."""
    called = next((p for f in frames if (p := _package(f.filename)) is not None and p not in _BETWEEN), None)
    return (frame for frame in frames if called is not None and _package(frame.filename) in ("", called))


def _package(filename: str) -> str | None:
    """The package that an installed file belongs to; empty for one that is not installed; None for others.

    Others are files of Penstock and of Python itself, and what is no file.
    """
    if filename.startswith(("<", _OURS)):
        return None
    parts = Path(filename).parts
    for folder in _INSTALLED:
        if folder in parts:
            return parts[parts.index(folder) + 1].removesuffix(".py")
    return None if filename.startswith(_STANDARD) else ""


def _lines(frame: traceback.FrameSummary) -> list[str]:
    inside = f", in {frame.name}" if frame.name and not frame.name.startswith("<") else ""
    place = f"{frame.filename}:{frame.lineno}{inside}"
    return [place, f"    {frame.line}"] if frame.line else [place]
