"""Drops stores: quarantines them, restores them, deletes them for good."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from penstock.declare import AppDeclaration
from penstock.errors import PenstockError, StoreExists, StoreNotCreated, UnknownStore
from penstock.provision.apply import Progress
from penstock.provision.context import look
from penstock.provision.provisioner import Contents, Provisioner, SyncOptions, subject_of, where_of
from penstock.provision.results import DropResult, OnEvent, PurgeResult, Recorder, emit, taking
from penstock.provision.steps import Action
from penstock.provision.sync import drop_store
from penstock.registry import StoreEntry, StoreState, journalled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.connect import Address, AddressBook, EngineCache
    from penstock.provision.context import SyncContext
    from penstock.provision.roles import StoreRoles
    from penstock.registry import Credential, Registry


class Remover:
    """The verbs that take stores away, and bring them back.

    Args:
        registry: Remembers where stores were.
        book: Where they are.
        engines: The engines apps use.
        provisioner: Knows how to work on a store.
    """

    def __init__(
        self,
        registry: Registry,
        book: AddressBook,
        engines: EngineCache,
        provisioner: Provisioner,
    ) -> None:
        self._registry = registry
        self._book = book
        self._engines = engines
        self._provisioner = provisioner

    def drop(
        self, app: AppDeclaration, address: Address, keep: timedelta, on_event: OnEvent | None = None
    ) -> DropResult:
        """Drop one store, and forget a place where it was.

        Args:
            app: The app.
            address: Where the store is.
            keep: For how long it is kept under another name; not at all where nobody would remember it.
            on_event: Told of each step.
        """
        existed, kept = False, None
        with Recorder(on_event) as record:
            record.address = address
            existed, kept = self._drop_or_keep(app, address, keep)
        result = record.result(DropResult, app.package, address.store.name, existed=existed, kept=kept)
        return result.or_raise()

    def _drop_or_keep(
        self, app: AppDeclaration, address: Address, keep: timedelta
    ) -> tuple[bool, StoreEntry | None]:
        detail = where_of(address)
        with journalled(self._registry, "drop store", subject_of(address), detail):
            unused = self._finish_drops(address)
            kept = None
            if keep > timedelta(0) and self._registry.lasting and not address.external:
                kept = self._kept_as(address, keep, unused)
            context = self._work(app, address)
            dropped, remembered = self._drop(context, address, kept, Progress(detail))
            if context.roles is not None and not dropped:
                context.roles.drop(self._provisioner.record_id(address))
            if dropped and kept is None and unused is not None:
                self._registry.remove_store(unused)
            self._registry.remove_store(address.entry())
            self._engines.forget(app.package, address.store.name)
        return dropped, remembered

    def kept(self, app: str | None = None) -> list[StoreEntry]:
        """The stores that were dropped and are kept, the newest first."""
        found = [entry for entry in self._registry.stores(app) if entry.state is StoreState.DROPPED]
        return sorted(found, key=lambda entry: entry.kept_until or _NEVER, reverse=True)

    def restore(self, app: str, name: str, database: str | None = None) -> Address:
        """Let a dropped store be what it was.

        Args:
            app: The app's package.
            name: The store.
            database: What its database is called while it is kept; the one dropped last by default.

        Raises:
            UnknownStore: No such store is kept.
            StoreExists: There is a store of this name again.
        """
        entry = self._get_kept(app, name, database)
        now = self._registry.find_store(app, name)
        elsewhere = now is not None and now.service != entry.service
        back = _back(entry, StoreState.LEFT if elsewhere else StoreState.READY)
        address = self._address(back)
        with journalled(self._registry, "undrop store", subject_of(address), where_of(address)):
            if not self._is_back(entry):
                with taking(Action(f"bring database {entry.database} back as {back.database}"), app, name):
                    self._rename_back(entry, back)
            self._drop_remains(entry)
            self._move_logins(self._registry.credentials(entry.service, entry.database), back)
            self._registry.put_store(back)
            self._registry.remove_store(entry)
            self._engines.let_go(app, name)
        return self._address(back)

    def purge(self, *, every: bool = False, on_event: OnEvent | None = None) -> list[PurgeResult]:
        """Let kept stores go for good: those whose time is over, or all; one that fails stops no other."""
        now = datetime.now(UTC)
        due = [entry for entry in self.kept() if every or (entry.kept_until or _NEVER) <= now]
        return [self._purge(entry, on_event) for entry in due]

    # --- dropping ---

    def _drop(
        self, context: SyncContext, address: Address, kept: StoreEntry | None, emit: Progress
    ) -> tuple[bool, StoreEntry | None]:
        begun: list[StoreEntry] = []

        def remember(kept: StoreEntry) -> None:
            self._registry.put_store(kept)
            begun.append(kept)

        if kept is not None:
            desired = replace(context.desired, kept_as=kept.database)
            context = replace(context, desired=desired, before_quarantine=lambda: remember(kept))
        try:
            with self._engines.reserved(address):
                dropped = drop_store(context, emit, ours=lambda: self._provisioner.remembers(address))
        except PenstockError:
            if kept is not None:
                self._forget_unless_there(address, kept)
            raise
        if kept is None or not begun or not dropped:
            return dropped, None
        self._registry.put_store(kept)  # Somebody may have taken it for one that never came there.
        self._move_logins(self._registry.credentials(address.service, address.database), kept)
        return True, kept

    def _kept_as(self, address: Address, keep: timedelta, unused: StoreEntry | None) -> StoreEntry:
        now = datetime.now(UTC)
        entry = self._provisioner.entry_of(address) or address.entry()
        name = (
            address.backend.quarantine_name(address.database_address, now)
            if unused is None
            else unused.database
        )
        return replace(
            entry,
            service=address.service,
            database=name,
            was=address.database,
            state=StoreState.DROPPED,
            kept_until=now + keep,
            problem="",
            record_id=entry.record_id or _store_id(address),
        )

    def _finish_drops(self, address: Address) -> StoreEntry | None:
        """Finish earlier drops of a store that were killed.

        Returns:
            What is remembered of a place to which its database never came; None if there is no such place.
        """
        unused = None
        for entry in self._provisioner.kept_of(address):
            quarantined = self._address(entry)
            if quarantined.backend.exists(quarantined.database_address):
                self._finish_drop(entry)
            else:
                self._drop_remains(entry)
                unused = entry
        return unused

    def _finish_drop(self, entry: StoreEntry) -> None:
        """Let nothing be remembered of a store that is kept as if it were still there."""
        back = self._address(_back(entry))
        roles = self._roles_of(_back(entry))
        if roles is not None:
            self._move_logins(roles.logins_of(entry.record_id), entry)
            roles.refuse_connections(entry.record_id)
        known = self._provisioner.entry_of(back)
        if known is not None and known.record_id == entry.record_id:
            self._drop_remains(known)
            self._registry.remove_store(known)

    def _forget_unless_there(self, address: Address, kept: StoreEntry) -> None:
        """Forget a place to which nothing was moved after all."""
        database_address = replace(address.database_address, database=kept.database)
        try:
            if address.backend.exists(database_address):
                return
            address.backend.drop_remains(database_address)
        except PenstockError:  # It may be there: then it is found by `stores status`.
            return
        self._registry.remove_store(kept)

    # --- bringing back ---

    def _get_kept(self, app: str, name: str, database: str | None) -> StoreEntry:
        mine = [entry for entry in self.kept(app) if entry.name == name]
        found = [entry for entry in mine if database in (None, entry.database)]
        if not found:
            there = ", ".join(entry.database for entry in mine) or "none"
            raise UnknownStore(
                f"No dropped store {app}:{name} is kept.", why=f"Kept: {there}.", hint="penstock stores list"
            )
        return found[0]

    def _is_back(self, entry: StoreEntry) -> bool:
        """Whether a store that is said to be kept has its name, as its record tells: a verb was killed."""
        quarantined = self._address(entry)
        if not entry.record_id or quarantined.backend.exists(quarantined.database_address):
            return False
        return _store_id(self._address(_back(entry))) == entry.record_id

    def _rename_back(self, entry: StoreEntry, back: StoreEntry) -> None:
        """Let a database have its name again; a kill on the way leaves the store known by both."""
        quarantined, address = self._address(entry), self._address(back)
        _check_there(quarantined)
        _check_free(address)
        before = self._provisioner.entry_of(address)
        logins = self._registry.credentials(entry.service, entry.database)
        if before is None:
            begun = StoreState.PENDING if back.state.is_current else back.state
            self._registry.put_store(replace(back, state=begun))
        self._move_logins(logins, back)
        roles = self._roles_of(back)
        try:
            if roles is not None:
                roles.allow_connections(entry.record_id)
            address.backend.restore(quarantined.database_address, back.database)
        except PenstockError:
            if roles is not None:
                roles.refuse_connections(entry.record_id)
            self._move_logins(self._registry.credentials(back.service, back.database), entry)
            if before is None:
                self._registry.remove_store(back)
            raise

    def _roles_of(self, back: StoreEntry) -> StoreRoles | None:
        """The roles of a store where it has its name."""
        return self._work(AppDeclaration(back.app, back.app, ()), self._address(back)).roles

    def _move_logins(self, logins: Sequence[Credential], to: StoreEntry) -> None:
        if logins:
            moved = [replace(login, database=to.database) for login in logins]
            self._registry.put_credentials(moved, instead_of=logins)

    # --- for good ---

    def _purge(self, entry: StoreEntry, on_event: OnEvent | None) -> PurgeResult:
        with Recorder(on_event) as record:
            record.address = self._address(entry)
            self._drop_kept(entry)
        return record.result(PurgeResult, entry.app, entry.name, database=entry.database)

    def _drop_kept(self, entry: StoreEntry) -> None:
        app = AppDeclaration(entry.app, entry.app, ())
        address = self._address(entry)
        with journalled(self._registry, "purge store", subject_of(address), where_of(address)):
            if self._is_back(entry):
                self.restore(entry.app, entry.name, entry.database)
                return
            self._finish_drop(entry)
            context = self._work(app, address, known_as=entry.was)
            with self._engines.reserved(address):
                if address.backend.exists(address.database_address):
                    address.backend.allow_connections(address.database_address)
                    drop_store(context, emit, ours=lambda: True)
                elif context.roles is not None:
                    context.roles.drop(entry.record_id)
            self._drop_remains(entry)
            self._registry.remove_store(entry)

    # --- places ---

    def _drop_remains(self, entry: StoreEntry) -> None:
        address = self._address(entry)
        address.backend.drop_remains(address.database_address)

    def _address(self, entry: StoreEntry) -> Address:
        return self._book.remembered(AppDeclaration(entry.app, entry.app, ()), entry)

    def _work(self, app: AppDeclaration, address: Address, known_as: str = "") -> SyncContext:
        return self._provisioner.work_on(app, address, Contents(), SyncOptions(), known_as=known_as)


def _back(entry: StoreEntry, state: StoreState = StoreState.READY) -> StoreEntry:
    """What a kept store is once it has its name again."""
    return replace(entry, database=entry.was, state=state, problem="", was="", kept_until=None)


def _store_id(address: Address) -> str:
    """The text of a store's record; empty if there is none."""
    record = look(address).record
    return "" if record is None else record.store_id


def _check_there(quarantined: Address) -> None:
    if not quarantined.backend.exists(quarantined.database_address):
        raise StoreNotCreated(
            f"There is no database {quarantined.database} on service {quarantined.service}.",
            why=f"{quarantined.app}:{quarantined.store} was kept there, but somebody took it away.",
            hint="penstock stores purge --all, to forget it.",
        )


def _check_free(address: Address) -> None:
    """Nothing may be there but what was left of a database that others had open when it was dropped."""
    found = look(address).found
    if found.exists and (found.record is not None or found.relations):
        store = f"{address.app}:{address.store}"
        raise StoreExists(
            f"There is a database {address.database} on service {address.service} again.",
            why=f"{store} was made anew after it had been dropped.",
            hint=f"penstock stores drop {store}, then undrop this one by --database.",
        )


_NEVER = datetime.max.replace(tzinfo=UTC)
