"""Looks at stores without changing them, orphans included."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.declare import AppDeclaration
from penstock.errors import NotAssigned, PenstockError
from penstock.provision.status import Health, StoreStatus, is_complete, kept_status, orphan_of, status_of
from penstock.registry import Roles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.connect import Address, AddressBook
    from penstock.provision.provisioner import Provisioner
    from penstock.provision.roles import RoleKeeper
    from penstock.registry import Registry, StoreEntry


class Inspector:
    """Asks servers what stores are like.

    Args:
        registry: Remembers how the last work on each ended.
        book: Where they are.
        provisioner: Knows what belongs inside.
        roles: Knows which get roles of their own.
    """

    def __init__(
        self, registry: Registry, book: AddressBook, provisioner: Provisioner, roles: RoleKeeper
    ) -> None:
        self._registry = registry
        self._book = book
        self._provisioner = provisioner
        self._roles = roles

    def exists(self, app: AppDeclaration, name: str) -> bool:
        """Whether the store is there, ours, and complete; raises if its server can't be asked."""
        address = self._book.find(app, name)
        return address is not None and is_complete(address)

    def status(self, app: AppDeclaration, name: str) -> StoreStatus:
        """What one store is like right now."""
        required = self._provisioner.contents(app, name).required
        try:
            address = self._book.get(app, name)
        except PenstockError as error:
            health = Health.UNASSIGNED if isinstance(error, NotAssigned) else Health.UNREACHABLE
            return StoreStatus(
                app=app.package,
                store=name,
                health=health,
                problem=error.what,
                hint=error.hint,
                required=required,
            )
        entry = self._registry.find_store(app.package, name)
        return self._with_roles(status_of(address, entry, required=required), address)

    def orphans(self, apps: Iterable[AppDeclaration]) -> list[StoreStatus]:
        """The remembered stores that nobody declares any more, or that were left behind."""
        return [self._orphan(entry, why) for entry, why in self._provisioner.orphans(apps)]

    def kept(self, entry: StoreEntry) -> StoreStatus:
        """Whether a store that was dropped and is kept is there."""
        try:
            address = self._book.remembered(AppDeclaration(entry.app, entry.app, ()), entry)
            exists = address.backend.exists(address.place)
        except PenstockError as error:
            return kept_status(entry, None, error.what)
        return kept_status(entry, exists)

    def _with_roles(self, status: StoreStatus, address: Address) -> StoreStatus:
        """The status with whose roles the app logs in with; not asked of a server that does not answer."""
        roles = self._roles.of(address)
        if roles is None:
            return status
        if address.place.own_login is not None:
            return replace(status, roles=Roles.STORE.value)
        if status.health is Health.UNREACHABLE:
            return status
        problem = roles.problem()
        why = "The next sync gives it its own." if problem is None else problem.why or problem.what
        return replace(status, roles=Roles.SERVICE.value, no_roles=why)

    def _orphan(self, entry: StoreEntry, why: str) -> StoreStatus:
        try:
            address = self._book.remembered(AppDeclaration(entry.app, entry.app, ()), entry)
        except PenstockError as error:
            return StoreStatus(
                app=entry.app,
                store=entry.name,
                health=Health.ORPHAN,
                service=entry.service,
                database=entry.database,
                problem=f"{why} {error.what}",
            )
        return orphan_of(address, entry, why)
