"""What an operator does: services come and go, settings are linked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.backends import backend_for, parse_url, without_password
from penstock.declare import AppDeclaration, DatabaseSetting, StoreName, physical_name
from penstock.declare.naming import checked_label
from penstock.errors import ConfigError, ServiceInUse, UnknownService
from penstock.registry.conflicts import collision, defined_elsewhere, service_exists
from penstock.registry.journal import journalled
from penstock.registry.layers import absent_config
from penstock.registry.service import Link, Service, StoreEntry
from penstock.registry.values import holds_password
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.registry.contract import Registry


@dataclass(frozen=True, slots=True)
class Users:
    """Who uses a service.

    Args:
        links: The settings it is linked to.
        stores: The stores that live on it.
    """

    links: tuple[Link, ...]
    stores: tuple[StoreEntry, ...]

    def __str__(self) -> str:
        linked = [f"{a.app}:{a.setting} (linked at {a.source})" for a in self.links]
        living = [f"{s.app}:{s.name} (database {s.database})" for s in self.stores]
        return ", ".join(linked + living)


class Operator:
    """The verbs that change services and links, each one journalled.

    Args:
        registry: What is changed.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get_service(self, name: str) -> Service:
        """The service of this name; raises UnknownService."""
        services = self._registry.services()
        found = next((service for service in services if service.name == name), None)
        if found is None:
            known, absent = (
                ", ".join(service.name for service in services) or "none",
                absent_config(self._registry),
            )
            add = f"penstock services add {name} postgresql://user@host:5432, or another address"
            raise UnknownService(
                f"There is no service named {name!r}.",
                why=f"Registered: {known}. {absent}".rstrip(),
                hint=did_you_mean(name, [service.name for service in services])
                or (f"penstock init, then {add}" if absent else add),
            )
        return found

    def add_service(self, service: Service) -> Service:
        """Register a new service; raises ServiceExists, or ConfigError for a bad address."""
        checked = _checked(service)
        with journalled(self._registry, "add service", service.name, _detail(checked)):
            if any(other.name == service.name for other in self._registry.services()):
                raise service_exists(service.name)
            self._registry.put_service(checked)
        return checked

    def edit_service(self, service: Service) -> Service:
        """Change a registered service.

        Args:
            service: What it shall be, with the id and the version of what it was made from; one without
                a version takes the place of whatever is there now.

        Raises:
            UnknownService: There is none of this name.
            RegistryConflict: Somebody changed it since it was read.
            DefinedElsewhere: A file defines it.
        """
        checked = _checked(service)
        with journalled(self._registry, "edit service", service.name, _detail(checked)):
            known = self.get_service(service.name)
            if not checked.version:
                checked = replace(checked, id=known.id, version=known.version)
            self._registry.put_service(checked, replace=True)
        return checked

    def users(self, name: str) -> Users:
        """Which settings a service is linked to, and which stores live on it."""
        return Users(
            tuple(a for a in self._registry.links() if a.service == name),
            tuple(s for s in self._registry.stores() if s.service == name),
        )

    def remove_service(self, name: str, *, force: bool = False) -> Users:
        """Forget a service.

        Args:
            name: The service.
            force: Unlink it from its settings, and forget its stores, first; databases stay.

        Returns:
            Who used it.

        Raises:
            ServiceInUse: Somebody uses it, and `force` is not given.
            DefinedElsewhere: A file defines it, or links it.
        """
        with journalled(self._registry, "remove service", name, {"force": str(force)}):
            service, users = self.get_service(name), self.users(name)
            if (users.links or users.stores) and not force:
                raise ServiceInUse(
                    f"Service {name!r} is in use.",
                    why=f"By {users}.",
                    hint=f"penstock services remove {name} --force unlinks it; databases stay as they are.",
                )
            fixed: list[Service | Link] = [service, *users.links]
            for each in fixed:
                if not each.source.writable:
                    raise defined_elsewhere(each)
            for link in users.links:
                self._registry.remove_link(link.app, link.setting)
            for store in users.stores:
                self._registry.remove_store(store)
            self._registry.remove_service(name)
        return users

    def link(
        self, service: str, app: AppDeclaration, setting: str, others: Iterable[AppDeclaration] = ()
    ) -> None:
        """Link a service to a setting.

        Args:
            service: The service.
            app: The app.
            setting: Its setting.
            others: The other apps there are; no two stores may share a database.

        Raises:
            UnknownService, UnknownSetting: One of the two does not exist.
            NameCollision: The store would share its database with another one.
            DefinedElsewhere: A file says what is linked.
        """
        app.get(setting)
        self.get_service(service)
        with journalled(self._registry, "link", f"{app.package}:{setting}", {"service": service}):
            self._check_collision(app, setting, service, others)
            self._registry.put_link(Link(app=app.package, setting=setting, service=service))

    def unlink(self, app: str, setting: str) -> bool:
        """Pull a service out of a setting; False if there was none. Its stores stay."""
        with journalled(self._registry, "unlink", f"{app}:{setting}"):
            return self._registry.remove_link(app, setting)

    def _check_collision(
        self, app: AppDeclaration, setting: str, service: str, others: Iterable[AppDeclaration]
    ) -> None:
        mine = _expected(app, setting, service)
        if mine is None:
            return
        known = [entry for entry in self._registry.stores() if entry.service == service]
        linked = {(a.app, a.setting) for a in self._registry.links() if a.service == service}
        for other in others:
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


def _detail(service: Service) -> dict[str, str]:
    """What the journal keeps of a service: where its passwords are, never more."""
    refs = {"password": service.password, "admin_password": service.admin_password}
    return {"url": service.url} | {name: ref.shown for name, ref in refs.items() if ref is not None}


def _checked(service: Service) -> Service:
    checked_label("service", service.name)
    return replace(
        service,
        url=checked_url(service.url),
        admin_url=checked_url(service.admin_url) if service.admin_url else None,
    )


def checked_url(text: str) -> str:
    """An address in the form in which it is kept; raises ConfigError for one with a password in it."""
    url = parse_url(text)
    if holds_password(url):
        raise ConfigError(
            "This address has a password in it.",
            why="An address is shown in listings; a password is kept apart from it.",
            hint="Leave it out and give --password-env, --password-file, --password-stdin or the prompt.",
        )
    backend_for(url)
    return without_password(url).render_as_string(hide_password=False)
