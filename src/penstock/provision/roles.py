"""The roles of one store: whether it gets them, its logins, how they are dropped."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from penstock.backends import NewLogin, RoleNames, StoreRole, backend_for, parse_url
from penstock.connect import server_of
from penstock.connect.credentials import current_of, new_credential, read_credential
from penstock.errors import KeyMissing, NotSupported, PenstockError, SecretError
from penstock.provision.connection import own_connection
from penstock.provision.record import TABLE_NAME, read_record
from penstock.registry import Credential, CredentialState, RoleMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection, Engine

    from penstock.backends import RoleBackend, Server
    from penstock.connect import Address, AddressBook, EngineCache
    from penstock.engines import StoreEngine
    from penstock.provision.record import Record
    from penstock.registry import Registry, Service
    from penstock.secrets import Keyring

_logger = logging.getLogger(__name__)

_REMEMBERED = 60.0
"""Seconds for which what a server's role may do is taken to be as it was."""


class RolePolicy:
    """Decides which stores get roles of their own.

    Args:
        registry: Remembers their logins.
        book: Knows the services.
        engines: Makes engines.
        keyring: Seals the logins' passwords.

    Attributes:
        of_copy: The roles of a store that shares those of another one; None for any other store.
    """

    def __init__(self, registry: Registry, book: AddressBook, engines: EngineCache, keyring: Keyring) -> None:
        self.registry = registry
        self.book = book
        self.engines = engines
        self.keyring = keyring
        self.of_copy: Callable[[Address, Service], StoreRoles | None] = lambda address, service: None
        self._asked: dict[str, tuple[Server, float, PenstockError | None]] = {}

    def of(self, address: Address, known_as: str = "") -> StoreRoles | None:
        """The roles of a store; None where there is no such thing, or the environment says who logs in.

        Args:
            address: The store.
            known_as: What its database was called when it was made, if it is not called so any more.
        """
        backend = address.backend.roles
        if backend is None or address.external:
            return None
        service = self.book.get_service(address.service)
        shared = self.of_copy(address, service)
        if shared is not None:
            return shared
        return StoreRoles(self, backend, address, service, known_as=known_as or address.database)

    def problem(self, service: Service, backend: RoleBackend, server: Server) -> PenstockError | None:
        """Why the stores of a service get no roles of their own, or None; asks the server now and then.

        Raises:
            KeyInvalid, KeyUnsafe: There is a key, but it can't be used.
        """
        return self.problem_here(service) or self._problem_of(backend, server)

    def problem_here(self, service: Service) -> PenstockError | None:
        """Why they get none, as far as that is known without asking the server; raises as `problem`."""
        if service.roles is RoleMode.SERVICE:
            return NotSupported(f"Service {service.name} is to have none.", why='It says: roles = "service".')
        try:
            self.keyring.keys()
        except KeyMissing as error:
            return error
        lasting = self.registry.lasting or self.book.copies is not None  # A test copy lasts no longer.
        if service.roles is RoleMode.AUTO and not lasting:
            return NotSupported("The registry forgets their passwords when this process ends.")
        if service.roles is RoleMode.AUTO and service.pooled:
            return NotSupported(
                "Its pooler may not know their logins.", hint='If it asks the server: roles = "store"'
            )
        return None

    def are_known_to(self, service: Service) -> bool:
        """Whether there are roles on servers of this kind at all."""
        return backend_for(parse_url(service.url)).roles is not None

    def problem_of(self, service: Service) -> PenstockError | None:
        """Why the stores of a service get no roles of their own, or None (see `problem`)."""
        server = server_of(service, self.keyring, self.book.connect_timeout)
        backend = backend_for(server.login.url).roles
        return None if backend is None else self.problem(service, backend, server)

    def _problem_of(self, backend: RoleBackend, server: Server) -> PenstockError | None:
        known, now = self._asked.get(server.service), time.monotonic()
        if known is None or known[0] != server or now - known[1] >= _REMEMBERED:
            known = self._asked[server.service] = server, now, backend.problem(server)
        return known[2]


