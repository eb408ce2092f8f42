"""What pip is told of an app's requirements, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from penstock.install.commands import as_path
from penstock.install.conda import Remark, translated
from penstock.install.pins import keeps_too_old

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.install.fields import Item
    from penstock.install.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What an app's requirements come to.

    Args:
        pip: What pip is told to install.
        remarks: What it is not told.
    """

    pip: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()


def requirements_of(manifest: Manifest, folder: Path) -> Requirements:
    """What pip is told of the requirements in a folder's manifest.

    Args:
        manifest: What its `install.yml` says.
        folder: The folder; a path among the requirements is relative to it.
    """
    if manifest.skip:
        return Requirements()
    found = [(item, translated(item.text)) for item in manifest.conda]
    found += [(item, _seen_from_here(item.text, folder)) for item in manifest.pip]
    checked = [_without_old_pin(item, answer) for item, answer in found]
    pip = dict.fromkeys(answer for answer in checked if isinstance(answer, str))
    remarks = [answer for answer in checked if isinstance(answer, Remark)]
    return Requirements(pip=tuple(pip), remarks=(*remarks, *_npm(manifest)))


def _seen_from_here(requirement: str, folder: Path) -> str:
    """The requirement; a path is made relative to where pip is run."""
    return as_path(folder / requirement) if requirement.startswith(("./", "../")) else requirement


def _without_old_pin(item: Item, answer: str | Remark) -> str | Remark:
    if isinstance(answer, Remark) or not keeps_too_old(answer):
        return answer
    return Remark(
        what=f"{item.text} is left out ({item.where})",
        why=f"Penstock needs SQLAlchemy 2, and has {version('sqlalchemy')}; so the pin is lifted.",
        to_do="See that the app works with SQLAlchemy 2, and remove the line.",
    )


def _npm(manifest: Manifest) -> list[Remark]:
    if not manifest.npm:
        return []
    names = " ".join(item.text for item in manifest.npm)
    return [Remark(what=f"npm packages are not installed by Penstock: {names}", to_do=f"npm install {names}")]
