"""The refusals that every registry shares, in the same words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.errors import DefinedElsewhere, NameCollision, RegistryConflict, ServiceExists
from penstock.registry.service import Link, Service, StoreEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from penstock.registry.service import Credential


def collision(one: StoreEntry, other: StoreEntry) -> NameCollision:
    """The error that names both stores that would share a database."""
    return NameCollision(
        f"Stores {one.app}:{one.name} and {other.app}:{other.name} would share "
        f"the database {other.database!r} on service {other.service}.",
        hint="Rename one of them, or link another service to one of their settings.",
    )


def service_exists(name: str) -> ServiceExists:
    """The error of a name that is taken."""
    return ServiceExists(
        f"There is a service named {name!r} already.",
        hint=f"penstock services edit {name}, or choose another name.",
    )


def successor(before: Service | None, service: Service, *, replacing: bool, who: str = "") -> Service:
    """A service as it is to be written, with its identity and its new version.

    Args:
        before: What the registry has under this name now.
        service: What is to be written; its version is that of what it was made from.
        replacing: Whether something may be there already.
        who: Who wrote what is there now.

    Raises:
        ServiceExists: Something is there, and it may not be replaced.
        RegistryConflict: It is not what `service` was made from.

    >>> successor(None, Service(name="local", url="sqlite:///stores"), replacing=False).version
    1
    """
    if before is None:
        if service.version:
            raise _conflict(service.name, "It was removed.")
        return replace(service, id=service.id or uuid4().hex, version=1)
    if not replacing:
        raise service_exists(service.name)
    if before.version != service.version or service.id not in ("", before.id):
        raise _conflict(service.name, f"By {who}." if who else "")
    return replace(service, id=before.id, version=before.version + 1)


def _conflict(name: str, why: str) -> RegistryConflict:
    return RegistryConflict(
        f"Service {name!r} was changed meanwhile.",
        why=why,
        hint="Look at it again, and repeat the change: penstock services list",
    )


def check_unchanged(made_from: Iterable[Credential], there: Mapping[str, Credential]) -> None:
    """Raise RegistryConflict unless the logins that others were made from are there as they were."""
    for before in made_from:
        if there.get(before.id) != before:
            raise RegistryConflict(
                f"The login {before.login} of database {before.database} was changed meanwhile.",
                hint="Repeat the command.",
            )


def defined_elsewhere(what: Service | Link) -> DefinedElsewhere:
    """The error of a service, or a link, that a file or a variable defines."""
    if isinstance(what, Link):
        subject = f"What is linked to {what.app}:{what.setting}"
    else:
        subject = f"Service {what.name!r}"
    outside = what.source.kind == "environment"
    return DefinedElsewhere(
        f"{subject} is defined at {what.source}, so a command can't change it.",
        hint="Change what is bound to this process." if outside else f"Edit {what.source}.",
    )


def moved(before: StoreEntry | None, entry: StoreEntry) -> bool:
    """Whether an address that somebody looked up may be another one now.

    A store that is made at run time had no address before; a declared one had the place that its
    setting gives it.
    """
    if before is None:
        return not entry.dynamic
    return (before.service, before.database) != (entry.service, entry.database)
