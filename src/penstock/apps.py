"""Finds the apps: named, in penstock.toml, installed, beside penstock.toml."""

from __future__ import annotations

import os
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.app import App
from penstock.errors import AppUnsafe, PenstockError, UnknownApp
from penstock.importing import find_module, look_in
from penstock.registry import store_variable
from penstock.registry.layers import absent_config
from penstock.registry.trust import LARGEST, without_waiting
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from penstock.declare import AppDeclaration
    from penstock.stores import Stores

ENTRY_POINTS = "penstock.apps"
"""The group of entry points by which an installed distribution names its apps."""

_OLD_ROOT = "tethysapp"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundApp:
    """An app, or what was meant to be one.

    Args:
        package: Its package; for a broken one, what it is expected to be.
        target: Its class as `module:Class`.
        where: Who names it, for people: an option, a file and line, an entry point, a directory.
        error: Why it can't be used; None if it can.
    """

    package: str
    target: str
    where: str
    error: UnknownApp | None = None


def find_apps(stores: Stores, given: Sequence[str] = ()) -> FoundApps:
    """Register every app there is with `Stores`; one that is broken does not hide the others.

    The first one of a package wins, in this order: `given`, `[apps]` of `penstock.toml`, entry points
    of the group `penstock.apps`, and packages beside `penstock.toml`. The working directory is looked in only
    where classes are given, and for an app of which a variable says where its stores are. What somebody else
    could have written there is not imported; see `importing`.

    Args:
        stores: The `Stores` object.
        given: Classes as `module:Class`.

    >>> from penstock import MemoryRegistry, Stores
    >>> find_apps(Stores(MemoryRegistry()), ["no_such_module:Lab"]).broken[0].where
    '--app no_such_module:Lab'
    """
    found, config = FoundApps(stores, _folders(stores, given)), stores.config
    if given or (config is not None and config.apps):
        found.look_here()
    for target in given:
        found.add(target, f"--app {target}")
    if config is not None:
        for package, target in config.apps.items():
            line = config.lines.get(("apps", package), 1)
            found.add(target, f"{config.label}:{line}", package)
    for point in _entry_points():
        found.add(point.value, _origin(point))
    found.add_remembered()
    return found


def named_packages(stores: Stores, given: Sequence[str] = ()) -> list[str]:
    """The packages of the apps that `find_apps` would look for, without importing any of them.

    Args:
        stores: The `Stores` object.
        given: Classes as `module:Class`.

    >>> from penstock import MemoryRegistry, Stores
    >>> "lab" in named_packages(Stores(MemoryRegistry()), ["lab.app:Lab"])
    True
    """
    config = stores.config
    named = {_guess(target) for target in (*given, *(point.value for point in _entry_points()))}
    named |= set(() if config is None else config.apps)
    return sorted(named | _unnamed(stores, _folders(stores, given)))


class FoundApps:
    """The apps that were found, whole and broken.

    Args:
        stores: The `Stores` object that gets to know them.
        folders: Where apps are that are not installed.
    """

    def __init__(self, stores: Stores, folders: Sequence[str]) -> None:
        self._stores = stores
        self._found: dict[str, FoundApp] = {}
        self._classes: dict[str, type[App]] = {}
        self._folders = folders

    def __iter__(self) -> Iterator[FoundApp]:
        return iter([self._found[package] for package in sorted(self._found)])

    @property
    def broken(self) -> list[FoundApp]:
        """The apps that can't be used."""
        return [app for app in self if app.error is not None]

    def get(self, package: str) -> AppDeclaration:
        """The app of this package; one that nothing has named yet, too.

        Raises:
            UnknownApp: There is none, or it is broken; its cause says why.
        """
        if package not in self._found:
            self._look_for(package)
        found = self._found.get(package)
        if found is None:
            raise self._unknown(package)
        if found.error is not None:
            raise found.error
        return self._stores.declaration(package)

    def class_of(self, package: str) -> type[App]:
        """The class of the app of this package; see `get`."""
        self.get(package)
        return self._classes[package]

    def add(self, target: str, where: str, package: str = "") -> None:
        """Load and register the class at `module:Class`, unless its package is known already."""
        expected = package or _guess(target)
        try:
            app = _load(target)
            self._add_class(app, target, where, package)
        except (Exception, SystemExit) as error:
            self._add_broken(expected, target, where, _broken(target, where, error))

    def look_here(self) -> None:
        """Let modules be found beside `penstock.toml`, and in the working directory if an app is given."""
        look_in(self._folders)

    def add_remembered(self) -> None:
        """Look for the apps that nothing named: of remembered settings and stores, and those nearby."""
        packages, installed = _unnamed(self._stores, self._folders), set(_installed())
        for package in sorted((packages | installed) - set(self._found)):
            if package in installed or _is_in_environment(package) or self._is_here(package):
                self._look_for(package)

    def _add_class(self, app: type[App], target: str, where: str, package: str = "") -> None:
        if package and app.package != package:
            raise UnknownApp(f"The package of {target} is {app.package!r}, not {package!r}.")
        if app.package not in self._found:
            self._stores.register(app)
            self._classes[app.package] = app
            self._found[app.package] = FoundApp(package=app.package, target=target, where=where)

    def _look_for(self, package: str) -> None:
        """Look for an app by what its module would be called."""
        if not all(part.isidentifier() for part in package.split(".")):
            return
        self.look_here()
        if _is_in_environment(package):
            look_in(_here())
        for name in (f"{package}.app", package, f"{_OLD_ROOT}.{package}.app"):
            try:
                module = find_module(name)
                app = None if module is None else _class_of(module, package)
                if module is not None and app is not None:
                    self._add_class(app, f"{name}:{app.__name__}", _where(module))
                    return
            except (Exception, SystemExit) as error:
                where = f"module {name}"
                self._add_broken(package, name, where, _broken(name, where, error))
                return

    def _add_broken(self, package: str, target: str, where: str, error: UnknownApp) -> None:
        if package not in self._found:
            self._found[package] = FoundApp(package=package, target=target, where=where, error=error)
            self._stores.unused.broken_apps[package] = error

    def _is_here(self, package: str) -> bool:
        """Whether a directory we look in has a package, or module, of this name."""
        top = package.partition(".")[0]
        return any(PathFinder.find_spec(name, self._folders) for name in (top, _OLD_ROOT))

    def _unknown(self, package: str) -> UnknownApp:
        known = ", ".join(self._found) or "none"
        hint = did_you_mean(package, self._found)
        hint = hint or (
            "Install it, name it with --app module:Class, or run this below the penstock.toml beside it."
        )
        why = f"Known: {known}. {absent_config(self._stores.registry)}".rstrip()
        return UnknownApp(f"There is no app {package!r}.", why=why, hint=hint)


