"""The backend that the contract suite asks, and how it asks it."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from unittest import SkipTest
from uuid import uuid4

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, insert, select

from penstock.app import App, Database
from penstock.backends import Backend, DatabaseAddress, Server, backend_for, parse_url
from penstock.connect import server_of
from penstock.engines import EngineOptions, Fixed, StoreEngine
from penstock.errors import NotSupported, StoreNotCreated
from penstock.registry import MemoryRegistry, Service
from penstock.secrets import Keyring
from penstock.stores import Stores
from penstock.testing.keys import OwnKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import URL

METADATA = MetaData()
GAGE = Table(
    "gage",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(40)),
)


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class BackendUnderTest:
    """A backend, and a server on which the suite may make and drop databases.

    Args:
        service: Where the server is. Databases whose names begin with `penstock_contract_` are the suite's.
        patience: Seconds to wait for a lock that is free; default 10.

    >>> BackendUnderTest(service=Service(name="files", url="sqlite:///stores")).backend.name
    'sqlite'
    """

    service: Service
    patience: float = 10.0

    @property
    def backend(self) -> Backend:
        """The backend of the service's address."""
        return backend_for(parse_url(self.service.url))

    @property
    def server(self) -> Server:
        """The service as a backend sees it."""
        return server_of(self.service, Keyring())

    @contextmanager
    def database(self) -> Iterator[DatabaseAddress]:
        """An address for a database, which is dropped at the end if it was made."""
        address = self.address()
        try:
            yield address
        finally:
            with suppress(StoreNotCreated):
                self.backend.drop(address)

    @contextmanager
    def made(self) -> Iterator[DatabaseAddress]:
        """A new database, ready to be used."""
        with self.database() as address:
            self.backend.create(address)
            self.backend.prepare(address)
            yield address

    def address(self) -> DatabaseAddress:
        """An address where nothing is."""
        return DatabaseAddress(
            server=self.server, database=f"penstock_contract_{uuid4().hex[:12]}", label="lab:gages"
        )

    @contextmanager
    def engine(self, address: DatabaseAddress) -> Iterator[Engine]:
        """An engine of a store, as apps have it."""
        made = StoreEngine(Fixed(address), EngineOptions(), owner=self)
        try:
            yield made.engine
        finally:
            made.dispose()


class _Lab(App):
    package = "penstock_contract"
    gages = Database("Every gage.", metadata=METADATA)


@_Lab.gages.initializer
def _seed(connection: Connection, first_time: bool) -> None:
    if first_time:
        connection.execute(insert(GAGE), [{"id": 1, "name": "Logan"}])


@contextmanager
def stores_on(subject: BackendUnderTest) -> Iterator[tuple[Stores, type[App]]]:
    """An app with one store on the server, which is dropped at the end."""
    with Stores(MemoryRegistry(), apps=[_Lab], keyring=OwnKeys(Keyring())) as stores:
        stores.registry.put_service(subject.service)
        stores.links.add(subject.service.name, _Lab, "gages")
        try:
            yield stores, _Lab
        finally:
            stores.drop(_Lab, "gages", now=True)


def at(subject: BackendUnderTest, url: URL) -> Server:
    """The server under another address."""
    server = subject.server
    return replace(server, login=replace(server.login, url=url))


def able(subject: BackendUnderTest, capability: str) -> Backend:
    """The backend, if it says that it can do something; else the test is skipped."""
    if not getattr(subject.backend.capabilities, capability):
        raise SkipTest(f"it does not say that it can: {capability}")
    return subject.backend


def fill(subject: BackendUnderTest, address: DatabaseAddress) -> None:
    """Make a table with one row, as an app does."""
    with subject.engine(address) as engine, engine.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(insert(GAGE), [{"id": 1, "name": "Logan"}])


def rows(subject: BackendUnderTest, address: DatabaseAddress) -> list[tuple[int, str]]:
    """What is in that table, for a new connection."""
    with subject.engine(address) as engine, engine.connect() as connection:
        return [(number, name) for number, name in connection.execute(select(GAGE).order_by(GAGE.c.id))]


def raised(work: Callable[[], object]) -> Exception | None:
    """What is raised; None if nothing is."""
    try:
        work()
    except Exception as error:
        return error
    return None


def refuses(work: Callable[[], object]) -> None:
    """Check that what a backend does not claim is refused by the error that says so."""
    error = raised(work)
    assert isinstance(error, NotSupported), f"NotSupported is expected, not {error!r}"


def elsewhere(work: Callable[[], object]) -> Exception | None:
    """What is raised by something that another thread does."""
    found: list[Exception | None] = []
    thread = threading.Thread(target=lambda: found.append(raised(work)))
    thread.start()
    thread.join()
    return found[0]


def hold(lock: AbstractContextManager[None]) -> None:
    """Have a lock for a moment."""
    with lock:
        pass
