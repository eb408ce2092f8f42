"""The services: registered, checked, and given new passwords."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.connect import ServiceAccount
from penstock.connect.health import ServiceHealth, health_of, server_version
from penstock.connect.rotation import rotate_password
from penstock.engines import BudgetState, budget_states
from penstock.errors import PenstockError
from penstock.registry.registered import RegisteredServices

if TYPE_CHECKING:
    from penstock.connect import AddressBook, EngineCache
    from penstock.provision.roles import RolePolicy
    from penstock.registry import Registry, Service
    from penstock.secrets import Keyring


class Services(RegisteredServices):
    """The servers that stores can be on: `stores.services`.

    Args:
        registry: Remembers them.
        book: Says how long they have to answer.
        engines: Count connections to them.
        roles: Tells whether their stores get roles.
        keyring: Opens and seals passwords.
    """

    def __init__(
        self,
        registry: Registry,
        book: AddressBook,
        engines: EngineCache,
        roles: RolePolicy,
        keyring: Keyring,
    ) -> None:
        super().__init__(registry)
        self._book = book
        self._engines = engines
        self._roles = roles
        self._keyring = keyring

    def version(self, service: str | Service, role: ServiceAccount = ServiceAccount.SERVICE) -> str:
        """Connect to a service and return its server's version; raises why it can't be used.

        Args:
            service: The service, or its name.
            role: Who logs in.
        """
        asked = self.get(service) if isinstance(service, str) else service
        return server_version(asked, self._keyring, role, self._book.connect_timeout)

    def check(self) -> list[ServiceHealth]:
        """Connect to every service: whether it answers, and how many connections this process uses."""
        return [self._health(each) for each in self._registry.services()]

    def budgets(self) -> list[BudgetState]:
        """How many connections to each server this process uses, and for which stores; asks no server."""
        return budget_states()

    def rotate(
        self, service: str, role: ServiceAccount = ServiceAccount.SERVICE, *, seal: bool = False
    ) -> Service:
        """Give a service's role a new password, on its server and here, while apps run.

        Args:
            service: The service.
            role: Whose password it is.
            seal: Whether a password that is kept elsewhere may be replaced by one in the registry.

        Raises:
            SecretError: The password is kept where Penstock can't change it.
            DefinedElsewhere: A file defines the service.
        """
        return rotate_password(self._registry, self._keyring, service, role, seal=seal)

    def _health(self, service: Service) -> ServiceHealth:
        health = health_of(service, self._keyring, self._engines)
        if not health.ok or not self._roles.are_known_to(service):
            return health
        try:
            problem = self._roles.problem_of(service)
        except PenstockError as error:
            problem = error
        return replace(health, roles=problem is None, no_roles=problem)
