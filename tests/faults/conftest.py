"""Processes that can be killed, and scenes in which they work."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faults.scenes import Scene, Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fix_servers import TestServer


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """Starts processes that do a job."""
    with tempfile.TemporaryDirectory(prefix="penstock-workers-") as folder, Workers(Path(folder)) as started:
        yield started


@pytest.fixture
def scene(ground: TestServer, workers: Workers, tmp_path: Path) -> Scene:
    """An app, a registry file and a kind of server, for processes that share them."""
    return Scene(ground, workers, tmp_path / "registry")
