"""Packages with entry points, as pip leaves them, in a folder of the test's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Package(Protocol):
    """Installs a package."""

    def __call__(self, name: str, group: str, points: dict[str, str], text: str = "") -> None:
        """Put it where Python finds it.

        Args:
            name: Of the distribution; its module is called so, too.
            group: Of its entry points.
            points: What each of them leads to.
            text: What is in its module.
        """


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Installs packages, which are gone after the test."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def install(name: str, group: str, points: dict[str, str], text: str = "") -> None:
        (folder / f"{name}.py").write_text(text)
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{point} = {target}" for point, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install
