"""What a registry remembers: services, links, stores and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from penstock.backends import StoreRole
from penstock.errors import PenstockError
from penstock.secrets import SecretRef


@dataclass(frozen=True, slots=True)
class RegistryIdentity:
    """The identity of a registry, whatever its address; the records of its stores hold it.

    Args:
        id: Random, from when it was made; empty for one that does not last.
        label: What people call it, on whatever host they are.
    """

    id: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer comes from, for people: a file and line, a variable, the registry.

    >>> str(Source("file", "penstock.toml:12"))
    'penstock.toml:12'
    """

    kind: str
    where: str

    @property
    def writable(self) -> bool:
        """Whether a command can change what comes from here."""
        return self.kind in ("registry", "memory")

    def __str__(self) -> str:
        return self.where


class RoleMode(Enum):
    """Whether the stores of a service get roles of their own on its server.

    Attributes:
        AUTO: Where the service's role can make them and there is a key to seal their passwords with.
        STORE: Always; a store for which that can't be done is not made.
        SERVICE: Never: apps log in as the service's role.
    """

    AUTO = "auto"
    STORE = "store"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server that stores can be made on.

    Args:
        name: What operators call it; unique.
        url: Driver, host, port, user and, where it is not the default, the maintenance database.
        password: Where the password is.
        admin_url: The administrator's address (direct, not through a pooler), where there is one.
        admin_password: Where the administrator's password is.
        pooled: Whether `url` leads through a pooler that gives each transaction another session
            (PgBouncer's transaction mode); then `admin_url` leads to the server itself.
        max_connections: The most connections a process may have to it; None for `[engine]`'s figure.
        roles: Whether its stores get roles of their own (see `RoleMode`).
        next_password: Where the password is that is about to take the other one's place, if one is.
        next_admin_password: The same for the administrator's.
        id: The registry's own name for this record, kept for ever; empty for one from a file.
        version: How often the registry has written it; an edit says which version it began from.
        source: Where this definition comes from.
        problem: Why it can't be used; raised when it is. The address is empty then.
    """

    name: str
    url: str
    password: SecretRef | None = None
    admin_url: str | None = None
    admin_password: SecretRef | None = None
    pooled: bool = False
    max_connections: int | None = None
    roles: RoleMode = RoleMode.AUTO
    next_password: SecretRef | None = None
    next_admin_password: SecretRef | None = None
    id: str = field(default="", compare=False)
    version: int = field(default=0, compare=False)
    source: Source = field(default=Source("memory", "this process"), compare=False)
    problem: PenstockError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A setting of an app, and the service that it uses.

    Args:
        app: The app's package.
        setting: The setting.
        service: The service's name.
        version: How often the registry has written it.
        source: Who says so.
    """

    app: str
    setting: str
    service: str
    version: int = field(default=0, compare=False)
    source: Source = field(default=Source("memory", "this process"), compare=False)


class StoreState(Enum):
    """How far the last work on a store came.

    Attributes:
        PENDING: It was begun.
        READY: It ended well.
        FAILED: It did not.
        LEFT: Its setting is linked elsewhere now; this is where it was.
        DROPPED: It was dropped, and is kept under another name for a while.
    """

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"
    LEFT = "left"
    DROPPED = "dropped"

    @property
    def is_current(self) -> bool:
        """Whether this is where the store is, rather than where it was."""
        return self not in (StoreState.LEFT, StoreState.DROPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEntry:
    """What the registry remembers of a store.

    Args:
        app: The app it belongs to.
        name: Its name there: `gages`, or `basins.logan`.
        service: The service it lives on.
        database: Its physical name, decided once.
        dynamic: Whether it was made at run time.
        connection: The connection setting it was made through, for a dynamic store without a kind.
        initializer: The dotted path of a dynamic store's initializer.
        spatial: Whether it is spatial.
        state: How far the last work on it came.
        problem: Why that failed, in one line; empty if it did not.
        kind: The kind it is one of; empty for a store that is not of a kind.
        record_id: The `store_id` of the record inside the database; empty until a sync has read it.
        was: What the database of a dropped store was called.
        kept_until: When a dropped store may go for good.
        version: How often the registry has written it.
    """

    app: str
    name: str
    service: str
    database: str
    dynamic: bool = False
    connection: str = ""
    initializer: str = ""
    spatial: bool = False
    state: StoreState = StoreState.PENDING
    problem: str = ""
    kind: str = ""
    record_id: str = ""
    was: str = ""
    kept_until: datetime | None = None
    version: int = field(default=0, compare=False)


class CredentialState(Enum):
    """How far a login of a store's own has come.

    Attributes:
        NEXT: About to be made, or just made; nobody uses it yet.
        CURRENT: What is used.
        RETIRING: Still good, for those who have not noticed yet that another one took its place.
    """

    NEXT = "next"
    CURRENT = "current"
    RETIRING = "retiring"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A login of a store's own.

    Args:
        id: Names this record for ever; the password is sealed to it.
        service: The service whose server it is on.
        database: The physical name of the store's database.
        role: What it may do.
        login: What it is called on the server.
        password: Its password, sealed.
        state: How far it has come.
        since: When it came to that.
    """

    id: str
    service: str
    database: str
    role: StoreRole
    login: str
    password: SecretRef
    state: CredentialState
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One thing that was done: who, what, to which object, when, and how it ended."""

    who: str
    action: str
    subject: str
    result: str
    seconds: float
    at: datetime
    detail: Mapping[str, str] = field(default_factory=dict)
