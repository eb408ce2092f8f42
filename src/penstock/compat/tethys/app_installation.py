"""What the `setup.py` of an app asks for while it is built."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = [
    "custom_develop_command",
    "custom_install_command",
    "find_all_resource_files",
    "find_resource_files",
]

_RESOURCES = ("templates", "public", "resources", "workspaces")


def find_resource_files(directory: str, relative_to: str | None = None) -> list[str]:
    """Every file below a folder, as `package_data` wants them.

    Args:
        directory: The folder; nothing is found in one that is not there.
        relative_to: What their paths are relative to; by default `..`, as from a package beside the folder.
    """
    files = sorted(each for each in Path(directory).rglob("*") if each.is_file())
    if relative_to is None:
        return [os.path.join("..", each) for each in files]
    return [os.path.relpath(each, relative_to) for each in files]


def find_all_resource_files(app_package: str, package_namespace: str = "tethysapp") -> list[str]:
    """The files of an app that are no code: those below its `templates`, `public` and so on."""
    root = f"{package_namespace}/{app_package}"
    return [file for name in _RESOURCES for file in find_resource_files(f"{root}/{name}", root)]


def custom_install_command(app_package: str, app_package_dir: str, dependencies: Any) -> Any:
    """The command `install` as it is: the app stays where pip puts it."""
    from setuptools.command.install import install

    return type("CustomInstallCommand", (install,), {})


def custom_develop_command(app_package: str, app_package_dir: str, dependencies: Any) -> Any:
    """The command `develop` as it is."""
    from setuptools.command.develop import develop

    return type("CustomDevelopCommand", (develop,), {})
