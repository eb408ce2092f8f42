"""Steps that fill a database: the declared tables, and what the app puts in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from penstock.errors import InitializerError
from penstock.provision.facts import InitializerForm
from penstock.provision.steps.contract import Phase, Step, register

if TYPE_CHECKING:
    from penstock.provision.context import SyncContext
    from penstock.provision.facts import DesiredState, Found
    from penstock.provision.initializers import FoundInitializer


@register(Phase.FILL, order=60, title="Create missing tables")
@dataclass(frozen=True, slots=True)
class CreateTables(Step):
    """Create the declared tables that are missing."""

    database: str

    def __str__(self) -> str:
        return f"create missing tables in {self.database}"

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """At each sync, since a declaration may have changed; a copy has them."""
        return cls(desired.database) if desired.tables and not desired.is_copied(found) else None

    def run(self, context: SyncContext) -> None:
        """By the store's owner, if it has one."""
        if context.tables is not None:
            with context.in_turn(), context.engine().begin() as connection:
                context.tables.create_all(connection)


@register(Phase.FILL, order=80, title="Run the initializer")
@dataclass(frozen=True, slots=True)
class RunInitializer(Step):
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

    @classmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """At each sync, if there is one; what it did in a template is in the copy."""
        if not desired.initializer or desired.is_copied(found):
            return None
        never_ran = found.record is None or found.record.first_time
        in_transaction = desired.form is not InitializerForm.ENGINE and desired.transactional_ddl
        first_time = desired.force_first_time or never_ran
        return cls(desired.initializer, desired.form, first_time, in_transaction)

    def run(self, context: SyncContext) -> None:
        """Call it in the form it asks for."""
        if context.initializer is None:
            return
        try:
            with context.in_turn():
                self._call(context.initializer, context)
        except Exception as error:
            if context.is_storage_failure(error):
                raise  # A full disk is no fault of the initializer's.
            raise _failed(self.name, context.why_row_refused(error), error) from error

    def _call(self, initializer: FoundInitializer, context: SyncContext) -> None:
        if self.form is InitializerForm.ENGINE:
            with context.forgetting_none():
                initializer.function(context.engine(), self.first_time)
            return
        # The initializer's work and the record of it become durable together, or not at all.
        with context.engine().begin() as connection:
            initializer.call_in(connection, first_time=self.first_time)
            context.record.mark_initialised(connection, self.name)


def _failed(name: str, refused: str, error: Exception) -> InitializerError:
    first_line = next(iter((refused or str(error).strip()).splitlines()), "")
    return InitializerError(
        f"The initializer {name} failed.",
        why=f"{type(error).__name__}: {first_line}",
        hint="Correct it, then run the sync again; the store is resumed where it stands.",
    )
