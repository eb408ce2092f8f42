"""The protocol of a backend, which everything above asks and never names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.backends.clients import NoClients
from penstock.backends.contract.addresses import Addresses
from penstock.backends.contract.catalog import Catalog
from penstock.backends.contract.connections import Connections
from penstock.backends.contract.databases import Databases
from penstock.backends.contract.faults import Faults
from penstock.backends.contract.locks import Locks
from penstock.backends.contract.quarantine import Quarantine

if TYPE_CHECKING:
    from penstock.backends.clients import ClientBackend
    from penstock.backends.contract.capabilities import Capabilities
    from penstock.backends.frames import FrameBackend
    from penstock.backends.roles import RoleBackend
    from penstock.backends.rows import RowBackend


class Backend(Addresses, Databases, Quarantine, Locks, Catalog, Connections, Faults):
    """How one dialect does it, question by question: each base asks one.

    A backend from outside this package implements what is abstract and what its database can do besides;
    `penstock.testing.contract` shows whether it does.

    Attributes:
        name: What SQLAlchemy calls the dialect.
        capabilities: What its servers can do.
        roles: Gives stores roles of their own; None where there is no such thing.
        rows: Writes many rows; None where the functions of `penstock.query` are not served.
        frames: Reads many rows into tables; None where SQLAlchemy's own way is as good.
        clients: Tells other programs where a database is; by default it can tell none.
        default_schema: Where the record is; None if there are no schemas, or it need not be said.
        max_connections: How many connections a process may have to a server, unless told otherwise.
    """

    name: str
    capabilities: Capabilities
    roles: RoleBackend | None = None
    rows: RowBackend | None = None
    frames: FrameBackend | None = None
    clients: ClientBackend = NoClients()
    default_schema: str | None = None
    max_connections: int = 20
