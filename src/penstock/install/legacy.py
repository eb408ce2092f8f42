"""A `setup.py` that imports Tethys while the app is built."""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SETUPTOOLS = "setuptools>=70.1"
"""What runs a `setup.py` without help from other distributions."""

_IMPORTS = re.compile(r"^\s*(?:from|import)\s+(?:tethys_\w+|penstock)\b", re.MULTILINE)
_STAND_IN = "from penstock.compat.tethys.roots import stand_in\n\nstand_in()\n"
_PATH = "PYTHONPATH"

PACKAGES = (
    *("tethys_apps", "tethys_compute", "tethys_gizmos", "tethys_layouts"),
    *("tethys_quotas", "tethys_sdk", "tethys_services"),
)
"""The packages of Tethys; `compat.tethys` has what stands for each."""


def imports_tethys(folder: Path) -> bool:
    """Whether the project in a folder is built by a `setup.py` that imports Tethys, or what stands for it.

    Such a one is built where Penstock is installed: in an environment of its own, pip would not find it.
    """
    try:
        text = (folder / "setup.py").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return bool(_IMPORTS.search(text)) and _is_built_by_setuptools(folder / "pyproject.toml")


def _is_built_by_setuptools(project: Path) -> bool:
    try:
        said = tomllib.loads(project.read_text("utf-8", errors="replace"))
    except (OSError, tomllib.TOMLDecodeError):
        return True  # Of one that can't be read, pip says more.
    return str(said.get("build-system", {}).get("build-backend", "setuptools")).startswith("setuptools")


def has_setuptools() -> bool:
    """Whether this Python has a setuptools that is new enough."""
    wanted = Requirement(SETUPTOOLS)
    try:
        return wanted.specifier.contains(version(wanted.name))
    except PackageNotFoundError:
        return False


@contextmanager
def modules_of_tethys() -> Iterator[Mapping[str, str]]:
    """The environment of a program that finds our stand-ins where it imports modules of Tethys."""
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        for name in PACKAGES:
            Path(folder, f"{name}.py").write_text(_STAND_IN, "utf-8")
        given = {**os.environ}
        path = [folder, *filter(None, [given.get(_PATH)])]
        yield {**given, _PATH: os.pathsep.join(path)}
