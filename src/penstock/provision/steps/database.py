"""Steps that make a database, set it up, and take it away."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from penstock.errors import StoreNotCreated
from penstock.provision.steps.contract import Phase, Step, register

if TYPE_CHECKING:
    from penstock.provision.context import SyncContext
    from penstock.provision.facts import DesiredState, Found


@register(Phase.DROP, order=10, title="Quarantine")
@dataclass(frozen=True, slots=True)
class Quarantine(Step):
    """Rename the store's database, end its connections and let nobody in."""

    database: str
    name: str

    def __str__(self) -> str:
        return f"set database {self.database} aside as {self.name}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where a store that is dropped is to be kept."""
        return cls(desired.database, desired.kept_as) if desired.kept_as else None

    def run(self, context: SyncContext) -> None:
        """Remember where it is going to be, then let it go there."""
        context.let_go()
        if context.roles is not None:
            context.roles.let_end()
        context.before_quarantine()
        context.backend.quarantine(context.address.database_address, self.name)
        if context.roles is not None:
            context.roles.refuse_connections()


@register(Phase.DROP, order=20, title="Drop")
@dataclass(frozen=True, slots=True)
class DropDatabase(Step):
    """Drop the store's database and end its connections."""

    database: str

    def __str__(self) -> str:
        return f"drop database {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where a store that is dropped is not to be kept."""
        return None if desired.kept_as else cls(desired.database)

    def run(self, context: SyncContext) -> None:
        """Where that may be killed half-way, the record says first that it has begun."""
        context.let_go()
        if context.roles is not None:
            context.roles.let_end()
        if not context.backend.capabilities.transactional_ddl:
            with suppress(StoreNotCreated), context.transaction() as connection:
                context.record.mark_dropping(connection)
        context.backend.drop(context.address.database_address, last=context.record.table_name)


@register(Phase.CREATE, order=10, title="Copy")
@dataclass(frozen=True, slots=True)
class CloneDatabase(Step):
    """Create a database as a copy of a template."""

    database: str
    template: str

    def __str__(self) -> str:
        return f"create database {self.database} as a copy of {self.template}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where there is nothing, and a template."""
        copied = desired.is_copied(found) and not found.exists
        return cls(desired.database, desired.template) if copied else None

    def run(self, context: SyncContext) -> None:
        """Everything of the template is in the copy, its record as well."""
        database_address = context.address.database_address
        context.backend.clone(replace(database_address, database=self.template), database_address)


@register(Phase.CREATE, order=20, title="Create")
@dataclass(frozen=True, slots=True)
class CreateDatabase(Step):
    """Create an empty database."""

    database: str

    def __str__(self) -> str:
        return f"create database {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where there is nothing, and no template."""
        return None if found.exists or desired.is_copied(found) else cls(desired.database)

    def run(self, context: SyncContext) -> None:
        """Another sync may just have made it; that is well."""
        context.backend.create(context.address.database_address)


@register(Phase.FILL, order=10, title="Prepare")
@dataclass(frozen=True, slots=True)
class PrepareDatabase(Step):
    """Set the new database up: who may connect, how it journals."""

    database: str

    def __str__(self) -> str:
        return f"prepare database {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where it is new, or is not set up as a new one is."""
        new = found.record is None or desired.is_copied(found)
        return cls(desired.database) if new or not found.prepared else None

    def run(self, context: SyncContext) -> None:
        """What a server can do of it."""
        context.backend.prepare(context.address.database_address)


@register(Phase.FILL, order=40, title="Enable spatial types")
@dataclass(frozen=True, slots=True)
class EnableSpatial(Step):
    """Give the database spatial types and functions."""

    database: str

    def __str__(self) -> str:
        return f"enable spatial types in {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """At each sync, since what is there already is left as it is."""
        return cls(desired.database) if desired.spatial and not desired.is_copied(found) else None

    def run(self, context: SyncContext) -> None:
        """By the service's administrator, if it has one."""
        context.backend.enable_spatial(context.address.database_address)