class StoreRoles:
    """The roles of one store while it is worked on.

    Args:
        policy: Decides whether it gets them.
        backend: Makes them.
        address: The store.
        service: The service it is on.
        known_as: What its database was called when it was made, after which its roles are named.

    Attributes:
        names: What they are called; None until the store's record was read.
        present: Whether there are any on the server, as far as was seen.
    """

    def __init__(
        self,
        policy: RolePolicy,
        backend: RoleBackend,
        address: Address,
        service: Service,
        *,
        known_as: str,
    ) -> None:
        self._policy = policy
        self._backend = backend
        self._address = address
        self._service = service
        self._known_as = known_as
        self._engine: StoreEngine | None = None
        self.names: RoleNames | None = None
        self.present = False

    def problem(self) -> PenstockError | None:
        """Why the store gets no roles of its own, or None."""
        database_address = self._address.database_address
        found = self._policy.problem(self._service, self._backend, database_address.server)
        if found is None and database_address.app_makes_tables:
            found = self._backend.owner_problem(database_address)
        return found

    def problem_here(self) -> PenstockError | None:
        """Why it gets none, as far as that is known without asking the server."""
        return self._policy.problem_here(self._service)

    @property
    def required(self) -> bool:
        """Whether the store is not to be made without them."""
        return self._service.roles is RoleMode.STORE

    def look(self, connection: Connection, record: Record | None) -> bool:
        """Whether all of them are there, and have what they shall have."""
        if record is None:
            return False
        self.names = self._all_names(record.store_id)
        known = self._known()
        logins = [current_of(known, role) for role in StoreRole]
        made = [login.login for login in logins if login is not None]
        self.present, complete = self._backend.state(connection, self.names, made)
        return complete and len(made) == len(StoreRole)

    # --- making them ---

    def grant(self) -> None:
        """Make them, with a login for each that has one; safe to repeat, and to kill at any point.

        A login is remembered before it is made, so none is ever made whose password nobody knows.
        """
        with own_connection(self._address) as connection, connection.begin():
            self.names = self._named(connection)
        self._drop_others(self.names)
        logins = [self._login(self.names, role) for role in StoreRole]
        with own_connection(self._address) as connection, connection.begin():
            self._backend.grant(connection, self.names, TABLE_NAME)
            self._backend.add_logins(connection, self.names, [self._opened(login) for login in logins])
        self.present = True
        self._use(login for login in logins if login.state is CredentialState.NEXT)

    def grant_tables(self) -> None:
        """Let app and readers use the tables that have come since they could."""
        with own_connection(self._address) as connection, connection.begin():
            self._backend.grant(connection, self._named(connection), TABLE_NAME)

    def engine(self) -> Engine | None:
        """An engine on which all that is made is the owner's; None if the store has no owner of its own."""
        if not self.present or self.names is None:
            return None
        if self._engine is None:
            database_address = self._backend.owner_address(self._address.database_address, self.names)
            self._engine = self._policy.engines.at(database_address)
        return self._engine.engine

    def close(self) -> None:
        """Close the owner's connections."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    # --- other logins in their place ---

    def renew(self) -> None:
        """Let new logins take the place of those in use, which stay good until they are retired.

        Safe to kill at any point: what was begun is gone on with by the next call.

        Raises:
            NotSupported: The store has no logins of its own.
        """
        names = self._names_of_present()
        known = self._known()
        begun = [self._begun(names, role, known) for role in StoreRole]
        with own_connection(self._address) as connection, connection.begin():
            self._backend.add_logins(connection, names, [self._opened(login) for login in begun])
        now = datetime.now(UTC)
        old = [login for login in known if login.state is CredentialState.CURRENT]
        current = [replace(login, state=CredentialState.CURRENT, since=now) for login in begun]
        retiring = [replace(login, state=CredentialState.RETIRING, since=now) for login in old]
        self._policy.registry.put_credentials([*current, *retiring], instead_of=[*begun, *old])

    def retire(self, grace: float) -> list[Credential]:
        """Drop the logins whose place others took, once nobody can need them any more.

        Args:
            grace: Seconds since others took their place.

        Returns:
            Those that were left: the time is not over, or somebody is still in a transaction.
        """
        names = self._names_of_present()
        due = datetime.now(UTC) - timedelta(seconds=grace)
        retiring = [login for login in self._known() if login.state is CredentialState.RETIRING]
        return [login for login in retiring if login.since > due or not self._retired(names, login)]

    def _retired(self, names: RoleNames, login: Credential) -> bool:
        with own_connection(self._address) as connection, connection.begin():
            if self._backend.in_use(connection, login.login):
                return False
            self._backend.drop_login(connection, names, login.login)
        self._policy.registry.remove_credentials([login])
        return True

    def _begun(self, names: RoleNames, role: StoreRole, known: Sequence[Credential]) -> Credential:
        """The login that was begun for a role, if its password can be opened; else a new one."""
        for login in known:
            if (login.role, login.state) == (role, CredentialState.NEXT):
                try:
                    self._opened(login)
                except SecretError:  # Sealed for another address, or with a key that is lost.
                    self._policy.registry.remove_credentials([login])
                else:
                    return login
        return self._new(names, role)

    def _names_of_present(self) -> RoleNames:
        with own_connection(self._address) as connection:
            self.look(connection, read_record(connection, self._address.backend))
        if self.names is None or not self.present:
            problem = self.problem()
            raise NotSupported(
                f"{self._address.app}:{self._address.store} has no logins of its own.",
                why="" if problem is None else f"{problem.what} {problem.why}".strip(),
                hint=f"penstock syncstores {self._address.app} -d {self._address.store}",
            )
        return self.names

    # --- taking them away ---

    def let_end(self) -> None:
        """Make sure that the sessions of the store's logins can be ended."""
        if self.present and self.names is not None:
            self._backend.let_end(self._address.database_address, self.names)

    def refuse_connections(self, store_id: str = "") -> None:
        """Keep them out of the next database that gets the name of the quarantined one.

        Args:
            store_id: What the record in the store said, where it was not read.
        """
        names = self._all_names(store_id) if store_id else self.names
        if names is not None and (store_id or self.present):
            self._backend.refuse_connections(self._address.database_address.server, names)

    def allow_connections(self, store_id: str) -> None:
        """Let them in again, before the store's database has its name again."""
        if store_id:
            self._backend.allow_connections(self._address.database_address.server, self._all_names(store_id))

    def drop(self, store_id: str = "") -> None:
        """Drop them once the store is gone, and forget their passwords.

        Args:
            store_id: What the record in the store said, where it could not be read any more.
        """
        if self.names is None and store_id:
            self.names = self._all_names(store_id)
        if self.names is not None:
            self._backend.drop(self._address.database_address.server, self.names)
        self.present = False
        known = self._known()
        if known:
            self._policy.registry.remove_credentials(known)

    # --- helpers ---

    def logins_of(self, store_id: str) -> list[Credential]:
        """The logins remembered for this database that are those of the store whose record says so."""
        names = self._all_names(store_id)
        return [login for login in self._known() if login.login.startswith(names.of(login.role))]

    def _all_names(self, store_id: str) -> RoleNames:
        names = self._backend.names(self._known_as, store_id)
        return replace(names, app_makes_tables=self._address.database_address.app_makes_tables)

    def _known(self) -> Sequence[Credential]:
        return self._policy.registry.credentials(self._address.service, self._address.database)

    def _named(self, connection: Connection) -> RoleNames:
        record = read_record(connection, self._address.backend)
        if record is None:
            raise NotSupported("A store has no roles before it has a record.")
        return self._all_names(record.store_id)

    def _drop_others(self, names: RoleNames) -> None:
        """Drop what belonged to an earlier database of this name; one that is kept keeps its own."""
        registry, address = self._policy.registry, self._address
        entries = [entry for entry in registry.stores(address.app) if entry.service == address.service]
        kept = {entry.record_id: entry for entry in entries if entry.was == address.database}
        before = {entry.record_id for entry in entries if entry.database == address.database}
        for store_id in before - {"", *kept}:
            self._drop_roles_of(store_id, but=names)
        for store_id, entry in kept.items():
            if self._all_names(store_id) == names:
                continue  # It is this one, brought back by a verb that was killed.
            moved = [replace(login, database=entry.database) for login in self.logins_of(store_id)]
            if moved:
                registry.put_credentials(moved)
            if store_id:  # A drop that was killed may not have come to that.
                self.refuse_connections(store_id)
        stale = [login for login in self._known() if not login.login.startswith(names.of(login.role))]
        if stale:
            registry.remove_credentials(stale)

    def _drop_roles_of(self, store_id: str, but: RoleNames) -> None:
        others = self._all_names(store_id)
        if others != but:
            try:
                self._backend.drop(self._address.database_address.server, others)
            except PenstockError as error:  # It was renamed, perhaps, and still needs them.
                _logger.warning("%s %s", error.what, error.why)

    def _login(self, names: RoleNames, role: StoreRole) -> Credential:
        """The login of a role: the one in use, else one that was begun, else a new one, remembered now."""
        known = self._known()
        begun = (each for each in known if (each.role, each.state) == (role, CredentialState.NEXT))
        return current_of(known, role) or next(begun, None) or self._new(names, role)

    def _new(self, names: RoleNames, role: StoreRole) -> Credential:
        """A new login, remembered before it is made."""
        name = self._backend.new_login(names, role)
        new = new_credential(self._service, self._address.database, role, name, self._policy.keyring)
        self._policy.registry.put_credentials([new])
        return new

    def _opened(self, login: Credential) -> NewLogin:
        password = read_credential(self._service, login, self._policy.keyring)
        return NewLogin(role=login.role, name=login.login, password=password)

    def _use(self, logins: Iterable[Credential]) -> None:
        now = datetime.now(UTC)
        current = [replace(login, state=CredentialState.CURRENT, since=now) for login in logins]
        if current:
            self._policy.registry.put_credentials(current)
