"""Imports from a project's folder what nobody else could have written."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import AppUnsafe, ConfigError, ConfigUnsafe
from penstock.registry.trust import open_trusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def look_in(folders: Iterable[str]) -> None:
    """Append these folders to the import path, so that they shadow nothing that is installed.

    A file there, or below, is imported only if it belongs to this user or root, and not everybody may
    change it or exchange it; of any other one, importing it raises AppUnsafe. A folder that is on Python's
    path already is left to whoever put it there.

    Args:
        folders: Absolute paths.
    """
    if _hook not in sys.path_hooks:
        sys.path_hooks.insert(0, _hook)
    added = [folder for folder in folders if folder not in sys.path]
    _take_over(added)
    sys.path.extend(added)
    importlib.invalidate_caches()


def find_module(name: str) -> ModuleType | None:
    """The module of this name, imported; None if there is none. Any error inside it is raised."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise


_folders: set[str] = set()
"""The folders whose files are looked at before they are imported: those given, and the packages below."""


def _hook(folder: str) -> FileFinder:
    """The finder of a folder that is ours, as Python asks every hook for it."""
    if folder not in _folders:
        raise ImportError(f"{folder} is no folder of a project", path=folder)
    return _Finder(
        folder,
        (_Extension, EXTENSION_SUFFIXES),
        (_Source, SOURCE_SUFFIXES),
        (_Bytecode, BYTECODE_SUFFIXES),
    )


def _take_over(folders: Iterable[str]) -> None:
    for folder in folders:
        if folder not in _folders:
            _folders.add(folder)
            sys.path_importer_cache.pop(folder, None)


class _Finder(FileFinder):
    """Finds modules in one folder, and takes the folders of packages over before anybody looks there."""

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = super().find_spec(fullname, target)
        if spec is not None:
            _take_over(spec.submodule_search_locations or ())
        return spec


class _Source(SourceFileLoader):
    def path_stats(self, path: str) -> Mapping[str, Any]:
        _read(path)  # Where the bytecode is good, Python does not read the source.
        return super().path_stats(path)

    def get_data(self, path: str) -> bytes:
        if path == self.path:
            return _read(path)
        if not path.endswith(tuple(BYTECODE_SUFFIXES)):
            return super().get_data(path)  # No code: what lies beside it.
        try:
            return _read(path)
        except AppUnsafe as error:
            raise PermissionError(error.what) from None  # Python compiles the source again.


class _Bytecode(SourcelessFileLoader):
    def get_data(self, path: str) -> bytes:
        return _read(path) if path == self.path else super().get_data(path)


class _Extension(ExtensionFileLoader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        _read(self.path)
        return super().create_module(spec)


def _read(path: str) -> bytes:
    try:
        with open_trusted(Path(path)) as file:
            return file.read()
    except ConfigUnsafe as error:
        raise AppUnsafe(error.what, why=error.why, hint=error.hint) from None
    except ConfigError as error:
        raise ImportError(error.what, path=path) from None
