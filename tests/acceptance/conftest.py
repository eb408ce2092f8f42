"""A terminal in a folder of its own, with or without a site, a server and an app."""

from __future__ import annotations

import shutil
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from acceptance.loads import GAGES
from acceptance.terminal import LAB, PENSTOCK, Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from fix_servers import TestServer


@pytest.fixture
def empty(tmp_path: Path) -> Terminal:
    """A terminal in an empty folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    return Terminal(folder)


@pytest.fixture(scope="session")
def _site_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `penstock init` was run, once for all tests."""
    folder = tmp_path_factory.mktemp("template")
    Terminal(folder).ok("init")
    return folder


@pytest.fixture
def site(empty: Terminal, _site_template: Path) -> Terminal:
    """A terminal where `penstock init` was run, and the app `lab` is in the working directory."""
    shutil.copytree(_site_template, empty.folder, dirs_exist_ok=True)
    empty.app("lab", LAB)
    return empty


@pytest.fixture
def linked(site: Terminal, ground: TestServer) -> Terminal:
    """A site with service `main` on every kind of server, linked to all of lab's settings."""
    add_service(site, ground)
    for setting in ("gages", "basins", "servers"):
        site.ok("link", "main", f"lab:{setting}")
    return site


@pytest.fixture
def loads(site: Terminal, ground: TestServer) -> Terminal:
    """A site whose store has two empty tables."""
    site.app("lab", GAGES)
    add_service(site, ground)
    site.ok("link", "main", "lab:gages")
    site.ok("syncstores", "lab")
    return site


@pytest.fixture
def own_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Python to install things in, which has all that this one has; `penstock` is run by it."""
    place = tmp_path / "python"
    venv.create(place, symlinks=True)
    packages = place / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    outer = [folder for folder in sys.path if folder.endswith("site-packages")]
    lines = [f"import site; site.addsitedir({folder!r})" for folder in outer]
    (packages / "outer.pth").write_text("\n".join(lines))
    script = place / "bin" / "penstock"
    script.write_text(f"#!{place}/bin/python\n" + PENSTOCK.read_text().partition("\n")[2])
    script.chmod(0o755)
    monkeypatch.setattr("acceptance.terminal.PENSTOCK", script)
    return packages


def add_service(site: Terminal, ground: TestServer, name: str = "main") -> None:
    """Register a ground's server, by the command."""
    service = ground.service
    words: list[object] = ["services", "add", name, ground.url]
    if service.password is not None:
        words += ["--password-file", service.password.locator]
    if service.admin_url is not None and service.admin_password is not None:
        words += ["--admin-url", service.admin_url]
        words += ["--admin-password-file", service.admin_password.locator]
    site.ok(*words)
