"""Stores, what it holds, and the types that public methods speak of."""

from penstock.connect import Address, AppLike, Declares, RoleLike, ServiceAccount, SessionFactory
from penstock.connect.health import ServiceHealth
from penstock.declare import (
    AppDeclaration,
    ConnectionSetting,
    DatabaseSetting,
    Initializer,
    OtherDeclaration,
    Setting,
    TableMaker,
    Tables,
)
from penstock.engines import BudgetState, StoreEngine
from penstock.provision.plan import Plan
from penstock.provision.results import OnEvent
from penstock.provision.steps import Action, Step, StepDone, StepEvent, StepStarted
from penstock.registry import (
    Bindings,
    Credential,
    JournalEntry,
    Link,
    Registry,
    RegistryIdentity,
    Source,
    StoreEntry,
)
from penstock.registry.registered import Users
from penstock.secrets import Keyring
from penstock.stores.connections import Connections
from penstock.stores.kept import KeptStores
from penstock.stores.links import Links
from penstock.stores.logins import StoreLogins
from penstock.stores.services import Services
from penstock.stores.stores import Stores
from penstock.stores.unused import UnusedStores

__all__ = [
    "Action",
    "Address",
    "AppDeclaration",
    "AppLike",
    "Bindings",
    "BudgetState",
    "ConnectionSetting",
    "Connections",
    "Credential",
    "DatabaseSetting",
    "Declares",
    "Initializer",
    "JournalEntry",
    "KeptStores",
    "Keyring",
    "Link",
    "Links",
    "OnEvent",
    "OtherDeclaration",
    "Plan",
    "Registry",
    "RegistryIdentity",
    "RoleLike",
    "ServiceAccount",
    "ServiceHealth",
    "Services",
    "SessionFactory",
    "Setting",
    "Source",
    "Step",
    "StepDone",
    "StepEvent",
    "StepStarted",
    "StoreEngine",
    "StoreEntry",
    "StoreLogins",
    "Stores",
    "TableMaker",
    "Tables",
    "UnusedStores",
    "Users",
]
