"""Seals again, with a new key, what older keys have sealed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.connect.credentials import reseal_credential
from penstock.connect.servers import ServiceAccount, read_next, read_password, seal_next, seal_password
from penstock.errors import PenstockError, RegistryConflict
from penstock.registry import LayeredRegistry, journalled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.registry import Credential, Registry, Service
    from penstock.secrets import Keyring, SecretRef

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Resealed:
    """How it went for one service, and for the stores on it.

    Args:
        service: Its name.
        key: The id of the key that all passwords are sealed with now, if nothing failed.
        stores: Of how many stores on it the logins were sealed; None where its own passwords were.
        error: Why something was left as it was.
    """

    service: str
    key: str
    stores: int | None = None
    error: PenstockError | None = None


def reseal(registry: Registry, keyring: Keyring) -> Iterator[Resealed]:
    """Seal with the first key what is sealed with another one, service by service.

    Each service, and each store's logins, are written by themselves, so whatever ends this half-way, the
    rest is done by doing it again; until then, every key is needed.

    Args:
        registry: Where the services are; those of a file hold nothing that is sealed.
        keyring: Opens with all of its keys, seals with the first.

    Yields:
        Each service that had something to seal again.
    """
    base = writable_base(registry)
    key = keyring.keys()[0].id
    for service in base.services():
        if _to_seal(service, key):
            yield _reseal_one(base, keyring, service.name, key)
    for service in registry.services():
        logins = [each for each in base.credentials(service.name) if each.password.key_id != key]
        if logins:
            yield _reseal_logins(base, keyring, service, logins)


def keys_in_use(registry: Registry) -> set[str]:
    """The ids of all keys that something in the registry is sealed with."""
    base = writable_base(registry)
    refs = [ref for service in base.services() for _, _, ref in _sealed(service)]
    return {ref.key_id for ref in [*refs, *(each.password for each in base.credentials())]}


def writable_base(registry: Registry) -> Registry:
    """The registry that remembers, below files that define services of the same names."""
    return registry.base if isinstance(registry, LayeredRegistry) else registry


def _reseal_one(registry: Registry, keyring: Keyring, name: str, key: str) -> Resealed:
    try:
        with journalled(registry, "seal again", name, {"key": key}):
            for attempt in range(_ATTEMPTS):
                try:
                    _write(registry, keyring, name, key)
                    break
                except RegistryConflict:
                    if attempt == _ATTEMPTS - 1:
                        raise
    except PenstockError as error:
        return Resealed(service=name, key=key, error=error)
    return Resealed(service=name, key=key)


def _write(registry: Registry, keyring: Keyring, name: str, key: str) -> None:
    """Seal again what the service is now; nothing if somebody removed it, or was quicker."""
    for service in registry.services():
        if service.name == name and _to_seal(service, key):
            registry.put_service(_sealed_again(service, keyring), replace=True)


def _sealed_again(service: Service, keyring: Keyring) -> Service:
    again = service
    for role, following, _ in _sealed(service):
        if following:
            again = seal_next(again, role, read_next(service, role, keyring) or "", keyring)
        else:
            spare = role.next_password(again)
            again = seal_password(again, role, read_password(service, role, keyring) or "", keyring)
            again = role.with_password(again, role.password(again), spare)
    return again


def _sealed(service: Service) -> list[tuple[ServiceAccount, bool, SecretRef]]:
    """The sealed passwords of a service: whose, whether it is one that is about to be used, and itself."""
    found = [(role, False, role.password(service)) for role in ServiceAccount]
    found += [(role, True, role.next_password(service)) for role in ServiceAccount]
    return [(role, following, ref) for role, following, ref in found if ref is not None and ref.key_id]


def _to_seal(service: Service, key: str) -> bool:
    return any(ref.key_id != key for _, _, ref in _sealed(service))


def _reseal_logins(
    registry: Registry, keyring: Keyring, service: Service, logins: list[Credential]
) -> Resealed:
    """Seal the logins of a service's stores again, each by itself, unless it changed meanwhile."""
    key, error = keyring.keys()[0].id, None
    for login in logins:
        try:
            again = reseal_credential(service, login, keyring)
            registry.put_credentials([again], instead_of=[login])
        except PenstockError as problem:
            error = problem
    stores = {login.database for login in logins}
    return Resealed(service=service.name, key=key, stores=len(stores), error=error)
