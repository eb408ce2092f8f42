"""The database of a registry: found, made, upgraded, written by one at a time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DBAPIError

from penstock.backends import DatabaseAddress, Login, Server, backend_for, parse_url
from penstock.engines import Budget, EngineOptions, Fixed, StoreEngine, fork
from penstock.errors import PenstockError, RegistryError, StoreBusy, StoreNotCreated
from penstock.registry import tables
from penstock.secrets import SecretRef, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECTIONS = 2
"""Of a process to its registry; apart from those to stores, since making one of those asks the registry."""

_VERSIONS = Path(__file__).with_name("versions")


class Storage:
    """The tables of a registry, made by the first write and upgraded by the first use.

    Args:
        url: The address of the database, without a password.
        password: Where the password is.
        label: What messages call the registry.

    Raises:
        RegistryError: From any call: the database can't be used, or is of a newer release.
    """

    def __init__(self, url: str, password: SecretRef | None, label: str) -> None:
        address = parse_url(url)
        self._backend = backend_for(address)
        self.label = label or str(address)
        if not self._backend.capabilities.transactional_ddl:
            raise RegistryError(
                f"The registry {self.label} can't be on such a server.",
                why="What is done to its tables, when it is upgraded, could be left half done there.",
                hint="Keep it in SQLite or PostgreSQL; stores may be on any server.",
            )
        self._address = self._address_of(*self._backend.split(address), password)
        self._engine = self._make_engine()
        self._ready = False

    @property
    def whereabouts(self) -> str:
        """What messages on other hosts call the registry."""
        is_file = not self._address.server.login.url.host
        where = f"{self._backend.display_name(self._address)} on {node()}" if is_file else self.label
        return f"registry {where}"

    def rows(self, query: Any) -> list[dict[str, Any]]:
        """What a query finds; nothing if the registry was not made yet."""
        try:
            if not self._is_ready():
                return []
            with self._reading() as connection:
                return [dict(row) for row in connection.execute(query).mappings()]
        except StoreNotCreated:
            self._ready = False
            return []
        except (DBAPIError, PenstockError) as error:
            raise self._unusable(error) from error

    @contextmanager
    def adding(self) -> Iterator[Connection]:
        """A transaction that only adds rows, so that it has nobody to wait for where servers allow it."""
        with self._transaction() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A transaction in which nobody else changes the registry: what it reads stays as it is.

        Every writer locks the one row of the same table first, so writers wait for each other and never
        in a circle, and none finds a row that another one is just making. Readers don't wait.
        """
        lock = select(tables.registry.c.format).with_for_update()
        with self._transaction() as connection:
            self._check_format(connection.execute(lock).scalar())
            yield connection

    def close(self) -> None:
        """Close idle connections."""
        self._engine.dispose()

    # --- finding, making, upgrading ---

    def _is_ready(self) -> bool:
        """Whether there are tables to read; those of an earlier release are upgraded first."""
        if self._ready:
            return True
        if not self._backend.has_home(self._address):
            return False
        with self._reading() as connection:
            revision = self._revision(connection)
        if revision is None:
            return False
        if revision != tables.REVISION:
            self._upgrade_earlier()
        self._ready = True
        return True

    def _make_ready(self) -> None:
        """Make what is not there yet: the directory, the database, the tables."""
        if self._ready:
            return
        self._backend.make_home(self._address)
        try:
            if self._is_ready():
                return
        except StoreNotCreated:
            if self._backend.create(self._address):
                self._backend.prepare(self._address)
        self._prepare_again()
        self._upgrade()
        self._ready = True

    def _prepare_again(self) -> None:
        """Whoever made the database may have been killed before it was set up."""
        with self._reading() as connection:
            prepared = self._backend.is_prepared(connection)
        if not prepared:
            self._backend.prepare(self._address)

    def _revision(self, connection: Connection) -> str | None:
        """How far the tables are; None if there are none."""
        if not self._backend.has_table(connection, tables.registry.name):
            return None
        self._check_format(connection.execute(select(tables.registry.c.format)).scalar())
        return connection.execute(select(tables.version.c.version_num)).scalar()

    def _upgrade_earlier(self) -> None:
        try:
            self._upgrade()
        except (DBAPIError, StoreBusy) as error:
            cause = self._backend.translate(error, "")
            raise RegistryError(
                f"The registry {self.label} has tables of an earlier release that can't be upgraded.",
                why=cause.why or cause.what,
                hint="Run any command as a user who may change its tables: penstock services list",
            ) from error

    def _upgrade(self) -> None:
        """Run the missing revisions, all in one transaction, while everybody else waits."""
        from penstock.schema import Revisions, UnknownRevision

        revisions = Revisions(_VERSIONS, table=tables.VERSION_TABLE, schema=self._backend.default_schema)
        try:
            with self._engine.engine.begin() as connection:
                self._backend.lock_transaction(connection)
                revisions.upgrade(connection)
        except UnknownRevision as error:
            raise self._newer(f"revision {error}") from None

    # --- the connection ---

    def _address_of(self, url: Any, database: str, password: SecretRef | None) -> DatabaseAddress:
        reference = "" if password is None else str(password)
        login = Login(url=url, password=partial(resolve, password), reference=reference)
        return DatabaseAddress(
            server=Server(service="registry", login=login), database=database, label="registry"
        )

    def _make_engine(self) -> StoreEngine:
        budget = Budget(self.label, _CONNECTIONS)
        fork.remember(budget)
        return StoreEngine(Fixed(self._address), EngineOptions(), owner=self, budget=budget)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._engine.engine.connect() as connection:
            yield connection.execution_options(penstock_readonly=True)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with ExitStack() as stack:
                yield self._begun(stack)
        except (DBAPIError, StoreBusy) as error:
            raise self._unusable(error) from error

    def _begun(self, stack: ExitStack) -> Connection:
        try:
            self._make_ready()
            return stack.enter_context(self._engine.engine.begin())
        except PenstockError as error:
            self._ready = False
            raise self._unusable(error) from error

    # --- what can be wrong ---

    def _check_format(self, found: int | None) -> None:
        if found is None or found > tables.FORMAT:
            self._ready = False
            raise self._newer(f"format {found}")

    def _newer(self, what: str) -> RegistryError:
        return RegistryError(
            f"The registry {self.label} has {what}, which this release does not know.",
            why=f"It was upgraded by a newer release; this one reads revision {tables.REVISION}.",
            hint="Use the release of Penstock that upgraded it, or a newer one.",
        )

    def _unusable(self, error: Exception) -> PenstockError:
        if isinstance(error, RegistryError):
            return error
        cause = self._backend.translate(error, "")
        return RegistryError(
            f"The registry {self.label} can't be used.", why=cause.why or cause.what, hint=cause.hint
        )


def count_change(connection: Connection) -> None:
    """Let those who ask for the generation know that something changed."""
    counted = tables.registry.c.generation + 1
    connection.execute(update(tables.registry).values(generation=counted))
