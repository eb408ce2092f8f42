"""The registered services, and who uses them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penstock.backends import backend_for, parse_url, without_password
from penstock.declare.naming import checked_label
from penstock.errors import ConfigError, ServiceInUse, UnknownService
from penstock.registry.conflicts import defined_elsewhere, service_exists
from penstock.registry.journal import journalled
from penstock.registry.layers import absent_config
from penstock.registry.service import Link, Service, StoreEntry
from penstock.registry.values import holds_password
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
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


class RegisteredServices:
    """The verbs that change services, each one journalled.

    Args:
        registry: What is changed.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self, name: str) -> Service:
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

    def add(self, service: Service) -> Service:
        """Register a new service; raises ServiceExists, or ConfigError for a bad address."""
        checked = _checked(service)
        with journalled(self._registry, "add service", service.name, _detail(checked)):
            if any(other.name == service.name for other in self._registry.services()):
                raise service_exists(service.name)
            self._registry.put_service(checked)
        return checked

    def edit(self, service: Service) -> Service:
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
            known = self.get(service.name)
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

    def remove(self, name: str, *, force: bool = False) -> Users:
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
            service, users = self.get(name), self.users(name)
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
