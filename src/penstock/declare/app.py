"""All that one app declares, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.declare.naming import StoreName, checked_label, physical_name
from penstock.declare.settings import ConnectionSetting, DatabaseSetting, Setting
from penstock.errors import DeclarationError, InvalidName, NameCollision, UnknownSetting, WrongSetting
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class AppDeclaration:
    """An app's package, its name, and its settings.

    Args:
        package: Identifies the app; the first part of its databases' names.
        name: What people call it.
        settings: Every setting, in the order of declaration.

    Raises:
        InvalidName: The package can't be used as one.
        NameCollision: Two settings share a name, or would share a database.

    >>> AppDeclaration("lab", "Lab", (DatabaseSetting("A b"), DatabaseSetting("a_b")))
    Traceback (most recent call last):
    penstock.errors.NameCollision: Settings 'A b' and 'a_b' of app lab would share the database 'lab_a_b'.
      try: Rename one of them.
    """

    package: str
    name: str
    settings: tuple[Setting, ...]

    def __post_init__(self) -> None:
        checked_label("app", self.package)
        if ":" in self.package:
            raise InvalidName(f"App package {self.package!r} has a colon in it.", hint="Leave it out.")
        _check_settings(self.package, self.settings)
        _check_names(self.settings, lambda s: s.name, self.package, "the name")
        _check_names(self.databases, lambda s: _physical(self.package, s), self.package, "the database")

    @property
    def databases(self) -> tuple[DatabaseSetting, ...]:
        """The settings that want a database of their own, kinds included."""
        return tuple(s for s in self.settings if isinstance(s, DatabaseSetting))

    @property
    def connections(self) -> tuple[ConnectionSetting, ...]:
        """The settings that want a connection to a server."""
        return tuple(s for s in self.settings if isinstance(s, ConnectionSetting))

    def find(self, name: str) -> Setting | None:
        """The setting of this name, or None."""
        return next((s for s in self.settings if s.name == name), None)

    def get(self, name: str) -> Setting:
        """The setting of this name; raises UnknownSetting."""
        found = self.find(name)
        if found is None:
            known = ", ".join(s.name for s in self.settings) or "none at all"
            raise UnknownSetting(
                f"App {self.package} has no setting {name!r}.",
                why=f"It declares {known}.",
                hint=did_you_mean(name, [s.name for s in self.settings])
                or f"penstock settings list {self.package}",
            )
        return found

    def get_connection(self, name: str) -> ConnectionSetting:
        """The connection setting of this name; raises WrongSetting for a database setting."""
        found = self.get(name)
        if isinstance(found, DatabaseSetting):
            raise WrongSetting(
                f"{name!r} of app {self.package} is a database setting, not a connection setting.",
                hint=f"get_persistent_store_database({name!r})",
            )
        return found

    def get_kind(self, name: str) -> DatabaseSetting:
        """The database setting with `many=True` of this name."""
        found = self.get(name)
        if not isinstance(found, DatabaseSetting) or not found.many:
            raise WrongSetting(
                f"{name!r} of app {self.package} is not a kind of store.",
                why="Only a Database(..., many=True) has any number of stores.",
            )
        return found


def _check_settings(package: str, settings: Iterable[object]) -> None:
    for setting in settings:
        if not isinstance(setting, ConnectionSetting | DatabaseSetting):
            raise DeclarationError(
                f"App {package} declares {setting!r}, which is not a setting.",
                hint="Return PersistentStoreDatabaseSetting or PersistentStoreConnectionSetting objects.",
            )


def _physical(package: str, setting: Setting) -> str:
    return physical_name(package, StoreName(setting.name))


def _check_names(
    settings: Iterable[Setting], key: Callable[[Setting], str], package: str, shared: str
) -> None:
    seen: dict[str, Setting] = {}
    for setting in settings:
        other = seen.setdefault(key(setting), setting)
        if other is not setting:
            raise NameCollision(
                f"Settings {other.name!r} and {setting.name!r} of app {package} "
                f"would share {shared} {key(setting)!r}.",
                hint="Rename one of them.",
            )
