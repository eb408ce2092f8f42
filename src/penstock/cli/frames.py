"""Which lines of a traceback are an app's own."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from penstock.errors import InitializerError, PenstockError, UnknownApp

_OURS = str(Path(__file__).parents[1])
_STANDARD = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
_INSTALLED = ("site-packages", "dist-packages")
_BETWEEN = ("alembic", "click", "sqlalchemy")
"""What may run before an app's code does, as for its listeners."""

_BY_APPS = (InitializerError, UnknownApp)
"""What is raised for the code of an app, which may be installed as the libraries are that it uses."""

_MOST = 12


def app_frames(error: BaseException) -> list[str]:
    """Where in the code of an app an error came from, outermost first, two lines a frame; none if it did not.

    Args:
        error: What was raised; of an error of Penstock's, what caused it counts.
    """
    cause = _cause(error)
    if cause is None:
        return []
    frames = traceback.extract_tb(cause.__traceback__)
    found = _own(frames, _called(frames) if isinstance(error, _BY_APPS) else None)
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


def _own(frames: traceback.StackSummary, called: str | None) -> list[traceback.FrameSummary]:
    """The frames outside of what is installed, or in the package that is the app's."""
    packages = {"", called} - {None}
    return [frame for frame in frames if _package(frame.filename) in packages]


def _called(frames: traceback.StackSummary) -> str | None:
    """The package of the app, which Penstock called first."""
    packages = (_package(frame.filename) for frame in frames)
    return next((package for package in packages if package is not None and package not in _BETWEEN), None)


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
