"""Which service answers which setting of an app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.declare import AppDeclaration, DatabaseSetting, StoreName, physical_name
from penstock.registry import Link, Registry, StoreEntry, journalled
from penstock.registry.conflicts import collision

if TYPE_CHECKING:
    from penstock.connect import AppLike, EngineCache, Sessions


class Links:
    """The links from settings to services: `stores.links`.

    Args:
        stores: Know the apps.
        registry: Remembers the links.
        engines: Look addresses up again after a change.
    """

    def __init__(self, stores: Sessions, registry: Registry, engines: EngineCache) -> None:
        self._stores = stores
        self._registry = registry
        self._engines = engines

    def add(self, service: str, app: AppLike, setting: str) -> None:
        """Link a service to a setting, in place of another.

        Args:
            service: The service.
            app: The app.
            setting: Its setting.

        Raises:
            UnknownService, UnknownSetting: One of the two does not exist.
            NameCollision: The store would share its database with another one.
            DefinedElsewhere: A file defines the link.
        """
        declaration = self._stores.declaration(app)
        declaration.get(setting)
        self._stores.book.get_service(service)
        with journalled(self._registry, "link", f"{declaration.package}:{setting}", {"service": service}):
            self._check_collision(declaration, setting, service)
            link = Link(app=declaration.package, setting=setting, service=service)
            self._registry.put_link(link)
        self._engines.dispose()

    def remove(self, app: AppLike, setting: str) -> bool:
        """Unlink a setting; False if no service was linked to it. Its stores stay.

        Args:
            app: The app; the package of one that is not here will do.
            setting: Its setting.
        """
        package = self._stores.package(app)
        with journalled(self._registry, "unlink", f"{package}:{setting}"):
            was_linked = self._registry.remove_link(package, setting)
        self._engines.dispose()
        return was_linked

    def _check_collision(self, app: AppDeclaration, setting: str, service: str) -> None:
        mine = _expected(app, setting, service)
        if mine is None:
            return
        known = [entry for entry in self._registry.stores() if entry.service == service]
        linked = {(a.app, a.setting) for a in self._registry.links() if a.service == service}
        for other in self._stores.apps:
            declared = (_expected(other, s.name, service) for s in other.databases)
            known += [e for e in declared if e is not None and (e.app, e.name) in linked]
        for entry in known:
            if entry.database == mine.database and (entry.app, entry.name) != (mine.app, mine.name):
                raise collision(entry, mine)


def _expected(app: AppDeclaration, setting: str, service: str) -> StoreEntry | None:
    """Where a declared store would live; None for a kind or a connection."""
    found = app.find(setting)
    if not isinstance(found, DatabaseSetting) or found.many:
        return None
    database = physical_name(app.package, StoreName(setting))
    return StoreEntry(app=app.package, name=setting, service=service, database=database)
