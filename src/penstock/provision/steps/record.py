"""Steps that write into a database whose it is, and what was done to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from penstock.provision.steps.contents import RunInitializer
from penstock.provision.steps.contract import Phase, Step, register

if TYPE_CHECKING:
    from penstock.provision.context import SyncContext
    from penstock.provision.facts import DesiredState, Found


@register(Phase.FILL, order=20, title="Stamp the record")
@dataclass(frozen=True, slots=True)
class StampRecord(Step):
    """Write into a copy whose it is, in place of what it was copied from."""

    store: str

    def __str__(self) -> str:
        return f"write the record of {self.store} over that of its template"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """In a copy."""
        return cls(desired.store) if desired.is_copied(found) else None

    def run(self, context: SyncContext) -> None:
        """What was done in the template was done in the copy."""
        with context.transaction() as connection:
            context.record.stamp_copy(connection)


@register(Phase.FILL, order=30, title="Write the record")
@dataclass(frozen=True, slots=True)
class WriteRecord(Step):
    """Write into the database whose it is."""

    store: str

    def __str__(self) -> str:
        return f"write the record of {self.store}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """Where there is none, and none comes with a copy."""
        return cls(desired.store) if found.record is None and not desired.is_copied(found) else None

    def run(self, context: SyncContext) -> None:
        """It says that the store is not initialised."""
        with context.transaction() as connection:
            context.record.write(connection)


@register(Phase.FILL, order=1000, title="Mark")
@dataclass(frozen=True, slots=True)
class MarkInitialised(Step):
    """Write into the record that the store is complete."""

    store: str
    initializer: str

    def __str__(self) -> str:
        return f"mark {self.store} as initialised"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """At the end, unless the initializer's own transaction does it, or it was done before."""
        if desired.is_copied(found):
            return None
        run = RunInitializer.needed(desired, found)
        done = found.record is not None and found.record.initialised if run is None else run.exactly_once
        return None if done else cls(desired.store, desired.initializer)

    def run(self, context: SyncContext) -> None:
        """Remember the initializer, too."""
        with context.transaction() as connection:
            context.record.mark_initialised(connection, self.initializer)
