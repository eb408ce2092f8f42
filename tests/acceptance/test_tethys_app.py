"""An app that was written for Tethys, with other imports, is installed and used."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from acceptance.conftest import add_service
from compat.snippets import directive_blocks, document, marked_blocks, with_new_roots

if TYPE_CHECKING:
    from pathlib import Path

    from acceptance.terminal import Terminal
    from fix_servers import TestServer

MANIFEST = """
version: 1.1
tethys_version: ">=4.0.0"
name: my_first_app

requirements:
  skip: false
  conda:
    channels:
      - conda-forge
    packages:
      - sqlalchemy<2
      - psycopg2
  pip:
  npm:
post:
"""
APP = """
from penstock.compat.tethys import TethysAppBase
from penstock.compat.tethys import PersistentStoreConnectionSetting, PersistentStoreDatabaseSetting


class MyFirstApp(TethysAppBase):
    name = "My First App"
    package = "my_first_app"
    index = "home"
    icon = f"{package}/images/icon.gif"
    root_url = "my-first-app"
    color = "#2c3e50"

    def persistent_store_settings(self):
        ps_settings = (
            PersistentStoreDatabaseSetting(
                name="example_db",
                description="Primary database.",
                initializer="my_first_app.init_stores.init_example_db",
                required=True,
            ),
            PersistentStoreConnectionSetting(name="primary", description="For new ones.", required=False),
        )
        return ps_settings
"""
MODEL = """
from sqlalchemy import Column, Float, Integer
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class StreamGage(Base):
    __tablename__ = "stream_gages"

    id = Column(Integer, primary_key=True)
    latitude = Column(Float)
    longitude = Column(Float)
    value = Column(Integer)
"""
INIT_STORES = """
from sqlalchemy.orm import sessionmaker
from .model import Base, StreamGage


def init_example_db(engine, first_time):
    Base.metadata.create_all(engine)
    if first_time:
        session = sessionmaker(bind=engine)()
        session.add(StreamGage(latitude=40.2, longitude=-111.6, value=1))
        session.add(StreamGage(latitude=40.3, longitude=-111.7, value=2))
        session.commit()
        session.close()
"""
ASK = """
import sys, warnings
warnings.simplefilter("ignore")
from my_first_app.app import MyFirstApp as app
from my_first_app.model import StreamGage

SessionMaker = app.get_persistent_store_database("example_db", as_sessionmaker=True)
session = SessionMaker()
print([gage.value for gage in session.query(StreamGage).order_by(StreamGage.id)])
session.close()
"""
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "my_first_app"
version = "1.0"

[tool.hatch.build.targets.wheel]
packages = ["my_first_app"]
"""


def ours() -> dict[str, str]:
    """The files of an app as Tethys has them."""
    return {"app.py": APP, "model.py": MODEL, "init_stores.py": INIT_STORES, "install.yml": MANIFEST}


def documented() -> dict[str, str]:
    """The same, put together from the documents."""
    code = marked_blocks(document("000"), "python")
    [manifest] = directive_blocks(document("001"), "yaml")
    return {
        "app.py": code[0].replace(
            "my_first_app.model.init_example_db", "my_first_app.init_stores.init_example_db"
        ),
        "model.py": code[1],
        "init_stores.py": code[2],
        "install.yml": manifest.replace("name: dam_inventory", "name: my_first_app"),
    }


@pytest.mark.parametrize("files", [ours, documented])
@pytest.mark.once("sqlite-ours", "postgresql-documented")
def test_an_app_of_tethys_is_installed_linked_synced_and_answers(
    empty: Terminal, own_python: Path, ground: TestServer, tmp_path: Path, files: object
) -> None:
    write(tmp_path / "shelf", files())  # type: ignore[operator]
    empty.ok("init")
    add_service(empty, ground)
    shown = empty("install", "../shelf", "--yes")
    assert shown.code == 0, shown.all
    assert "sqlalchemy<2 is left out" in shown.all
    assert "psycopg2 is not needed" in shown.all
    assert "Successfully installed my_first_app-1.0" in shown.out
    assert "my_first_app:example_db uses service main" in shown.out
    assert ask(empty, own_python) == "[1, 2]\n"
    empty.ok("syncstores", "my_first_app")  # `tethys syncstores my_first_app`, in the document.
    assert ask(empty, own_python) == "[1, 2]\n"
    assert ground.databases() >= {"my_first_app_example_db"}
    empty.ok("uninstall", "my_first_app", "--yes")
    assert ground.databases() >= {"my_first_app_example_db"}


def write(shelf: Path, files: dict[str, str]) -> None:
    """Put the app on a shelf, as a project to be installed."""
    package = shelf / "my_first_app"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, text in files.items():
        place = shelf if name.endswith(".yml") else package
        (place / name).write_text(with_new_roots(text))
    (shelf / "pyproject.toml").write_text(PYPROJECT)
    (shelf / "services.yml").write_text("persistent:\n  example_db: main\n")


def ask(site: Terminal, own_python: Path) -> str:
    """What the app's own code finds, in a process of its own."""
    python = own_python.parents[2] / "bin" / "python"
    done = subprocess.run(
        [python, "-c", ASK], cwd=site.folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
