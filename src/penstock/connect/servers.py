"""A registered service becomes a server that a backend can use."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.backends import Login, Server, backend_for, parse_url
from penstock.secrets import SEALED, Credentials, Keyring, Seal, SecretRef, look_up, resolve

if TYPE_CHECKING:
    from sqlalchemy import URL

    from penstock.registry import Service


class ServiceAccount(Enum):
    """The account of a service: the one that stores use, or the administrator's."""

    SERVICE = "service"
    ADMINISTRATOR = "administrator"

    def url(self, service: Service) -> str | None:
        """Its address."""
        return service.url if self is ServiceAccount.SERVICE else service.admin_url

    def password(self, service: Service) -> SecretRef | None:
        """Where its password is."""
        return service.password if self is ServiceAccount.SERVICE else service.admin_password

    def next_password(self, service: Service) -> SecretRef | None:
        """Where the password is that is about to take its place, if one is."""
        return service.next_password if self is ServiceAccount.SERVICE else service.next_admin_password

    def with_password(
        self, service: Service, password: SecretRef | None, following: SecretRef | None = None
    ) -> Service:
        """The service with this password for the role, and with one that is about to take its place."""
        if self is ServiceAccount.SERVICE:
            return replace(service, password=password, next_password=following)
        return replace(service, admin_password=password, next_admin_password=following)


def server_of(service: Service, keyring: Keyring, connect_timeout: float = 10.0) -> Server:
    """The service with its addresses read and its passwords ready to be looked up.

    Args:
        service: The service.
        keyring: Opens those of its passwords that are sealed, when they are looked up.
        connect_timeout: Seconds in which it has to answer Penstock's own connections.

    Raises:
        ConfigError: The platform that hands the service out says something wrong of it.
    """
    if service.problem is not None:
        raise service.problem
    return Server(
        service=service.name,
        login=_login(service, service.url, ServiceAccount.SERVICE, keyring),
        admin=_login(service, service.admin_url, ServiceAccount.ADMINISTRATOR, keyring)
        if service.admin_url
        else None,
        pooled=service.pooled,
        max_connections=service.max_connections,
        connect_timeout=connect_timeout,
    )


def seal_password(service: Service, role: ServiceAccount, password: str, keyring: Keyring) -> Service:
    """The service with a password for one of its roles that opens only for it, at its address as it is now.

    Args:
        service: The service; one that is new gets its id here.
        role: Whose password it is.
        password: The password.
        keyring: Seals it with its first key.

    Raises:
        KeyMissing, KeyUnsafe, KeyInvalid: There is no key that can be used.
        SecretError: UTF-8 can't hold the password.
    """
    known = service if service.id else replace(service, id=uuid4().hex)
    return role.with_password(known, keyring.seal(password, _seal(known, role)))


def seal_next(service: Service, role: ServiceAccount, password: str, keyring: Keyring) -> Service:
    """The service with a password that is about to take the other one's place; raises as `seal_password`."""
    ref = keyring.seal(password, _seal(service, role))
    return role.with_password(service, role.password(service), ref)


def read_password(service: Service, role: ServiceAccount, keyring: Keyring) -> str | None:
    """The password of a role, looked up now; None if there is none.

    Raises:
        SecretMissing: It is not where the reference says.
        SealBroken: It was sealed for another service, role or address, or was changed.
        KeyMissing: The key that it was sealed with is not there.
    """
    return _read(role.password(service), service, role, keyring)


def read_next(service: Service, role: ServiceAccount, keyring: Keyring) -> str | None:
    """The password that is about to take the other one's place; raises as `read_password`."""
    return _read(role.next_password(service), service, role, keyring)


def password_audience(address: str, user: str | None = None) -> tuple[object, ...]:
    """Who is sent the password of an address: its scheme, user, hosts, port, and decisive options.

    Args:
        address: The address.
        user: Who logs in there instead.
    """
    parsed = parse_url(address)
    if user is not None:
        parsed = as_user(parsed, user)
    backend = backend_for(parsed)
    url = backend.password_audience(parsed)
    options = sorted((name, _listed(value)) for name, value in url.query.items())
    return backend.name, url.username, url.host, url.port, url.database, options


def password_audiences(address: str, direct: str | None, user: str | None = None) -> tuple[object, ...]:
    """Who is sent a password: an address, and past a pooler the server itself as well."""
    return tuple(part for each in (address, direct) if each for part in password_audience(each, user))


def as_user(url: URL, user: str) -> URL:
    """The same address for somebody else."""
    return url.set(username=user).difference_update_query(["user"])


def past_pooler(service: Service) -> str | None:
    """The address of the server behind a service's pooler, if that is known."""
    return service.admin_url if service.pooled else None


def same_audience(one: Service, other: Service, role: ServiceAccount) -> bool:
    """Whether both send a role's password to the same servers, as the same user, equally well protected."""
    return _audiences(one, role) == _audiences(other, role)


def _login(service: Service, url: str, role: ServiceAccount, keyring: Keyring) -> Login:
    now, following = role.password(service), role.next_password(service)
    return Login(
        url=parse_url(url),
        password=partial(_look_up, now, service, role, keyring),
        reference="" if now is None else str(now),
        spare=None if following is None else partial(_look_up, following, service, role, keyring),
        spare_reference="" if following is None else str(following),
    )


def _read(ref: SecretRef | None, service: Service, role: ServiceAccount, keyring: Keyring) -> str | None:
    if ref is None or ref.scheme != SEALED:
        return resolve(ref)
    return keyring.open(ref, _seal(service, role))


def _look_up(
    ref: SecretRef | None, service: Service, role: ServiceAccount, keyring: Keyring
) -> str | Credentials | None:
    """The same for a connection, with the user if it comes with one."""
    if ref is None or ref.scheme != SEALED:
        return look_up(ref)
    return keyring.open(ref, _seal(service, role))


def _seal(service: Service, role: ServiceAccount) -> Seal:
    """What a password is bound to: the record, the role, and all that decides who is sent it."""
    option = "--password-stdin" if role is ServiceAccount.SERVICE else "--admin-password-stdin"
    return Seal(
        subject=f"the {role.value}'s password of service {service.name!r}",
        renew=f"penstock services edit {service.name} {option}",
        facts=(service.id, role.value, *_audiences(service, role)),
    )


def _audiences(service: Service, role: ServiceAccount) -> tuple[object, ...]:
    """Who is sent a role's password: its address, and past a pooler the server itself as well."""
    direct = past_pooler(service) if role is ServiceAccount.SERVICE else None
    return password_audiences(role.url(service) or service.url, direct)


def _listed(value: str | tuple[str, ...]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
