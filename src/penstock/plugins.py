"""What other packages add by their entry points: backends, and sources of secrets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from penstock.errors import PenstockError, PluginError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """The entry points of one group; the name of each is the scheme that it serves.

    Args:
        group: The group, such as `penstock.backends`.
        what: What is found there, for messages.
        own: The schemes that are Penstock's own, which no package can take over.
    """

    group: str
    what: str
    own: Collection[str]

    def schemes(self) -> list[str]:
        """Every scheme that an installed package serves; none of them is loaded."""
        return sorted({point.name for point in entry_points(group=self.group)} - set(self.own))

    def load(self, scheme: str) -> Any:
        """What a package has for a scheme; None if no package serves it.

        Raises:
            PluginError: It can't be loaded, or two packages serve this scheme.
            PenstockError: What the package raises of this family, such as `MissingExtra`.
        """
        point = self._find(scheme)
        if point is None:
            return None
        try:
            return point.load()
        except PenstockError:
            raise
        except Exception as error:
            raise self.broken(scheme, error) from error

    def broken(self, scheme: str, error: Exception | str) -> PluginError:
        """The error for what a package has for a scheme, and which is of no use."""
        point = self._find(scheme)
        module = "" if point is None else point.module
        why = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        return PluginError(
            f"The {self.what} for {scheme!r} of {_package(point)} can't be used.",
            why=why,
            hint=f"Upgrade or remove that package; to see more: python -c 'import {module}'",
        )

    def _find(self, scheme: str) -> EntryPoint | None:
        if scheme in self.own:
            return None
        found = [point for point in entry_points(group=self.group) if point.name == scheme]
        if len(found) > 1:
            raise PluginError(
                f"Several packages have a {self.what} for {scheme!r}.",
                why=f"They are {' and '.join(sorted(map(_package, found)))}.",
                hint="Uninstall all but one of them.",
            )
        return found[0] if found else None


def _package(point: EntryPoint | None) -> str:
    return (
        "an unknown package"
        if point is None or point.dist is None
        else f"{point.dist.name} {point.dist.version}"
    )
