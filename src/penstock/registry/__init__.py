"""Which server answers which setting."""

from penstock.registry.bindings import Binding, Bindings, BoundServices, bound_services, store_variable
from penstock.registry.contract import Readable, Registry
from penstock.registry.database import DatabaseRegistry
from penstock.registry.journal import journalled
from penstock.registry.layers import FixedRegistry, LayeredRegistry
from penstock.registry.memory import MemoryRegistry
from penstock.registry.service import (
    Credential,
    CredentialState,
    JournalEntry,
    Link,
    RegistryIdentity,
    RoleMode,
    Service,
    Source,
    StoreEntry,
    StoreState,
)

__all__ = [
    "Binding",
    "Bindings",
    "BoundServices",
    "Credential",
    "CredentialState",
    "DatabaseRegistry",
    "FixedRegistry",
    "JournalEntry",
    "LayeredRegistry",
    "Link",
    "MemoryRegistry",
    "Readable",
    "Registry",
    "RegistryIdentity",
    "RoleMode",
    "Service",
    "Source",
    "StoreEntry",
    "StoreState",
    "bound_services",
    "journalled",
    "store_variable",
]
