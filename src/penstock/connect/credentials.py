"""The logins of a store: passwords are sealed, and opened as late as possible."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from secrets import token_urlsafe
from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.backends import Login, StoreRole, parse_url
from penstock.connect.servers import as_user, password_audiences, past_pooler
from penstock.registry import Credential, CredentialState
from penstock.secrets import Seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.registry import Registry, Service
    from penstock.secrets import Keyring

_BYTES = 24
"""Random ones in a password; 32 characters."""


def find_current(registry: Registry, service: str, database: str, role: StoreRole) -> Credential | None:
    """The login that a store uses for a role, or None if it has none of its own."""
    return current_of(registry.credentials(service, database), role)


def current_of(known: Sequence[Credential], role: StoreRole) -> Credential | None:
    """The one of some logins that is used for a role."""
    states = (CredentialState.CURRENT, role)
    return next((each for each in known if (each.state, each.role) == states), None)


def new_credential(
    service: Service, database: str, role: StoreRole, login: str, keyring: Keyring, password: str = ""
) -> Credential:
    """A login with its password, sealed for this service at its address as it is now.

    Args:
        service: The service whose server it will be on.
        database: The physical name of the store's database.
        role: What it may do.
        login: What it will be called on the server.
        keyring: Seals the password with its first key.
        password: The password; by default a new random one.

    Raises:
        KeyMissing, KeyUnsafe, KeyInvalid: There is no key that can be used.
    """
    identity = uuid4().hex
    seal = _seal(service, identity, role, login, database)
    return Credential(
        id=identity,
        service=service.name,
        database=database,
        role=role,
        login=login,
        password=keyring.seal(password or token_urlsafe(_BYTES), seal),
        state=CredentialState.NEXT,
        since=datetime.now(UTC),
    )


def reseal_credential(service: Service, credential: Credential, keyring: Keyring) -> Credential:
    """The same, sealed with the first key; raises as `read_credential`."""
    password = read_credential(service, credential, keyring)
    return replace(credential, password=keyring.seal(password, _seal_of(service, credential)))


def read_credential(service: Service, credential: Credential, keyring: Keyring) -> str:
    """The password of a login, looked up now.

    Raises:
        SealBroken: It was sealed for another login or address, or was changed.
        KeyMissing: The key that it was sealed with is not there.
    """
    return keyring.open(credential.password, _seal_of(service, credential))


def login_of(service: Service, credential: Credential, keyring: Keyring) -> Login:
    """A login of a store's own as a backend uses it."""
    return Login(
        url=as_user(parse_url(service.url), credential.login),
        password=partial(read_credential, service, credential, keyring),
        reference=str(credential.password),
    )


def _seal_of(service: Service, credential: Credential) -> Seal:
    return _seal(service, credential.id, credential.role, credential.login, credential.database)


def _seal(service: Service, identity: str, role: StoreRole, login: str, database: str) -> Seal:
    """What a password is bound to: the record, the role, and all that decides who is sent it."""
    audiences = password_audiences(service.url, past_pooler(service), login)
    return Seal(
        subject=f"the {role.value}'s password of database {database} on service {service.name!r}",
        renew=f"penstock stores rotate --service {service.name}",
        facts=("store", identity, role.value, *audiences),
    )
