"""The pytest plugin, in test runs of projects of their own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from penstock.declare import run_of_copy

if TYPE_CHECKING:
    from pathlib import Path

    from fix_servers import TestServer

pytest_plugins = ["pytester"]

APP = """
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from penstock import App, Database


class Base(DeclarativeBase):
    pass


class Sample(Base):
    __tablename__ = "sample"

    label: Mapped[str] = mapped_column(String(60), primary_key=True)


def seed(session, first_time):
    session.add(Sample(label="seed"))


class Lab(App):
    package = "lab"
    samples = Database("Every sample.", metadata=Base.metadata, initializer=seed)
    boxes = Database("One store per box.", metadata=Base.metadata, many=True)
"""

TESTS = """
import asyncio
import threading

import pytest
from lab import Lab, Sample


def labels():
    with Lab.samples.session() as session:
        return [each.label for each in session.query(Sample).order_by(Sample.label)]


@pytest.mark.parametrize("number", range(3))
def test_sync(penstock_stores, number):
    assert labels() == ["seed"]
    with Lab.samples.begin() as session:
        session.add(Sample(label=f"{number}"))
    assert labels() == [f"{number}", "seed"]


@pytest.mark.parametrize("number", range(3))
@pytest.mark.asyncio
async def test_async(penstock_stores, number):
    async with Lab.samples.aio.begin() as session:
        session.add(Sample(label=f"{number}"))
    async with Lab.samples.aio.session() as session:
        assert await session.get(Sample, "seed") is not None
    assert labels() == [f"{number}", "seed"]


@pytest.mark.parametrize("number", range(2))
def test_run_time_stores(penstock_stores, number):
    Lab.boxes.create("first")
    assert Lab.boxes.names() == ["first"]


def test_other_threads(penstock_stores):
    found = []
    thread = threading.Thread(target=lambda: found.extend(labels()))
    thread.start()
    thread.join()
    assert found == ["seed"]


@pytest.mark.parametrize("number", range(2))
def test_real_commits(penstock_fresh_stores, number):
    with Lab.samples.begin() as session:
        session.add(Sample(label=f"{number}"))
    assert labels() == [f"{number}", "seed"]


def test_before_and_after(penstock_copies):
    with penstock_copies.session(Lab, "samples") as session:
        assert session.query(Sample).count() == 1
"""

CONFTEST = """
import pytest

from lab import Lab


@pytest.fixture(scope="session")
def penstock_apps():
    return [Lab]
"""

PASSED = 12
"""How many tests there are in `TESTS`."""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with an app and its tests; its copies are made in a folder of this test."""
    temporary = pytester.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.delenv("PYTEST_XDIST_TESTRUNUID", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-o asyncio_default_fixture_loop_scope=function")
    pytester.makepyfile(lab=APP, test_lab=TESTS)
    return pytester


def link(project: pytest.Pytester, ground: TestServer) -> None:
    """Write a `penstock.toml` with the service `main` and the app."""
    service = ground.service
    lines = ["[apps]", 'lab = "lab:Lab"', "[services.main]", f'url = "{service.url}"']
    if service.password is not None:
        lines += [f'password = "{service.password}"']
    if service.admin_url is not None:
        lines += [f'admin_url = "{service.admin_url}"', f'admin_password = "{service.admin_password}"']
    path = project.path / "penstock.toml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)


def left_in(project: pytest.Pytester) -> list[Path]:
    """Files of stores in the project's folder for temporary files."""
    return [path for path in (project.path / "temporary").rglob("*.sqlite*") if run_of_copy(path.name)]


@pytest.mark.parametrize("workers", [0, 3])
def test_an_apps_tests_pass_in_any_order_and_number_on_sqlite(project: pytest.Pytester, workers: int) -> None:
    project.makeconftest(CONFTEST)
    result = project.runpytest_subprocess(f"-n{workers}")
    result.assert_outcomes(passed=PASSED)
    assert left_in(project) == []


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.once("sqlite-3", "postgresql-0", "mariadb-3")
def test_the_option_names_the_service(project: pytest.Pytester, ground: TestServer, workers: int) -> None:
    link(project, ground)
    project.runpytest_subprocess(f"-n{workers}", "--penstock-service=main").assert_outcomes(passed=PASSED)
    assert ground.databases() == set()
    assert list((project.path / "temporary").glob("penstock-tests-*")) == []


def test_a_line_of_the_configuration_names_the_service(
    project: pytest.Pytester, sqlite_ground: TestServer
) -> None:
    link(project, sqlite_ground)
    project.makeini("[pytest]\npenstock_service = main\n")
    project.runpytest_subprocess().assert_outcomes(passed=PASSED)
    assert list((project.path / "temporary").glob("penstock-tests-*")) == []


def test_a_service_that_is_not_there_is_named(project: pytest.Pytester, sqlite_ground: TestServer) -> None:
    link(project, sqlite_ground)
    result = project.runpytest_subprocess("--penstock-service=mian")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*UnknownService: *'mian'*"])


def test_without_an_app_the_fixture_to_define_is_named(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-k", "test_sync")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*No app is found*penstock_apps*"])


