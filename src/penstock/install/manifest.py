"""What `install.yml` says of an app, in both of the indentations in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.declare.naming import checked_label
from penstock.errors import PenstockError
from penstock.install.document import read_document
from penstock.install.fields import Fields, Item

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "install.yml"
"""What the file is called."""

_NEEDS = ("skip", "conda", "pip", "npm")
_TOP = ("version", "tethys_version", "name", "requirements", "post")
_MISSING = "Write one, with the line: name: PACKAGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an app needs before it can run, and what is run after.

    Args:
        name: The app's package.
        label: What messages call the file.
        skip: Whether requirements are left to somebody else.
        conda: Packages as conda names them.
        pip: Requirements as pip reads them.
        npm: Packages of npm.
        post: Scripts to run in the end, relative to the file.
        repeated: Keys that are there twice, each as a sentence.
    """

    name: str
    label: str
    skip: bool = False
    conda: tuple[Item, ...] = ()
    pip: tuple[Item, ...] = ()
    npm: tuple[Item, ...] = ()
    post: tuple[Item, ...] = ()
    repeated: tuple[str, ...] = ()


def read_manifest(folder: Path) -> Manifest:
    """Read and check the `install.yml` of a folder, as a whole.

    What belongs below `requirements` may stand beside an empty `requirements` as well, as much as
    there is of it.

    Raises:
        ConfigNotFound: There is none.
        ConfigProblems: It holds errors; all of them are in the exception's `problems`.
        ConfigError: It can't be read.
        MissingExtra: PyYAML is not installed.
    """
    fields = Fields(read_document(folder / FILE_NAME, missing=_MISSING))
    fields.only((*_TOP, *_NEEDS))
    fields.only(_NEEDS, "requirements")
    for version in ("version", "tethys_version"):
        fields.number(version)
    conda = _place(fields, "conda")
    fields.only(("channels", "packages"), *conda)
    fields.items(*conda, "channels")
    manifest = Manifest(
        name=_name(fields),
        label=fields.label,
        skip=fields.flag(*_place(fields, "skip")),
        conda=fields.items(*conda, "packages"),
        pip=_pip(fields),
        npm=fields.items(*_place(fields, "npm")),
        post=fields.items("post"),
        repeated=fields.repeated,
    )
    fields.check()
    return manifest


def _place(fields: Fields, key: str) -> tuple[str, ...]:
    """Where a key of `requirements` stands: below it, or beside it."""
    below, beside = ("requirements", key), (key,)
    if fields.find(*below) is None:
        return beside
    if fields.find(*beside) is not None:
        where = fields.where(*below)
        fields.wrong(beside, f"is there twice; it is at {where} already.", "Remove one of them.")
    return below


def _name(fields: Fields) -> str:
    name = fields.text("name")
    if fields.find("name") is None:
        fields.wrong(("name",), "is missing.", "Add the package of the app, as in: name: my_first_app")
    elif name:
        try:
            return checked_label("app", name)
        except PenstockError as error:
            fields.wrong(("name",), error.what, error.hint)
    return name


def _pip(fields: Fields) -> tuple[Item, ...]:
    """Requirements; what pip would take for an option is none, and could be anything."""
    key = _place(fields, "pip")
    found = fields.items(*key)
    for item in found:
        if item.text.startswith("-"):
            line = int(item.where.rpartition(":")[2])
            fields.wrong(key, "An item is an option, not a requirement.", "Write one a line: numpy>=2", line)
    return found
