"""The steps a plan is made of, and what is said when one begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class InitializerForm(Enum):
    """What an initializer asks for, which decides how often its work can be done."""

    ENGINE = "engine"
    CONNECTION = "connection"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class DropDatabase:
    """Drop the store's database and end its connections."""

    database: str

    def __str__(self) -> str:
        return f"drop database {self.database}"


@dataclass(frozen=True, slots=True)
class CreateDatabase:
    """Create an empty database."""

    database: str

    def __str__(self) -> str:
        return f"create database {self.database}"


@dataclass(frozen=True, slots=True)
class CloneDatabase:
    """Create a database as a copy of a template."""

    database: str
    template: str

    def __str__(self) -> str:
        return f"create database {self.database} as a copy of {self.template}"


@dataclass(frozen=True, slots=True)
class StampRecord:
    """Write into a copy whose it is, in place of what it was copied from."""

    store: str

    def __str__(self) -> str:
        return f"write the record of {self.store} over that of its template"


@dataclass(frozen=True, slots=True)
class PrepareDatabase:
    """Set the new database up: who may connect, how it journals."""

    database: str

    def __str__(self) -> str:
        return f"prepare database {self.database}"


@dataclass(frozen=True, slots=True)
class WriteRecord:
    """Write into the database whose it is."""

    store: str

    def __str__(self) -> str:
        return f"write the record of {self.store}"


@dataclass(frozen=True, slots=True)
class EnableSpatial:
    """Give the database spatial types and functions."""

    database: str

    def __str__(self) -> str:
        return f"enable spatial types in {self.database}"


@dataclass(frozen=True, slots=True)
class GrantRoles:
    """Give the database an owner, and roles for its app and for readers, each with a login."""

    database: str

    def __str__(self) -> str:
        return f"give {self.database} roles of its own"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Rename the store's database, end its connections and let nobody in."""

    database: str
    name: str

    def __str__(self) -> str:
        return f"set database {self.database} aside as {self.name}"


@dataclass(frozen=True, slots=True)
class DropRoles:
    """Drop the roles of a database that is gone."""

    database: str

    def __str__(self) -> str:
        return f"drop the roles of {self.database}"


@dataclass(frozen=True, slots=True)
class CreateTables:
    """Create the declared tables that are missing."""

    database: str

    def __str__(self) -> str:
        return f"create missing tables in {self.database}"


@dataclass(frozen=True, slots=True)
class GrantTables:
    """Let the database's app and readers use the tables that have come since they could."""

    database: str

    def __str__(self) -> str:
        return f"let the logins of {self.database} use all of its tables"


@dataclass(frozen=True, slots=True)
class RunInitializer:
    """Call the app's initializer.

    Attributes:
        name: What it is called.
        form: What it is called with.
        first_time: Whether no initializer ever completed in this store, or it was forced.
        exactly_once: Whether its work and the record share one transaction.
    """

    name: str
    form: InitializerForm
    first_time: bool
    exactly_once: bool

    def __str__(self) -> str:
        often = "exactly once" if self.exactly_once else "at least once"
        first = ", first time" if self.first_time else ""
        return f"run initializer {self.name} ({self.form.value}{first}; {often})"


@dataclass(frozen=True, slots=True)
class MarkInitialised:
    """Write into the record that the store is complete."""

    store: str
    initializer: str

    def __str__(self) -> str:
        return f"mark {self.store} as initialised"


Step = (
    DropDatabase
    | CreateDatabase
    | CloneDatabase
    | StampRecord
    | PrepareDatabase
    | WriteRecord
    | EnableSpatial
    | GrantRoles
    | DropRoles
    | Quarantine
    | CreateTables
    | RunInitializer
    | GrantTables
    | MarkInitialised
)


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of a store's plan begins."""

    app: str
    store: str
    step: Step


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step of a store's plan has ended well, after so many seconds."""

    app: str
    store: str
    step: Step
    seconds: float


StepEvent = StepStarted | StepDone
