"""Stores get new logins while their apps run, and lose the old ones later."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.errors import NotSupported, PenstockError
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How the rotation of one store's logins ended.

    Args:
        app: The app's package.
        store: The store's name.
        left: Old logins that are still good, since somebody was in a transaction with them.
        error: Why it failed; None if it did not. Nobody was locked out.
    """

    app: str
    store: str
    left: tuple[str, ...] = ()
    error: PenstockError | None = None

    @property
    def ok(self) -> bool:
        """Whether all of it was done."""
        return self.error is None and not self.left


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

    def renew(self, app: AppDeclaration, name: str) -> None:
        """Give a store new logins, which its apps use from now on; the old ones stay good."""
        address = self._book.get(app, name)
        with self._at_work("renew logins", address) as roles:
            roles.renew()

    def retire(self, app: AppDeclaration, name: str, grace: float = GRACE) -> tuple[str, ...]:
        """Drop a store's old logins, once their time is over and nobody is in a transaction with them.

        Returns:
            Those that were left.
        """
        address = self._book.get(app, name)
        with self._at_work("retire logins", address) as roles:
            return tuple(login.login for login in roles.retire(grace))

    def rotate(self, app: AppDeclaration, names: Sequence[str], grace: float = GRACE) -> list[Rotated]:
        """Renew the logins of several stores, wait, retire the old ones; a store that fails stops no other.

        Args:
            app: The app.
            names: The stores.
            grace: Seconds for which the old logins stay good. Whoever is then still in a transaction is
                waited for as long again.
        """
        results = [self._renewed(app, name) for name in names]
        time.sleep(grace)
        patience = time.monotonic() + grace
        return [each if each.error else self._retired(app, each.store, grace, patience) for each in results]

    def _renewed(self, app: AppDeclaration, name: str) -> Rotated:
        try:
            self.renew(app, name)
        except PenstockError as error:
            return Rotated(app=app.package, store=name, error=error)
        return Rotated(app=app.package, store=name)

    def _retired(self, app: AppDeclaration, name: str, grace: float, patience: float) -> Rotated:
        try:
            while (left := self.retire(app, name, grace)) and time.monotonic() < patience:
                time.sleep(_PAUSE)
        except PenstockError as error:
            return Rotated(app=app.package, store=name, error=error)
        return Rotated(app=app.package, store=name, left=left)

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