def test_a_second_set_of_apps_in_one_session_is_told(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST)
    project.makepyfile(
        **{
            "other/conftest": CONFTEST.replace("from lab import Lab", "from other.app import Lab"),
            "other/app": APP.replace('"lab"', '"other"'),
            "other/test_other": "def test_it(penstock_stores):\n    pass\n",
        }
    )
    result = project.runpytest_subprocess("test_lab.py", "other", "-p", "no:randomly")
    result.assert_outcomes(passed=PASSED, errors=1)
    result.stdout.fnmatch_lines(["There are no copies of other: *made for lab*"])


def test_the_plugin_alone_loads_nothing_heavy(project: pytest.Pytester) -> None:
    project.makepyfile(test_light="import sys\ndef test_it():\n    assert 'sqlalchemy' not in sys.modules\n")
    result = project.runpytest_subprocess("test_light.py", "-p", "no:randomly", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


# --- 200 tests by 4 workers -----------------------------------------------------------------------

MANY = """
import time

import pytest
from lab import Lab, Sample


@pytest.mark.parametrize("number", range(196))
def test_alone(penstock_stores, number):
    with Lab.samples.begin() as session:
        assert session.query(Sample).count() == 1
        session.add_all(Sample(label=f"{number}-{each}") for each in range(5))
    with Lab.samples.session() as session:
        assert session.query(Sample).count() == 6


@pytest.mark.parametrize("number", range(4))
def test_clone(penstock_copies, number, record_property):
    began = time.perf_counter()
    with penstock_copies.fresh(f"{number}") as stores:
        record_property("clone", time.perf_counter() - began)
        with stores.begin(Lab, "samples") as session:
            session.add(Sample(label=f"{number}"))
            session.flush()
            assert session.query(Sample).count() == 2
"""


@pytest.mark.long
def test_two_hundred_tests_by_four_workers_are_isolated(
    project: pytest.Pytester, postgresql_ground: TestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    link(project, postgresql_ground)
    project.makepyfile(test_lab=MANY)
    command = ["-n4", "--penstock-service=main", "--junit-xml=report.xml"]
    result = project.runpytest_subprocess(*command)
    result.assert_outcomes(passed=200)
    assert postgresql_ground.databases() == set()
    report = (project.path / "report.xml").read_text()
    clones = [float(found) for found in re.findall(r'name="clone" value="([0-9.]+)"', report)]
    times = sorted(float(found) for found in re.findall(r'name="test_alone[^"]*" time="([0-9.]+)"', report))
    assert len(clones) == 4
    assert len(times) == 196
    with capsys.disabled():
        print(  # noqa: T201 - What the test is for, beside what it asserts.
            f"\n200 tests, 4 workers, PostgreSQL: {result.duration:.1f} s; "
            f"one test {1000 * times[98]:.1f} ms (median), {1000 * times[-1]:.0f} ms (slowest); "
            f"one clone {1000 * sum(clones) / 4:.0f} ms (mean)"
        )


@pytest.mark.once("postgresql")
def test_a_test_run_that_is_killed_is_cleaned_up_by_the_next(
    project: pytest.Pytester, ground: TestServer
) -> None:
    link(project, ground)
    project.makepyfile(
        test_lab=TESTS + "\n\ndef test_last(penstock_stores):\n    import os\n    os.kill(os.getpid(), 9)\n"
    )
    result = project.runpytest_subprocess("--penstock-service=main", "-p", "no:randomly")
    assert result.ret == -9
    assert {run_of_copy(database) is not None for database in ground.databases()} == {True}
    project.makepyfile(test_lab=TESTS)
    project.runpytest_subprocess("--penstock-service=main").assert_outcomes(passed=PASSED)
    assert ground.databases() == set()
