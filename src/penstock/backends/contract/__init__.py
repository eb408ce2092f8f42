"""What a backend is asked, one file per question; `Backend` is all of them."""

from penstock.backends.contract.addresses import Addresses
from penstock.backends.contract.backend import Backend
from penstock.backends.contract.capabilities import Capabilities
from penstock.backends.contract.catalog import Catalog
from penstock.backends.contract.connections import (
    PINNED,
    TRACED,
    AsyncDriver,
    ConnectionOptions,
    Connections,
    Offload,
    own_timeout,
    run_inline,
)
from penstock.backends.contract.databases import Databases
from penstock.backends.contract.faults import Faults
from penstock.backends.contract.locks import Locks
from penstock.backends.contract.quarantine import Quarantine

__all__ = [
    "PINNED",
    "TRACED",
    "Addresses",
    "AsyncDriver",
    "Backend",
    "Capabilities",
    "Catalog",
    "ConnectionOptions",
    "Connections",
    "Databases",
    "Faults",
    "Locks",
    "Offload",
    "Quarantine",
    "own_timeout",
    "run_inline",
]
