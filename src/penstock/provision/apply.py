"""Does the steps of a plan one by one, and says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy.exc import CompileError, DBAPIError

from penstock.errors import NotSupported
from penstock.provision.results import emit
from penstock.provision.steps import StepDone, StepEvent, StepStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from penstock.provision.context import SyncContext
    from penstock.provision.steps import Step


def apply(steps: Iterable[Step], context: SyncContext) -> Iterator[StepEvent]:
    """Do the steps; yields an event when each begins and when it has ended well.

    Raises:
        InitializerError: The app's initializer raised.
        NotSupported: A table has a column that this kind of server has no type for.
        ServerError: The server refused a step; its own words are given.
    """
    desired = context.desired
    for step in steps:
        yield StepStarted(desired.app, desired.store, step)
        began = time.perf_counter()
        _do(step, context)
        yield StepDone(desired.app, desired.store, step, time.perf_counter() - began)


class Progress:
    """Tells of the steps of one store, and notes them for the journal.

    Args:
        detail: What the journal will say; gets the words of each step that ended well.
        first: Done before the first event is told.

    Attributes:
        begun: Whether there was an event.
    """

    def __init__(self, detail: dict[str, str], first: Callable[[], None] = lambda: None) -> None:
        self._detail = detail
        self._first = first
        self.begun = False

    def __call__(self, event: StepEvent) -> None:
        """Tell of an event."""
        if not self.begun:
            self._first()
            self.begun = True
        if isinstance(event, StepDone):
            before = self._detail.get("steps")
            self._detail["steps"] = f"{before}; {event.step}" if before else str(event.step)
        emit(event)


def _do(step: Step, context: SyncContext) -> None:
    try:
        step.run(context)
    except CompileError as error:
        raise NotSupported(
            f"Could not {step}.",
            why=str(error),
            hint="Declare the column by a type that this kind of server has, such as String(100).",
        ) from error
    except DBAPIError as error:
        database = context.address.display_name
        where = "" if database in str(step) else f" in {database}"
        raise context.translated(error, f"Could not {step}{where}.") from error
