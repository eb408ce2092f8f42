"""Which installed distribution an app comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from penstock.apps import ENTRY_POINTS
from penstock.install.commands import Command, pip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.apps import FoundApp


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An installed distribution with apps in it.

    Args:
        name: Its name.
        version: Its version.
        apps: The packages of its apps.
    """

    name: str
    version: str
    apps: tuple[str, ...]

    @property
    def removal(self) -> Command:
        """What takes it away."""
        return pip("uninstall app", "uninstall", "--yes", self.name)


def find_provider(app: FoundApp, others: Iterable[FoundApp] = ()) -> Provider | None:
    """The distribution that an app comes from; None if it is installed by none.

    Args:
        app: The app.
        others: The other apps there are, some of which may come from the same distribution.
    """
    for each in distributions():
        if _provides(each, app):
            along = [other.package for other in others if _provides(each, other)]
            apps = dict.fromkeys((app.package, *along))
            return Provider(name=each.name, version=each.version, apps=tuple(apps))
    return None


def find_here(package: str, folders: Iterable[Path]) -> Path | None:
    """The package of an app, or its module, in one of these folders, whatever is installed."""
    spec = PathFinder.find_spec(package.partition(".")[0], [str(folder) for folder in folders])
    if spec is None:
        return None
    places = spec.submodule_search_locations
    return Path(next(iter(places))) if places else Path(spec.origin or package)


def _provides(each: Distribution, app: FoundApp) -> bool:
    points = each.entry_points.select(group=ENTRY_POINTS)
    if any(point.value == app.target for point in points):
        return True
    names = _files_of(app.target.partition(":")[0])
    if any(str(file) in names for file in each.files or ()):
        return True
    source = _edited_in(each)
    return source is not None and any(
        (source / root / name).is_file() for root in (".", "src") for name in names
    )


def _files_of(module: str) -> tuple[str, str]:
    path = module.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"


def _edited_in(each: Distribution) -> Path | None:
    """The folder of an editable install; None for any other."""
    said = json.loads(each.read_text("direct_url.json") or "{}")
    if not said.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(said["url"]).path))
