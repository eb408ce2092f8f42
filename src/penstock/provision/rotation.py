"""Gives stores new logins while their apps run, and drops the old ones later."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from penstock.errors import NotSupported
from penstock.provision.results import OnEvent, Recorder, RotateResult, taking
from penstock.provision.steps import Action
from penstock.registry import journalled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.connect import Address, AddressBook, EngineCache
    from penstock.declare import AppDeclaration
    from penstock.provision.roles import RolePolicy, StoreRoles
    from penstock.registry import Registry

GRACE = 60.0
"""Seconds for which old logins stay good; twelve times what a process takes to notice new ones."""

_LOCK_TIMEOUT = 600.0
_PAUSE = 1.0


class Rotator:
    """Changes the logins of stores.

    Args:
        registry: Remembers them.
        book: Where stores are.
        engines: Counts the connections that this takes.
        roles: Knows which stores have logins.
    """

    def __init__(
        self, registry: Registry, book: AddressBook, engines: EngineCache, roles: RolePolicy
    ) -> None:
        self._registry = registry
        self._book = book
        self._engines = engines
        self._roles = roles

    def renew(self, app: AppDeclaration, name: str, on_event: OnEvent | None = None) -> RotateResult:
        """Give a store new logins, which its apps use from now on; the old ones stay good."""
        with Recorder(on_event) as record:
            record.address = address = self._book.get(app, name)
            step = Action(f"give {address.database} new logins")
            with self._at_work("renew logins", address) as roles, taking(step, app.package, name):
                roles.renew()
        return record.result(RotateResult, app.package, name)

    def retire(
        self,
        app: AppDeclaration,
        name: str,
        grace: float = GRACE,
        patience: float = 0.0,
        on_event: OnEvent | None = None,
    ) -> RotateResult:
        """Drop a store's old logins, once their time is over and nobody is in a transaction with them.

        Args:
            app: The app.
            name: The store.
            grace: Seconds that have to be over since others took their place.
            patience: Until when whoever is still in a transaction is waited for, by `time.monotonic`.
            on_event: Told of each step.
        """
        left: tuple[str, ...] = ()
        with Recorder(on_event) as record:
            record.address = address = self._book.get(app, name)
            step = Action(f"drop the old logins of {address.database}")
            with taking(step, app.package, name):
                while (left := self._retire(address, grace)) and time.monotonic() < patience:
                    time.sleep(_PAUSE)
        return record.result(RotateResult, app.package, name, left=left)

    def rotate(
        self,
        app: AppDeclaration,
        names: Sequence[str],
        grace: float = GRACE,
        on_event: OnEvent | None = None,
    ) -> list[RotateResult]:
        """Renew the logins of several stores, wait, retire the old ones; a store that fails stops no other.

        Args:
            app: The app.
            names: The stores.
            grace: Seconds for which the old logins stay good. Whoever is then still in a transaction is
                waited for as long again.
            on_event: Told of each step.
        """
        renewed = [self.renew(app, name, on_event) for name in names]
        time.sleep(grace)
        patience = time.monotonic() + grace
        return [
            first if first.error else first.then(self.retire(app, first.store, grace, patience, on_event))
            for first in renewed
        ]

    def _retire(self, address: Address, grace: float) -> tuple[str, ...]:
        with self._at_work("retire logins", address) as roles:
            return tuple(login.login for login in roles.retire(grace))

    @contextmanager
    def _at_work(self, action: str, address: Address) -> Iterator[StoreRoles]:
        """The roles of a store while nobody else works on it."""
        roles = self._roles.of(address)
        subject = f"{address.app}:{address.store}"
        if roles is None:
            raise NotSupported(
                f"{subject} has no logins of its own.", why=f"Its address is from {address.source}."
            )
        where = {"service": address.service, "database": address.database}
        lock = address.backend.lock(address.database_address, _LOCK_TIMEOUT)
        with journalled(self._registry, action, subject, where), self._engines.reserved(address), lock:
            yield roles
