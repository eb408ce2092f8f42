"""CopiedStores: `Stores` whose stores are copies, gone with the test run."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from penstock.backends import StoreRole
from penstock.connect.standins import standing_in
from penstock.declare import AppDeclaration, Copies, StoreName
from penstock.engines.companion import async_companion
from penstock.engines.shared_transaction import TURN, SharedTransaction
from penstock.errors import MissingExtra, NotLinked, NotSupported, PenstockError
from penstock.provision.context import look
from penstock.registry import LayeredRegistry, MemoryRegistry
from penstock.secrets import Keyring
from penstock.stores import Stores
from penstock.testing.keys import OwnKeys
from penstock.testing.roles import CopyRoles, Logins, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from penstock.connect import Address, AppLike, RoleLike
    from penstock.engines import StoreEngine
    from penstock.provision.dynamic import NewStore
    from penstock.provision.provisioner import SyncOptions
    from penstock.provision.results import OnEvent, SyncResult
    from penstock.provision.roles import StoreRoles
    from penstock.registry import Readable, Service


class CopiedStores(Stores):
    """`Stores` on the same servers, whose stores are test copies: other databases, under names of their own.

    It uses the services and links of a registry, and remembers in memory what it makes. Nothing of
    the app's own stores is read or written, not even of those whose address a variable gives: of that, the
    server is used.

    Args:
        layers: Where services and links are looked up.
        copies: The set of copies.
        keyring: Opens sealed passwords.
        apps: The apps whose stores are copied.
        known: Tells what is known of a run-time store of the app's own, so that a copy can be made like it.
        logins: This process's logins in the roles of templates; by default, it has none yet.
    """

    def __init__(
        self,
        layers: Sequence[Readable],
        copies: Copies,
        *,
        keyring: Keyring | None = None,
        apps: Sequence[AppLike] = (),
        known: Callable[[str, str], NewStore | None] = lambda app, name: None,
        logins: Logins | None = None,
    ) -> None:
        keys = keyring if isinstance(keyring, OwnKeys) else OwnKeys(keyring or Keyring())
        super().__init__(LayeredRegistry(layers, MemoryRegistry()), keyring=keys, apps=apps)
        self.book.copies = copies
        self.copies = copies
        self._layers = layers
        self._known = known
        self._transactions: dict[int, tuple[StoreEngine, SharedTransaction]] | None = None
        self._turn = TURN
        self._pinning = Lock()
        self._templates: Mapping[tuple[str, str, str], Template] = {}
        self._logins = Logins() if logins is None else logins
        self._roles.of_copy = self._roles_of

    # --- making them ---

    def use_templates(self, templates: Mapping[tuple[str, str, str], Template]) -> None:
        """Make copies from these templates too.

        Args:
            templates: The templates by service, app and store; of a kind, by the kind's name.
        """
        self._templates = {**self._templates, **templates}
        self._provisioner.template_of = self._template_of

    def make(self, app: AppLike) -> None:
        """Make a copy of every declared store of an app.

        An optional one to which nothing is linked is left out.

        Raises:
            PenstockError: One can't be made.
        """
        for result in self.sync(app):
            if result.error is not None and not result.skipped:
                raise result.error

    def drop_all(self, *apps: AppLike) -> None:
        """Drop every copy, those of run-time stores included; one that can't be dropped stops no other.

        Args:
            apps: The apps; by default all.

        Raises:
            PenstockError: One can't be dropped.
        """
        declared = [self.declaration(app) for app in apps] or self.apps
        errors = [error for app in declared for error in self._drop_but(app, keep=frozenset())]
        if errors:
            raise errors[0]

    def create(
        self,
        app: AppLike,
        name: str,
        asked: NewStore | None = None,
        options: SyncOptions | None = None,
        *,
        on_event: OnEvent | None = None,
    ) -> SyncResult:
        """Make a store at run time; one that the app has already can be copied without saying more of it."""
        declaration = self.declaration(app)
        if (asked is None or asked.connection is None) and declaration.find(StoreName(name).setting) is None:
            asked = _merged(self._known(declaration.package, name), asked)
        return super().create(app, name, asked, options, on_event=on_event)

    def standing_in(self) -> AbstractContextManager[None]:
        """A block in which the copies are used, and the real stores of their apps stay shut."""
        return standing_in(self._apps.keys())

    def forget(self, app: AppLike) -> None:
        """Know an app no more; its copies are dropped before."""
        self._apps.pop(self.declaration(app).package, None)

    # --- tests that leave nothing ---

    @contextmanager
    def rolled_back(self, *, timeout: float = TURN) -> Iterator[CopiedStores]:
        """Undo at the end of the block all that was written to any store in it.

        Engines and sessions of a store, sync and async, work inside one transaction meanwhile, whatever
        they commit (see `SharedTransaction`). Stores that are made in the block are dropped. Only another
        process, or a driver's own connection, is not held back; such tests want copies of their own: `fresh`.

        Args:
            timeout: Seconds for which a session that writes waits for another thread's or task's; default 30.

        Raises:
            NotSupported: A server has committed something of it; that store's copy is made anew.
        """
        if self._transactions is not None:
            raise RuntimeError("A block in which all is rolled back can't be inside another one.")
        made = {app.package: frozenset(self.names(app)) for app in self.apps}
        self._transactions, self._turn = {}, timeout
        try:
            yield self
        finally:
            shared_transactions, self._transactions = self._transactions, None
            kept = [engine for engine, shared in shared_transactions.values() if not shared.end()]
            for app in self.apps:
                self._drop_but(app, keep=made[app.package])
            self._make_anew({engine.label for engine in kept})

    @contextmanager
    def fresh(self, name: str) -> Iterator[CopiedStores]:
        """Another set of copies, for the time of the block; what is written there is really there.

        Args:
            name: Tells it from others.
        """
        copies = Copies(self.copies.run, f"{self.copies.name}/{name}")
        stores = CopiedStores(
            self._layers,
            copies,
            keyring=self.keyring,
            apps=list(self._apps.values()),
            known=self._known,
            logins=self._logins,
        )
        stores.use_templates(self._templates)
        with stores:
            try:
                for app in stores.apps:
                    stores.make(app)
                yield stores
            finally:
                stores.drop_all()

    def store_engine(self, app: AppLike, name: str, role: RoleLike = StoreRole.APP) -> StoreEngine:
        """The engine of a store; inside `rolled_back`, it is held back, and a reader's is the app's."""
        return self._held_back(super().store_engine(app, name, self._role_here(role)))

    def find_store_engine(
        self, app: AppLike, name: str, role: RoleLike = StoreRole.APP
    ) -> StoreEngine | None:
        """The same, if it was used before."""
        found = super().find_store_engine(app, name, self._role_here(role))
        return None if found is None else self._held_back(found)

    def as_template(self, address: Address) -> Template:
        """What copies of a template need to know of it."""
        roles = self._roles.of(address)
        found = look(address, roles).found
        return Template(address.database, roles.names if roles is not None and found.any_roles else None)

    # --- helpers ---

    def _role_here(self, role: RoleLike) -> RoleLike:
        """A reader inside `rolled_back` has the app's connection, or it would not see what a test wrote."""
        return role if self._transactions is None else StoreRole.APP

    def _held_back(self, engine: StoreEngine) -> StoreEngine:
        with self._pinning:  # Nobody gets an engine that is held back by half.
            shared_transactions = self._transactions
            if shared_transactions is not None and id(engine) not in shared_transactions:
                shared = SharedTransaction(engine.engine, self._turn)
                shared_transactions[id(engine)] = engine, shared
                with suppress(MissingExtra):  # Then no test uses it.
                    shared.add_async(async_companion(engine).engine.sync_engine)
        return engine

    def _make_anew(self, labels: set[str]) -> None:
        """Make copies again in which something of a test has stayed, and say so."""
        for app in self.apps if labels else ():
            for name in [name for name in self.names(app) if f"{app.package}:{name}" in labels]:
                self.drop(app, name, now=True)
                for result in self.sync(app, [name]):
                    if result.error is not None:
                        raise result.error
        if labels:
            raise NotSupported(
                f"What this test has done to {', '.join(sorted(labels))} was committed by the server.",
                why="Some statement of it ended the transaction that is rolled back at the end.",
                hint="The copy was made anew, for the next test. Let this one use penstock_fresh_stores.",
            )

    def _drop_but(self, app: AppDeclaration, keep: frozenset[str]) -> list[PenstockError]:
        errors = []
        for name in [name for name in self.names(app) if name not in keep]:
            try:
                self.drop(app, name, now=True)
            except NotLinked:
                continue
            except PenstockError as error:
                errors.append(error)
        return errors

    def _template_of(self, app: AppDeclaration, address: Address) -> str:
        found = self._templates.get((address.service, app.package, address.store.setting))
        return "" if found is None else found.database

    def _roles_of(self, address: Address, service: Service) -> StoreRoles | None:
        """The roles of a template that a copy shares; None where there is no template, or it has none."""
        template = self._templates.get((address.service, address.app, address.store.setting))
        if template is None or template.roles is None:
            return None
        return CopyRoles(self._roles, address, service, template, self._logins)


def _merged(known: NewStore | None, asked: NewStore | None) -> NewStore | None:
    """What is known of a store, and over it what is asked for."""
    if known is None or asked is None:
        return known or asked
    spatial = known.spatial or asked.spatial
    return replace(known, initializer=asked.initializer or known.initializer, spatial=spatial)
