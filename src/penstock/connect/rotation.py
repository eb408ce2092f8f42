"""Gives a service's role another password, while apps use it."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import TYPE_CHECKING

from penstock.backends import backend_for
from penstock.connect.servers import ServiceAccount, read_next, seal_next, server_of
from penstock.errors import NotSupported, SecretError
from penstock.registry import journalled
from penstock.registry.conflicts import defined_elsewhere
from penstock.registry.registered import RegisteredServices
from penstock.secrets import SEALED

if TYPE_CHECKING:
    from penstock.backends import Login, RoleBackend, Server
    from penstock.registry import Registry, Service
    from penstock.secrets import Keyring

_BYTES = 24
"""Random ones in a password; 32 characters."""


def rotate_password(
    registry: Registry,
    keyring: Keyring,
    name: str,
    role: ServiceAccount = ServiceAccount.SERVICE,
    *,
    seal: bool = False,
) -> Service:
    """Give one of a service's roles a new random password, on its server and in the registry.

    A role has one password at a time. So the new one is remembered beside the old one before the server
    is told; until the old one is forgotten, whoever is refused with one of them tries the other.
    Whatever ends this half-way, it is finished by doing it again, with the same password.

    Args:
        registry: Where the service is.
        keyring: Seals the new password.
        name: The service.
        role: Whose password it is.
        seal: Whether a password that is kept elsewhere, by a reference, may be replaced by a sealed one.

    Returns:
        The service with its new password.

    Raises:
        UnknownService, DefinedElsewhere: There is no such service, or a file defines it.
        NotSupported: It has no password, or is of a kind that has none.
        SecretError: The password is kept where Penstock can't change it.
        ServerError: The server refuses; its own words are given.
        RegistryConflict: Somebody changed the service meanwhile.
    """
    services = RegisteredServices(registry)
    service = services.get(name)
    _check(service, role, seal=seal)
    with journalled(registry, "rotate password", name, {"role": role.value}):
        if role.next_password(service) is None:
            registry.put_service(seal_next(service, role, token_urlsafe(_BYTES), keyring), replace=True)
            service = services.get(name)
        server = server_of(service, keyring)
        backend, login = _door(server, role)
        backend.change_password(server, login, read_next(service, role, keyring) or "")
        done = role.with_password(service, role.next_password(service))
        registry.put_service(done, replace=True)
    return services.get(name)


def _check(service: Service, role: ServiceAccount, *, seal: bool) -> None:
    if not service.source.writable:
        raise defined_elsewhere(service)
    ref = role.password(service)
    if ref is None or role.url(service) is None:
        raise NotSupported(f"Service {service.name} has no {role.value}'s password.")
    if ref.scheme != SEALED and not seal:
        option = " --admin" if role is ServiceAccount.ADMINISTRATOR else ""
        raise SecretError(
            f"The {role.value}'s password of service {service.name} is kept as {ref.shown}, "
            "where Penstock can't change it.",
            hint=f"penstock services rotate {service.name}{option} --seal keeps the new one in the registry.",
        )


def _door(server: Server, role: ServiceAccount) -> tuple[RoleBackend, Login]:
    """How to change the password of a role, and the login that leads to it."""
    backend = backend_for(server.login.url).roles
    if backend is None:
        raise NotSupported(f"Service {server.service} is of a kind that has no passwords.")
    direct = backend.direct_login(server)
    return backend, direct if role is ServiceAccount.SERVICE or server.admin is None else server.admin
