"""Services as platforms hand them out: mounted folders, and VCAP_SERVICES."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Mounted:
    """A SERVICE_BINDING_ROOT, laid out and exchanged as the kubelet does it.

    Args:
        root: The folder.
    """

    root: Path
    _versions: int = field(default=0, init=False)

    def put(self, name: str, **entries: str) -> Path:
        """Mount a binding, or exchange one as a whole; `max_connections` is the entry max-connections."""
        self._versions += 1
        folder, version = self.root / name, f"..version_{self._versions}"
        (folder / version).mkdir(parents=True)
        for entry, text in entries.items():
            file = entry.replace("_", "-")
            (folder / version / file).write_text(f"{text}\n", encoding="utf-8")
            if not (folder / file).is_symlink():
                (folder / file).symlink_to(f"..data/{file}")
        (folder / "..draft").symlink_to(version)
        (folder / "..draft").replace(folder / "..data")
        for link in folder.iterdir():
            if not link.exists():
                link.unlink()
        return folder


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    """A SERVICE_BINDING_ROOT in this process's environment, without any binding."""
    root = tmp_path / "bindings"
    root.mkdir()
    monkeypatch.setenv("SERVICE_BINDING_ROOT", str(root))
    return Mounted(root)


def vcap(*services: dict[str, Any], label: str = "user-provided") -> str:
    """The text of VCAP_SERVICES with these services under one label."""
    return json.dumps({label: list(services)})
