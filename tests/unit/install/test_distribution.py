"""The distribution that an app comes from is found, however it names the app."""

from __future__ import annotations

import importlib
import json
import site
import sys
from typing import TYPE_CHECKING

import pytest

from penstock.apps import FoundApp
from penstock.install import find_here, find_provider, fresh_imports, look_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a distribution `t-lab` into a folder on the path."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    def put(**files: str) -> None:
        folder = tmp_path / "t_lab-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: t-lab\nVersion: 1.0\n")
        for name, text in files.items():
            (
                folder / (name if name.isupper() else f"{name}.{'json' if 'url' in name else 'txt'}")
            ).write_text(text)
        importlib.invalidate_caches()

    return put


def app(package: str, target: str) -> FoundApp:
    return FoundApp(package=package, target=target, where="")


POINTS = "[penstock.apps]\none = t_lab.one:One\ntwo = t_lab.two:Two\n"


def test_it_is_found_by_its_entry_point_with_the_other_apps_it_brings(installed: Callable[..., None]) -> None:
    installed(entry_points=POINTS)
    one, two = app("one", "t_lab.one:One"), app("two", "t_lab.two:Two")
    provider = find_provider(one, [one, two, app("three", "t_three:Three")])
    assert provider is not None
    assert (provider.name, provider.version, provider.apps) == ("t-lab", "1.0", ("one", "two"))
    assert provider.removal.words == (sys.executable, "-m", "pip", "uninstall", "--yes", "t-lab")
    assert find_provider(app("three", "t_lab.three:Three")) is None


@pytest.mark.parametrize("record", ["tethysapp/t_lab/app.py,,\n", "tethysapp/t_lab/app/__init__.py,,\n"])
def test_it_is_found_by_its_files(installed: Callable[..., None], record: str) -> None:
    installed(RECORD=record)
    provider = find_provider(app("t_lab", "tethysapp.t_lab.app:Lab"))
    assert provider is not None
    assert provider.apps == ("t_lab",)
    assert find_provider(app("t_other", "tethysapp.t_other.app:Other")) is None


def test_it_is_found_by_the_folder_of_an_editable_install(
    installed: Callable[..., None], tmp_path: Path
) -> None:
    source = tmp_path / "my source"
    (source / "src" / "t_lab").mkdir(parents=True)
    (source / "src" / "t_lab" / "app.py").touch()
    url = source.as_uri()
    installed(direct_url=json.dumps({"url": url, "dir_info": {"editable": True}}))
    assert find_provider(app("t_lab", "t_lab.app:Lab")) is not None
    assert find_provider(app("t_lab", "t_lab.other:Lab")) is None


def test_a_folder_that_was_installed_once_is_not_its_source(
    installed: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "t_lab").mkdir()
    (tmp_path / "t_lab" / "app.py").touch()
    installed(direct_url=json.dumps({"url": tmp_path.as_uri(), "dir_info": {}}))
    assert find_provider(app("t_lab", "t_lab.app:Lab")) is None


def test_a_package_or_a_module_is_found_in_a_folder_whatever_is_installed(tmp_path: Path) -> None:
    (tmp_path / "t_lab").mkdir()
    assert find_here("t_lab", [tmp_path]) == tmp_path / "t_lab"
    (tmp_path / "t_lab" / "__init__.py").touch()
    (tmp_path / "t_one.py").touch()
    assert find_here("t_lab", [tmp_path]) == tmp_path / "t_lab"
    assert find_here("t_one", [tmp_path]) == tmp_path / "t_one.py"
    assert find_here("json", [tmp_path]) is None


# --- what is importable ---------------------------------------------------------------------------


def test_an_editable_install_is_importable_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages, source = tmp_path / "packages", tmp_path / "source"
    for folder in (packages, source):
        folder.mkdir()
    (source / "t_editable.py").touch()
    (packages / "t_before.pth").write_text(f"{tmp_path}\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages)])
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    assert importlib.util.find_spec("t_editable") is None
    with fresh_imports():
        (packages / "t_editable.pth").write_text(f"{source}\n")
    assert importlib.util.find_spec("t_editable") is not None
    assert str(tmp_path) not in sys.path


def test_a_folder_for_packages_that_pip_has_made_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages)])
    with fresh_imports():
        packages.mkdir()
        (packages / "t_new.py").touch()
    assert importlib.util.find_spec("t_new") is not None


@pytest.mark.parametrize("inside", [True, False])
def test_a_folder_has_the_package_or_is_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, inside: bool
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "t_lab"
    package.mkdir()
    look_in(tmp_path if inside else package, "t_lab")
    assert sys.path[-1] == str(tmp_path)
