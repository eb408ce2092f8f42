"""Lets this process see what pip has just installed, or exchanged under it."""

from __future__ import annotations

import importlib
import re
import site
import sys
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

from penstock import importing
from penstock.errors import InstallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OURS = "penstock"
_NAME = re.compile(r"[\w.-]+")


@contextmanager
def fresh_imports() -> Iterator[None]:
    """Around a run of pip: what is new after it can be imported, editable installs included."""
    before = _path_files()
    try:
        yield
    finally:
        _take_up(before)


def look_in(folder: Path, package: str) -> None:
    """Make a package that is not installed importable from a folder, which may be the package itself."""
    folder = folder.resolve()
    is_package = folder.name == package and not (folder / package).is_dir()
    importing.look_in([str(folder.parent if is_package else folder)])


def own_versions() -> dict[str, str]:
    """The versions of Penstock and of all that it is made of, as they are installed now."""
    found = {}
    for requirement in (_OURS, *(requires(_OURS) or ())):
        name = _NAME.findall(requirement)[0]
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def need_same(before: Mapping[str, str]) -> None:
    """Raise InstallFailed if something that this process has loaded has been exchanged since.

    Args:
        before: What `own_versions` said.
    """
    now = own_versions()
    changed = [f"{name} {old} by {now.get(name)}" for name, old in before.items() if now.get(name) != old]
    if changed:
        raise InstallFailed(
            f"pip has exchanged what Penstock itself uses: {', '.join(changed)}.",
            why="This process has begun with the old ones, so it can't go on.",
            hint="Run the same command once more.",
        )


def _folders() -> list[str]:
    """Where distributions are installed."""
    return [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]


def _path_files() -> dict[Path, bytes]:
    """The files by which folders elsewhere are added to the path, as editable installs do."""
    return {file: file.read_bytes() for folder in _folders() for file in sorted(Path(folder).glob("*.pth"))}


def _take_up(before: Mapping[Path, bytes]) -> None:
    for folder in _folders():
        if Path(folder).is_dir() and folder not in sys.path:
            site.addsitedir(folder)
    for file, content in _path_files().items():
        if before.get(file) != content:
            site.addpackage(str(file.parent), file.name, None)
    importlib.invalidate_caches()
