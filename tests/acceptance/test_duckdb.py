"""A backend for DuckDB, in a package of its own, is found by its entry point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fix_servers import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).parents[2]

SUITE = """
import pytest
from penstock import Service
from penstock.testing.contract import BackendContract, BackendUnderTest

class TestDuckDB(BackendContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return BackendUnderTest(service=Service(name="duck", url=f"duckdb:///{tmp_path}"))
"""

APP = """
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from penstock import App, Database

metadata = MetaData()
key = Column("id", Integer, primary_key=True, autoincrement=False)
gage = Table("gage", metadata, key, Column("name", String))

def seed(session, first_time):
    if first_time:
        session.execute(insert(gage), [{"id": 1, "name": "Logan"}])
        session.commit()

class Lab(App):
    package = "lab"
    gages = Database("Every gage.", metadata=metadata, initializer=seed)
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which pip has put the package, with its metadata."""
    if find_spec("duckdb_engine") is None:
        unavailable("duckdb-engine is not installed")
    source = tmp_path_factory.mktemp("source") / "duckdb_backend"
    shutil.copytree(PROJECT / "examples" / "duckdb_backend", source)
    target = tmp_path_factory.mktemp("installed")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(target),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs a Python program in a folder of the test's own, where the package is installed."""

    def run(*arguments: str, code: int = 0) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{installed}{os.pathsep}{tmp_path}",
            "HOME": str(tmp_path),
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def test_it_passes_the_suite_for_what_it_says_that_it_can_do(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "test_duckdb.py").write_text(SUITE)
    told = run("-m", "pytest", "test_duckdb.py", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:randomly")
    assert "26 passed, 4 skipped" in told
    for left_out in ("no such lock", "savepoints", "it has none"):
        assert left_out in told


def test_a_store_in_duckdb_is_made_used_dropped_and_brought_back(
    run: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").touch()
    (tmp_path / "lab" / "app.py").write_text(APP)
    (tmp_path / "data").mkdir()
    penstock = ("-m", "penstock")
    run(*penstock, "init")
    run(*penstock, "services", "add", "duck", f"duckdb:///{tmp_path}/data")
    assert "DuckDB" in run(*penstock, "services", "test", "duck")
    run(*penstock, "link", "duck", "lab:gages")
    assert "exactly once" in run(*penstock, "syncstores", "lab")
    assert "ready" in run(*penstock, "stores", "status")
    program = (
        "from sqlalchemy import insert, select\nfrom lab.app import Lab, gage\n"
        "with Lab.gages.begin() as session: session.execute(insert(gage), [{'id': 2, 'name': 'Provo'}])\n"
        "with Lab.gages.session() as session:"
        " print(session.scalars(select(gage.c.name).order_by('id')).all())"
    )
    assert run("-c", program).strip() == "['Logan', 'Provo']"
    run(*penstock, "stores", "drop", "lab:gages", "--yes")
    assert "not created" in run(*penstock, "stores", "status")
    run(*penstock, "stores", "undrop", "lab:gages")
    assert run("-c", program.replace("'id': 2", "'id': 3")).strip() == "['Logan', 'Provo', 'Provo']"
    run(*penstock, "stores", "drop", "lab:gages", "--now", "--yes")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".lab_gages.duckdb.lock"]


def test_rows_in_bulk_are_refused_with_another_way(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    program = (
        "import sqlalchemy as sa\nfrom penstock.query import bulk_insert\n"
        "engine = sa.create_engine('duckdb:///data/any.duckdb')\n"
        "table = sa.Table('gage', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True))\n"
        "try: bulk_insert(engine, table, [{'id': 1}])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    assert "NotSupported Rows can't be written or paged on duckdb" in run("-c", program)
