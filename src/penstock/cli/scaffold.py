"""Makes a new app that works right away; overwrites nothing."""

from __future__ import annotations

import keyword
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from penstock.cli import output
from penstock.cli.root import example
from penstock.errors import InvalidName

_APP = '''\
"""What this app stores, and where to find it."""

from __future__ import annotations

from penstock import App, Database

from .init_stores import seed_example_db
from .model import Base


class {cls}(App):
    """The app; `penstock settings list {name}` shows its settings."""

    package = "{name}"
    name = "{title}"

    example_db = Database("Every stream gage we know.", metadata=Base.metadata, initializer=seed_example_db)
'''

_MODEL = '''\
"""The tables of example_db."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the tables have in common."""


class Gage(Base):
    """A stream gage: where the water of a stream is measured."""

    __tablename__ = "gage"

    number: Mapped[str] = mapped_column(String(15), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    latitude: Mapped[float]
    longitude: Mapped[float]
'''

_INIT_STORES = '''\
"""What a new store begins with."""

from __future__ import annotations

from sqlalchemy.orm import Session

from .model import Gage


def seed_example_db(session: Session, first_time: bool) -> None:
    """Called at every sync; with a session, its work is done exactly once or not at all."""
    if first_time:
        session.add_all(
            [
                Gage(number="10109000", name="Logan River", latitude=41.7435, longitude=-111.7838),
                Gage(number="10128500", name="Weber River", latitude=40.7372, longitude=-111.2474),
            ]
        )
'''

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["penstock"]

[project.entry-points."penstock.apps"]
{name} = "{name}.app:{cls}"

[tool.hatch.build.targets.wheel]
packages = ["{name}"]
"""

_INSTALL = """\
# What `penstock install` does here, beside installing the package: see its documentation.
version: 1.0
name: "{name}"

requirements:
  skip: false
  pip:
    - penstock

# Scripts to run in the end, relative to this file.
post:
"""


@click.command()
@click.argument("name")
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="Where the package is made; here by default.",
)
@example("penstock scaffold my_first_app")
def scaffold(name: str, directory: Path) -> None:
    """Make the package NAME: an app with one store, its tables and its first rows.

    It works right away in the directory in which it is made; its pyproject.toml and install.yml (made
    unless they are there) let `penstock install` install it.
    """
    package = directory / name
    _check_name(name, package)
    words = {"name": name, "cls": _class_name(name), "title": name.replace("_", " ").strip().capitalize()}
    package.mkdir(parents=True)
    files = {"__init__.py": f'"""{words["title"]}, an app on Penstock."""\n', "app.py": _APP}
    for file, text in {**files, "model.py": _MODEL, "init_stores.py": _INIT_STORES}.items():
        _write(package / file, text.format(**words) if file == "app.py" else text)
    for file, text, needed in (
        ("pyproject.toml", _PROJECT, 'it needs: [project.entry-points."penstock.apps"]'),
        ("install.yml", _INSTALL, f"it is for one app; penstock install needs one that says name: {name}"),
    ):
        path = directory / file
        if path.exists():
            output.note(f"{path} is there already; {needed}")
        else:
            _write(path, text.format(**words))
    output.say(f"\nNext: penstock link local {name}:example_db && penstock syncstores {name}")


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    output.done(f"made {path}")


def _check_name(name: str, package: Path) -> None:
    if not (name.isidentifier() and name.isascii() and name.strip("_")) or keyword.iskeyword(name):
        raise InvalidName(
            f"{name!r} can't be the name of a package.",
            hint="Use letters, digits and underscores, as in my_first_app.",
        )
    if package.exists():
        raise InvalidName(f"{package} is there already.", hint="Choose another name; nothing is overwritten.")
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        raise InvalidName(
            f"There is a module {name!r} in this Python already, which would hide it.",
            hint="Choose another name.",
        )


def _class_name(name: str) -> str:
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    taken = camel in ("App", "Base", "Database") or not camel.isidentifier()
    return f"{camel}Stores" if taken and camel.isidentifier() else camel if not taken else f"App{camel}"