# --- loading --------------------------------------------------------------------------------------


def _load(target: str) -> type[App]:
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise UnknownApp(f"{target!r} does not name a class.", hint="Write module:Class.")
    found: object = import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part)
    if not (isinstance(found, type) and issubclass(found, App)):
        raise UnknownApp(f"{target} is no subclass of penstock.App.")
    return found


def _class_of(module: ModuleType, package: str) -> type[App] | None:
    classes = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, App)]
    return next((app for app in classes if app is not App and app.package == package), None)


def _guess(target: str) -> str:
    """The package that a class at this place would have if it said nothing else."""
    parts = target.partition(":")[0].split(".")
    return parts[1] if parts[0] == _OLD_ROOT and len(parts) > 1 else parts[0]


# --- where ----------------------------------------------------------------------------------------


def _folders(stores: Stores, given: Sequence[str]) -> list[str]:
    """The working directory, if apps are named; and the folder of the configuration file."""
    beside = [] if stores.config is None else [str(stores.config.path.parent)]
    return list(dict.fromkeys([*(_here() if given else []), *beside]))


def _here() -> list[str]:
    """The working directory; nothing if it is gone."""
    with suppress(OSError):
        return [str(Path.cwd())]
    return []


def _is_in_environment(package: str) -> bool:
    """Whether a variable says where a store of this app is, and so that there is such an app."""
    prefix = store_variable(package, "")
    return any(name.startswith(prefix) for name in os.environ)


def _entry_points() -> list[EntryPoint]:
    return sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)


def _unnamed(stores: Stores, folders: Sequence[str]) -> set[str]:
    """The packages that the registry remembers, and those that seem to be apps in these folders."""
    registry = stores.registry
    remembered = {a.app for a in registry.links()} | {e.app for e in registry.stores()}
    nearby = {package for folder in folders for package in _nearby(Path(folder))}
    addressed = {p for folder in _here() for p in _nearby(Path(folder)) if _is_in_environment(p)}
    return remembered | nearby | addressed


def _nearby(folder: Path) -> Iterator[str]:
    """The packages directly in a folder, or in its `tethysapp`, whose `app.py` speaks of Penstock."""
    for file in sorted([*folder.glob("*/app.py"), *folder.glob(f"{_OLD_ROOT}/*/app.py")]):
        if _speaks_of_us(file):
            yield file.parent.name


def _speaks_of_us(file: Path) -> bool:
    """Whether a file has our name in it; whoever wrote it, it is only read, and not for long."""
    try:
        with open(file, "rb", opener=without_waiting) as opened:
            return b"penstock" in (opened.read(LARGEST) or b"")
    except OSError:
        return False


def _installed() -> Iterator[str]:
    """The packages below `tethysapp` that are installed: they have no entry points."""
    spec = PathFinder.find_spec(_OLD_ROOT)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        yield from _nearby(Path(place))


def _where(module: ModuleType) -> str:
    file = getattr(module, "__file__", None)
    return f"module {module.__name__}" if file is None else file


def _origin(point: EntryPoint) -> str:
    package = "an installed package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return f"entry point of {package}"


# --- why not --------------------------------------------------------------------------------------


def _broken(target: str, where: str, error: BaseException) -> UnknownApp:
    if isinstance(error, AppUnsafe):
        what = f"The app {target} is not imported ({where})."
        return AppUnsafe(what, why=f"{error.what} {error.why}", hint=error.hint)
    module = target.partition(":")[0]
    broken = UnknownApp(
        f"The app {target} can't be used ({where}).", why=_cause(error), hint=f"python -c 'import {module}'"
    )
    broken.__cause__ = error
    return broken


def _cause(error: BaseException) -> str:
    """What went wrong, and on which line."""
    if isinstance(error, PenstockError):
        return f"{error.what} {error.why}".strip()
    first = next(iter(str(error).splitlines()), "")
    frames = traceback.extract_tb(error.__traceback__)
    ours = ("importlib", __file__)
    last = next((f for f in reversed(frames) if not any(part in f.filename for part in ours)), None)
    at = f" ({last.filename}:{last.lineno})" if last is not None else ""
    return f"{type(error).__name__}: {first}{at}"
