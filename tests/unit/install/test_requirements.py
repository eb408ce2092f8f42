"""What an app requires becomes what pip is told, and what is left out."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from penstock.install.conda import Remark, translated
from penstock.install.fields import Item
from penstock.install.manifest import Manifest
from penstock.install.pins import OLDEST, keeps_too_old
from penstock.install.requirements import requirements_of

PROJECT = Path(__file__).parents[3]


def items(*texts: str) -> tuple[Item, ...]:
    return tuple(Item(text=text, where=f"install.yml:{n}") for n, text in enumerate(texts, 1))


# --- conda ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conda", "pip"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy==1.26", "numpy==1.26"),
        ("numpy=1.26=py39_0", "numpy==1.26"),
        ("numpy 1.26", "numpy==1.26"),
        ("numpy 1.26 py39_0", "numpy==1.26"),
        ("numpy 1.26*", "numpy==1.26.*"),
        ("numpy >=1.2", "numpy>=1.2"),
        ("numpy >= 1.2, <2", "numpy>=1.2,<2"),
        ("numpy>=1.2.*,!=1.5.*", "numpy>=1.2,!=1.5.*"),
        ("numpy ~=1.2", "numpy~=1.2"),
        ("numpy=*", "numpy"),
        ("numpy *", "numpy"),
        ("conda-forge::numpy=2", "numpy==2.*"),
        ("conda-forge/linux-64::numpy", "numpy"),
        ("pytorch=2.1", "torch==2.1.*"),
        ("ruamel_yaml", "ruamel.yaml"),
        ("psycopg", "psycopg[binary]"),
        ("Flask", "Flask"),
    ],
)
def test_a_package_of_conda_becomes_a_requirement_of_pip(conda: str, pip: str) -> None:
    assert translated(conda) == pip


@pytest.mark.parametrize("spec", ["numpy 1.2|1.3", "numpy[version='>=1']", "-e .", "https://h/a.conda", "="])
def test_what_pip_can_not_be_told_is_left_out_and_said(spec: str) -> None:
    answer = translated(spec)
    assert isinstance(answer, Remark)
    assert (answer.what, "under pip" in answer.to_do) == (f"conda's {spec!r} is not installed", True)


@pytest.mark.parametrize(
    ("spec", "to_do"),
    [
        ("postgresql", "penstock db configure"),
        ("postgresql=15", "penstock services add"),
        ("postgis", "on the server"),
        ("gdal", "the system's GDAL"),
        ("nodejs>=18", "Node.js"),
        ("python=3.10", "the Python that runs Penstock"),
        ("pip", "the pip of this Python"),
    ],
)
def test_what_is_no_package_of_pip_is_left_to_somebody_else(spec: str, to_do: str) -> None:
    answer = translated(spec)
    assert isinstance(answer, Remark)
    assert "is not installed by Penstock" in answer.what
    assert to_do in answer.to_do


def test_the_old_driver_is_not_needed() -> None:
    for spec in ("psycopg2", "psycopg2>=2.8", "conda-forge::psycopg2"):
        answer = translated(spec)
        assert isinstance(answer, Remark)
        assert (answer.what, "psycopg 3" in answer.why) == ("psycopg2 is not needed", True)


# --- the pin of SQLAlchemy ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "requirement",
    [
        "sqlalchemy<2",
        "SQLAlchemy <2.0",
        "sqlalchemy[asyncio]>=1.4,<2.0.0",
        "sqlalchemy<=1.4.54",
        "sqlalchemy==1.4.*",
        "sqlalchemy==1.4.54",
        "sqlalchemy===1.4",
        "sqlalchemy~=1.4",
        "sqlalchemy~=1.4.1",
        "sqlalchemy (<2)",
        "sqlalchemy==2.0.1",
        "sqlalchemy<2; python_version > '3'",
    ],
)
def test_a_pin_that_keeps_sqlalchemy_too_old_is_seen(requirement: str) -> None:
    assert keeps_too_old(requirement)


@pytest.mark.parametrize(
    "requirement",
    [
        "sqlalchemy",
        "sqlalchemy>=1.4",
        "sqlalchemy<3",
        "sqlalchemy<2.1",
        "sqlalchemy==2.*",
        "sqlalchemy==2.0.*",
        "sqlalchemy~=2.0",
        "sqlalchemy~=2.0.40",
        "sqlalchemy!=1.4",
        "sqlalchemy>1,!=2.0.41",
        "sqlalchemy-utils<2",
        "sqlalchemy @ git+https://example.org/sqlalchemy@v1<2",
        "./sqlalchemy",
    ],
)
def test_other_requirements_are_none_of_that(requirement: str) -> None:
    assert not keeps_too_old(requirement)


def test_the_oldest_sqlalchemy_is_the_one_that_penstock_asks_for() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    [wanted] = [each for each in project["dependencies"] if each.startswith("sqlalchemy")]
    assert wanted.startswith(f"sqlalchemy>={OLDEST},")


@pytest.mark.parametrize("where", ["conda", "pip"])
def test_the_pin_is_lifted_and_said_whoever_has_it(where: str) -> None:
    needed = requirements_of(Manifest(name="lab", label="", **{where: items("a", "sqlalchemy<2")}), Path())
    assert needed.pip == ("a",)
    [remark] = needed.remarks
    assert remark.what == "sqlalchemy<2 is left out (install.yml:2)"
    assert f"has {version('sqlalchemy')}" in remark.why
    assert "SQLAlchemy 2" in remark.to_do


# --- all of them ----------------------------------------------------------------------------------


def test_pip_is_told_each_once_as_it_is_given() -> None:
    given = items("numpy >=1; python_version>'3'", "lab @ git+https://example.org/lab", "./wheels/a.whl")
    manifest = Manifest(
        name="lab", label="", conda=items("requests", "scipy=1"), pip=(*given, *items("requests"))
    )
    assert requirements_of(manifest, Path("apps")).pip == (
        "requests",
        "scipy==1.*",
        "numpy >=1; python_version>'3'",
        "lab @ git+https://example.org/lab",
        "./apps/wheels/a.whl",
    )


def test_packages_of_npm_are_reported() -> None:
    needed = requirements_of(Manifest(name="lab", label="", npm=items("leaflet", "d3@7")), Path())
    assert needed.pip == ()
    assert [remark.to_do for remark in needed.remarks] == ["npm install leaflet d3@7"]


def test_what_is_to_be_skipped_is_skipped() -> None:
    manifest = Manifest(name="lab", label="", skip=True, pip=items("a"), conda=items("gdal"), npm=items("b"))
    assert requirements_of(manifest, Path()) == requirements_of(Manifest(name="lab", label=""), Path())
