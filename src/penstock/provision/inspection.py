"""Looks at stores without changing them, orphans included."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from penstock.declare import AppDeclaration
from penstock.errors import (
    HostRefused,
    LoginRefused,
    NotAllowed,
    NotLinked,
    PenstockError,
    PermissionRefused,
    ServerSilent,
    UnknownApp,
)
from penstock.provision.context import Seen, look_with_size
from penstock.provision.status import (
    Health,
    StoreStatus,
    broken_of,
    is_complete,
    kept_status,
    orphan_of,
    status_of,
)
from penstock.registry import RoleMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from penstock.connect import Address, AddressBook, EngineCache
    from penstock.provision.provisioner import Provisioner
    from penstock.provision.roles import RolePolicy
    from penstock.registry import Registry, StoreEntry


_Answer = TypeVar("_Answer")


class Inspector:
    """Asks servers what stores are like.

    Args:
        registry: Remembers how the last work on each ended.
        book: Where they are.
        provisioner: Knows what belongs inside.
        roles: Knows which get roles of their own.
        engines: Tries their logins.
    """

    def __init__(
        self,
        registry: Registry,
        book: AddressBook,
        provisioner: Provisioner,
        roles: RolePolicy,
        engines: EngineCache,
    ) -> None:
        self._engines = engines
        self._registry = registry
        self._book = book
        self._provisioner = provisioner
        self._roles = roles
        self._silent: dict[str, tuple[float, ServerSilent]] = {}

    def exists(self, app: AppDeclaration, name: str) -> bool:
        """Whether the store is there, ours, and complete; raises if its server can't be asked."""
        address = self._book.find(app, name)
        return address is not None and is_complete(address, self._registry.identity())

    def status(self, app: AppDeclaration, name: str) -> StoreStatus:
        """The state of one store right now."""
        required = self._provisioner.contents(app, name).required
        try:
            address = self._book.get(app, name)
        except PenstockError as error:
            health = Health.UNLINKED if isinstance(error, NotLinked) else Health.UNREACHABLE
            return StoreStatus(
                app=app.package,
                store=name,
                health=health,
                problem=f"{error.what} {error.why}".strip(),
                hint=error.hint,
                required=required,
            )
        entry = self._registry.find_store(app.package, name)
        found = status_of(address, entry, self._registry.identity(), required=required, look=self._look)
        return self._with_roles(found, address)

    def orphans(self, apps: Iterable[AppDeclaration]) -> list[StoreStatus]:
        """The remembered stores that their apps do not declare any more, or that were left behind."""
        return [
            orphan_of(self._remembered(entry), entry, why) for entry, why in self._provisioner.orphans(apps)
        ]

    def broken(
        self, apps: Iterable[AppDeclaration], causes: Mapping[str, PenstockError]
    ) -> list[StoreStatus]:
        """The remembered stores of apps that are not here, or can't be imported.

        Args:
            apps: The apps that could be.
            causes: Why others could not, by package.
        """
        return [
            broken_of(self._remembered(entry), causes.get(entry.app) or _not_here(entry.app))
            for entry in self._provisioner.of_no_app(apps)
        ]

    def kept(self, entry: StoreEntry) -> StoreStatus:
        """Whether a store that was dropped and is kept is there."""
        try:
            address = self._book.remembered(AppDeclaration(entry.app, entry.app, ()), entry)
            exists = self._ask(address, lambda: address.backend.exists(address.database_address))
        except PenstockError as error:
            return kept_status(entry, None, error.what)
        return kept_status(entry, exists)

    def _look(self, address: Address) -> Seen:
        return self._ask(address, lambda: look_with_size(address))

    def _ask(self, address: Address, question: Callable[[], _Answer]) -> _Answer:
        """What a server answers; one that was silent just now is not waited for again, store by store."""
        key = address.backend.server_key(address.database_address.server)
        until, silence = self._silent.get(key, (0.0, None))
        if silence is not None and time.monotonic() < until:
            raise silence.anew()
        try:
            return question()
        except ServerSilent as error:
            until = time.monotonic() + address.database_address.server.connect_timeout
            self._silent[key] = (until, error.anew())
            raise

    def _with_roles(self, status: StoreStatus, address: Address) -> StoreStatus:
        """The status with whose roles the app logs in with; not asked of a server that does not answer."""
        roles = self._roles.of(address)
        if roles is None:
            return status
        if address.database_address.own_login is not None:
            return self._with_login(replace(status, roles=RoleMode.STORE.value), address)
        if status.health is Health.UNREACHABLE:
            return status
        problem = roles.problem()
        why = "The next sync gives it its own." if problem is None else problem.why or problem.what
        return replace(status, roles=RoleMode.SERVICE.value, no_roles=why)

    def _with_login(self, status: StoreStatus, address: Address) -> StoreStatus:
        """The status, once its app's own login was tried: somebody else may have changed it."""
        if status.health is not Health.READY:
            return status
        engine = self._engines.at(address.database_address)
        try:
            with engine.engine.connect():
                return status
        except DBAPIError as error:
            refused = address.backend.translate(error, "Its app's login was tried, without success.")
        except PenstockError as error:
            refused = error
        finally:
            engine.dispose()
        problem = f"{refused.what} {refused.why}".strip()
        if isinstance(refused, HostRefused | NotAllowed):
            return replace(status, health=Health.NO_LOGIN, problem=problem, hint=refused.hint)
        if isinstance(refused, LoginRefused | PermissionRefused):
            hint = f"penstock stores rotate {status.app}:{status.store}, for a new login"
            return replace(status, health=Health.NO_LOGIN, problem=problem, hint=hint)
        return replace(status, health=Health.UNREACHABLE, problem=problem, hint=refused.hint)

    def _remembered(self, entry: StoreEntry) -> StoreStatus:
        """What a store is like where the registry remembers it."""
        try:
            address = self._book.remembered(AppDeclaration(entry.app, entry.app, ()), entry)
        except PenstockError as error:
            return StoreStatus(
                app=entry.app,
                store=entry.name,
                health=Health.UNREACHABLE,
                service=entry.service,
                database=entry.database,
                problem=f"{error.what} {error.why}".strip(),
                hint=error.hint,
            )
        # Nobody declares who makes its tables.
        return replace(status_of(address, entry, self._registry.identity(), look=self._look), tables="")


def _not_here(package: str) -> UnknownApp:
    """The cause where an app was found nowhere."""
    return UnknownApp(
        f"No app {package} is installed or configured here.",
        why="So it can't be told whether it still needs this store.",
        hint="Run this where the app is, or install it; --app module:Class names it.",
    )
