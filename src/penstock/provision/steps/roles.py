"""Steps that give a database roles of its own, and take them away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from penstock.provision.steps.contents import RunInitializer
from penstock.provision.steps.contract import Phase, Step, register

if TYPE_CHECKING:
    from penstock.provision.context import SyncContext
    from penstock.provision.facts import DesiredState, Found


@register(Phase.DROP, order=30, title="Drop its roles")
@dataclass(frozen=True, slots=True)
class DropRoles(Step):
    """Drop the roles of a database that is gone."""

    database: str

    def __str__(self) -> str:
        return f"drop the roles of {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where there are any, and the database is not kept."""
        return cls(desired.database) if found.any_roles and not desired.kept_as else None

    def run(self, context: SyncContext) -> None:
        """Their passwords are forgotten, too."""
        if context.roles is not None:
            context.roles.drop()


@register(Phase.FILL, order=50, title="Give roles of its own")
@dataclass(frozen=True, slots=True)
class GrantRoles(Step):
    """Give the database an owner, and roles for its app and for readers, each with a login."""

    database: str

    def __str__(self) -> str:
        return f"give {self.database} roles of its own"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where it shall have them, and they are not complete; a copy has none yet."""
        complete = found.roles and not desired.is_copied(found)
        return cls(desired.database) if desired.roles and not complete else None

    def run(self, context: SyncContext) -> None:
        """What is there stays."""
        if context.roles is not None:
            context.roles.grant()


@dataclass(frozen=True, slots=True)
class GrantTables(Step):
    """Let the database's app and readers use the tables that have come since they could."""

    database: str

    def __str__(self) -> str:
        return f"let the logins of {self.database} use all of its tables"

    def run(self, context: SyncContext) -> None:
        """All of them, as they are now."""
        if context.roles is not None:
            context.roles.grant_tables()


@register(Phase.FILL, order=70, title="Let its logins use the tables")
class GrantTablesBefore(GrantTables):
    """Before the initializer, which may use its own app, and that logs in for itself."""

    __slots__ = ()

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where roles have no rights to later tables, and some were just made."""
        run = RunInitializer.needed(desired, found) is not None
        return cls(desired.database) if _are_late(desired, found) and desired.tables and run else None


@register(Phase.FILL, order=90, title="Let its logins use the tables")
class GrantTablesAfter(GrantTables):
    """After everything that makes tables."""

    __slots__ = ()

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where roles have no rights to later tables, and some may have been made."""
        made = desired.tables or desired.initializer
        return cls(desired.database) if _are_late(desired, found) and made else None


def _are_late(desired: DesiredState, found: Found) -> bool:
    """Whether tables that are made now are unknown to the roles."""
    return desired.roles and not desired.default_privileges and not desired.is_copied(found)
