"""Copies of one template share its roles, with the rights of the real store's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.backends import NewLogin, RoleNames, StoreRole
from penstock.connect.credentials import new_credential, read_credential
from penstock.provision.connection import own_connection
from penstock.provision.record import TABLE_NAME
from penstock.provision.roles import StoreRoles
from penstock.registry import Credential, CredentialState

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.connect import Address
    from penstock.provision.record import Record
    from penstock.provision.roles import RolePolicy
    from penstock.registry import Service


@dataclass(frozen=True, slots=True)
class Template:
    """What copies of a store are made from.

    Args:
        database: Its database.
        roles: Its roles; None if it has none.
    """

    database: str
    roles: RoleNames | None = None


@dataclass(frozen=True, slots=True)
class Logins:
    """The logins of this process in the roles of templates, by these; all of its copies use them."""

    made: dict[tuple[str, RoleNames, StoreRole], Credential] = field(default_factory=dict)


class CopyRoles(StoreRoles):
    """The roles of a copy: those of its template, which go when that goes.

    Args:
        policy: Of the copies.
        address: The copy.
        service: The service it is on.
        template: The template.
        logins: This process's logins in its roles.
    """

    def __init__(
        self, policy: RolePolicy, address: Address, service: Service, template: Template, logins: Logins
    ) -> None:
        backend, roles = address.backend.roles, template.roles
        if backend is None or roles is None:
            raise ValueError("A template without roles has none to share.")
        super().__init__(policy, backend, address, service, known_as=template.database)
        self._shared = replace(roles, app_makes_tables=address.database_address.app_makes_tables)
        self._logins = logins

    def problem(self) -> None:
        """None: the template has them."""

    def look(self, connection: Connection, record: Record | None) -> bool:
        """Whether they were given this copy, as this process remembers; nobody is asked."""
        self.names, self.present = self._shared, bool(self._known())
        return self.present

    def grant(self) -> None:
        """Let the template's roles have what is theirs in this copy, too."""
        with own_connection(self._address) as connection, connection.begin():
            self._backend.grant_copy(connection, self._shared, TABLE_NAME)
            logins = self._shared_logins(connection)
        self.names, self.present = self._shared, True
        database, policy = self._address.database, self._policy
        mine = [
            new_credential(self._service, database, login.role, login.name, policy.keyring, login.password)
            for login in logins
        ]
        now = datetime.now(UTC)
        policy.registry.put_credentials(
            [replace(each, state=CredentialState.CURRENT, since=now) for each in mine]
        )

    def grant_tables(self) -> None:
        """Nothing: in a copy, they may use what comes later."""

    def let_end(self) -> None:
        """Nothing: the service's role was made a member of the logins."""

    def drop(self, store_id: str = "") -> None:
        """Forget the logins; other copies use them."""
        self.present = False
        self._policy.registry.remove_credentials(self._known())

    def _all_names(self, store_id: str) -> RoleNames:
        return self._shared

    def _shared_logins(self, connection: Connection) -> list[NewLogin]:
        """The logins of this process; made with its first copy."""
        service, names, made = self._service, self._shared, self._logins.made
        keys = [(service.name, names, role) for role in StoreRole]
        missing = [key for key in keys if key not in made]
        new = {
            key: new_credential(
                service, self._known_as, key[2], self._backend.new_login(names, key[2]), self._policy.keyring
            )
            for key in missing
        }
        if new:
            logins = [self._opened(login) for login in new.values()]
            self._backend.add_logins(connection, names, logins, everywhere=True)
            made.update(new)
        return [
            NewLogin(
                role=key[2],
                name=made[key].login,
                password=read_credential(service, made[key], self._policy.keyring),
            )
            for key in keys
        ]
