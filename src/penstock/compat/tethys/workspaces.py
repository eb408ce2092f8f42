"""Folders for the files of an app, and the decorators that hand them over."""

from __future__ import annotations

import shutil
import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.current import current_stores
from penstock.errors import InvalidName, UnknownApp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from penstock.app import App

__all__ = [
    "TethysWorkspace",
    "app_workspace",
    "get_app_workspace",
    "get_user_workspace",
    "user_workspace",
]

FOLDERS: Mapping[str, tuple[str, ...]] = {
    "app_workspace": ("workspaces", "{package}", "app_workspace"),
    "user_workspace": ("workspaces", "{package}", "user_workspaces", "{user}"),
    "app_media": ("media", "{package}", "app"),
    "user_media": ("media", "{package}", "user", "{user}"),
    "app_resources": ("resources",),
    "app_public": ("public",),
}
"""Where each kind of folder is: beside `penstock.toml`; the last two in the app's package."""

_OF_PACKAGE = ("app_resources", "app_public")
_NOBODY = "anonymous_user"
_UNITS = ("b", "kb", "mb", "gb", "tb", "pb")
_apps: dict[str, type[App]] = {}


# --- where ----------------------------------------------------------------------------------------


def remember_app(app: type[App]) -> None:
    """Know a class by its package, so that a controller of that package finds it."""
    _apps[app.package] = app


def app_class_of(asked: Any) -> type[App]:
    """The class of an app, given that class, an object of it, or a function of its package."""
    if hasattr(asked, "persistent_store_settings"):
        found: type[App] = asked if isinstance(asked, type) else type(asked)
        return found
    parts = str(getattr(asked, "__module__", "")).split(".")
    for package in (*parts[1:2], *parts[:1]):
        if package in _apps:
            return _apps[package]
    raise UnknownApp(
        f"Nobody knows the app of {asked!r}.",
        hint="Give the app's class; a request says it only in a portal.",
    )


def folder_of(app: type[App], kind: str, user: Any = None) -> Path:
    """The folder of one kind for an app, or for a user of it; made if it is not there.

    Raises:
        InvalidName: The user's name can't be that of a folder.
    """
    if kind in _OF_PACKAGE:
        root = Path(str(sys.modules[app.__module__].__file__)).parent
    else:
        config = current_stores().config
        root = Path.cwd() if config is None else config.path.parent
    names = {"package": app.package, "user": _username(user)}
    folder = root.joinpath(*(part.format(**names) for part in FOLDERS[kind])).resolve()
    if kind not in _OF_PACKAGE:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _username(user: Any) -> str:
    user = getattr(user, "user", user)  # A request has its user.
    name = str(getattr(user, "username", "" if user is None else user)) or _NOBODY
    if name.startswith(".") or not set(name).isdisjoint("/\\\0"):
        raise InvalidName(f"{name!r} can't be the name of a user's folder.")
    return name


# --- what is in it --------------------------------------------------------------------------------


class TethysPath:
    """A folder of files.

    Args:
        path: Where it is.
        read_only: Whether nothing in it may be removed; default False.
    """

    def __init__(self, path: Path | str, read_only: bool = False) -> None:
        self._path = Path(path).resolve()
        self.read_only = read_only

    @property
    def path(self) -> Any:
        """Where it is."""
        return self._path

    def files(self, names_only: bool = False) -> list[Any]:
        """The files in it: their paths, or their names."""
        return self._listed(Path.is_file, names_only=names_only)

    def directories(self, names_only: bool = False) -> list[Any]:
        """The folders in it: their paths, or their names."""
        return self._listed(Path.is_dir, names_only=names_only)

    def clear(
        self, exclude: Iterable[Any] = (), exclude_files: bool = False, exclude_directories: bool = False
    ) -> None:
        """Remove what is in it.

        Args:
            exclude: Names or paths that stay.
            exclude_files: Whether all files stay.
            exclude_directories: Whether all folders stay.
        """
        kept = {str(each) for each in exclude}
        for item in self._items():
            stays = exclude_directories if item.is_dir() else exclude_files
            if not stays and kept.isdisjoint((item.name, str(item))):
                self.remove(item)

    def remove(self, item: Any) -> None:
        """Remove a file or a folder in it.

        Raises:
            ValueError: It is somewhere else.
            PermissionError: The folder is for reading.
        """
        if self.read_only:
            raise PermissionError(f"{self._path} is for reading.")
        found = self._path / item
        where = found.parent.resolve() / found.name  # A link is removed itself, not what it leads to.
        if found.name in ("", "..") or self._path not in where.parents:
            raise ValueError(f"{str(item)!r} is not in this folder.")
        if where.is_dir() and not where.is_symlink():
            shutil.rmtree(where)
        else:
            where.unlink(missing_ok=True)

    def get_size(self, units: str = "b") -> float:
        """How large the files in it are, together, in `b`, `kb`, `mb`, `gb`, `tb` or `pb`."""
        total = sum(item.stat().st_size for item in self._items() if item.is_file())
        return total / 1024.0 ** _UNITS.index(units.lower())

    def _items(self) -> list[Path]:
        return sorted(self._path.iterdir()) if self._path.is_dir() else []

    def _listed(self, wanted: Callable[[Path], bool], *, names_only: bool) -> list[Any]:
        return [item.name if names_only else item for item in self._items() if wanted(item)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} path={str(self._path)!r}>"


class TethysWorkspace(TethysPath):
    """A folder of files whose paths are text."""

    @property
    def path(self) -> str:
        """Where it is."""
        return str(self._path)

    def files(self, full_path: bool = False) -> list[str]:
        """The files in it: their names, or their paths."""
        return [str(each) for each in super().files(names_only=not full_path)]

    def directories(self, full_path: bool = False) -> list[str]:
        """The folders in it: their names, or their paths."""
        return [str(each) for each in super().directories(names_only=not full_path)]


# --- getting it -----------------------------------------------------------------------------------


def get_app_workspace(app: Any, bypass_quota: bool = False) -> TethysWorkspace:
    """An app's folder for files; `app` is its class."""
    return TethysWorkspace(folder_of(app_class_of(app), "app_workspace"))


def get_user_workspace(app: Any, user: Any = None, bypass_quota: bool = False) -> TethysWorkspace:
    """The folder of a user of an app."""
    return TethysWorkspace(folder_of(app_class_of(app), "user_workspace", user))


def handing_over(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator by which a controller gets a folder as an argument of its kind's name."""

    def decorate(controller: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(controller)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            if kind not in options:
                user = next((a.user for a in arguments if hasattr(a, "user")), None)
                folder = folder_of(app_class_of(controller), kind, user)
                made = TethysWorkspace(folder) if kind.endswith("workspace") else TethysPath(folder)
                options[kind] = made
            return controller(*arguments, **options)

        return wrapper

    return decorate


app_workspace, user_workspace = handing_over("app_workspace"), handing_over("user_workspace")
