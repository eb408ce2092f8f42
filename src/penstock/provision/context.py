"""One store to work on: what it shall be, where it is, how to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from penstock.connect import Address
from penstock.declare import Tables
from penstock.engines.forgotten import forgetting_none
from penstock.errors import PenstockError, ServerError, StorageUnavailable, StoreNotCreated
from penstock.provision.connection import own_connection
from penstock.provision.ddl_lock import ddl_lock
from penstock.provision.facts import NOTHING, DesiredState, Found
from penstock.provision.initializers import FoundInitializer
from penstock.provision.record import TABLE_NAME, Record, StoreRecord, read_record
from penstock.provision.roles import StoreRoles
from penstock.registry import RegistryIdentity

if TYPE_CHECKING:
    from penstock.backends import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncContext:
    """Everything that the steps of one store need.

    Args:
        address: Where the store is.
        desired: What it shall be.
        app_engine: Gives the engine that the app itself uses.
        roles: The store's roles of its own, if it may have any.
        registry: The registry that remembers it, for its record.
        let_go: Closes this process's idle connections to the store.
        initializer: The initializer, found and checked.
        tables: The declared tables.
        before_quarantine: Remembers what the database is going to be called, before it is set aside.
        refused: Why it can't be made as it is wanted, where that is known without asking its server.
        lock_timeout: Seconds to wait for another sync of this store.
    """

    address: Address
    desired: DesiredState
    app_engine: Callable[[], Engine]
    let_go: Callable[[], None]
    initializer: FoundInitializer | None = None
    tables: Tables | None = None
    roles: StoreRoles | None = None
    registry: RegistryIdentity = field(default_factory=RegistryIdentity)
    before_quarantine: Callable[[], None] = lambda: None
    refused: PenstockError | None = None
    lock_timeout: float = 600.0

    def look(self) -> Seen:
        """Look at the store without changing it (see `look`)."""
        return look(self.address, self.roles)

    def engine(self) -> Engine:
        """The engine on which tables are made and initializers run: the owner's, if the store has one."""
        owners = None if self.roles is None else self.roles.engine()
        return owners or self.app_engine()

    @property
    def backend(self) -> Backend:
        """How the store's server is spoken to."""
        return self.address.backend

    @property
    def record(self) -> StoreRecord:
        """Writes the record inside."""
        return StoreRecord(self.backend, self.desired.app, self.desired.store, self.registry)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction of Penstock's own in the store."""
        with own_connection(self.address) as connection, connection.begin():
            yield connection

    def in_turn(self) -> AbstractContextManager[None]:
        """A block in which tables are created, which not every library lets threads do at once."""
        return ddl_lock.held()

    def forgetting_none(self) -> AbstractContextManager[None]:
        """A block in which connections that an initializer forgets are found and closed."""
        return forgetting_none(self.engine(), self.app_engine())

    def translated(self, error: DBAPIError, what: str) -> PenstockError:
        """What a server's refusal becomes; without the values of a row, which its own words may hold."""
        refused = self.why_row_refused(error)
        return ServerError(what, why=refused) if refused else self.backend.translate(error, what)

    def why_row_refused(self, error: Exception) -> str:
        """Why the server refused a row, in our words; empty for any other error."""
        rows = self.backend.rows
        if rows is None or not isinstance(error, DBAPIError) or not rows.blames_row(error):
            return ""
        return rows.why_refused(error)

    def is_storage_failure(self, error: Exception) -> bool:
        """Whether a disk is full or broken, which is no fault of what was asked."""
        return isinstance(error, DBAPIError) and isinstance(self.translated(error, ""), StorageUnavailable)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found in a store: the facts for the plan, the record, and the size in bytes, if asked for."""

    found: Found
    record: Record | None = None
    size: int = 0


def look(address: Address, roles: StoreRoles | None = None, *, size: bool = False) -> Seen:
    """Look at a store without changing it.

    Args:
        address: The store.
        roles: Its roles, to be looked at, too.
        size: Whether to ask how large it is, which takes a server longer than all else; default False.

    Raises:
        ServerError: The server does not let us look; its own words are given.
    """
    backend = address.backend
    try:
        with own_connection(address) as connection:
            reading = connection.execution_options(penstock_readonly=True)
            seen = _seen(reading, address, roles)
            return replace(seen, size=backend.size(reading)) if size else seen
    except StoreNotCreated:
        return Seen(NOTHING)
    except DBAPIError as error:
        what = f"The database {address.display_name} can't be looked at."
        raise backend.translate(error, what) from error


def look_with_size(address: Address) -> Seen:
    """Look at a store, and ask how large it is."""
    return look(address, size=True)


def _seen(connection: Connection, address: Address, roles: StoreRoles | None) -> Seen:
    backend = address.backend
    # Before the record: a sync at work writes that first, so what it makes never looks like a stranger's.
    relations = backend.has_relations(connection, TABLE_NAME)
    record = read_record(connection, backend)
    if relations and record is None:  # Or a drop is at work, which takes the record last.
        relations = backend.has_relations(connection, TABLE_NAME)
    found = Found(
        exists=True,
        record=None if record is None else record.facts(),
        relations=relations,
        prepared=backend.is_prepared(connection),
        roles=roles is not None and roles.look(connection, record),
        any_roles=roles is not None and roles.present,
    )
    return Seen(found, record)
