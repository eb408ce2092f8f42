"""The protocol of a step, its order among the others, and its events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from penstock.provision.context import SyncContext
    from penstock.provision.facts import DesiredState, Found


class Phase(Enum):
    """When a step is done, which decides whether the store's lock can be held meanwhile."""

    DROP = "drop"
    """The database is taken away: by a drop, a refresh, or a sync that finishes a drop."""
    CREATE = "create"
    """There is no database yet, so there is no lock in it either."""
    FILL = "fill"
    """The database is there, and its lock is held."""


class Step(ABC):
    """One step of a plan. A subclass is a frozen dataclass of plain values, and is registered.

    Attributes:
        phase: When it is done.
        order: Its place among the steps of its phase.
        title: What the documentation calls it.
    """

    __slots__ = ()
    phase: ClassVar[Phase]
    order: ClassVar[int]
    title: ClassVar[str]

    @classmethod
    @abstractmethod
    def needed(cls, desired: DesiredState, found: Found) -> Self | None:
        """The step, if a store needs it to become what it shall be, else None. It asks nobody."""

    @abstractmethod
    def run(self, context: SyncContext) -> None:
        """Do it. It may have been done before, in whole or in part, by a sync that was killed."""

    @abstractmethod
    def __str__(self) -> str:
        """What is said of it in a plan, on the command line and in the journal."""


_registered: list[type[Step]] = []

_AnyStep = TypeVar("_AnyStep", bound=type[Step])


def register(phase: Phase, order: int, title: str) -> Callable[[_AnyStep], _AnyStep]:
    """Let a step be part of every plan that needs it: a class decorator.

    Args:
        phase: When it is done.
        order: Its place among the steps of its phase; those of Penstock are multiples of 10.
        title: What the documentation calls it.

    Raises:
        ValueError: Another step has this place.
    """

    def add(step: _AnyStep) -> _AnyStep:
        for other in _registered:
            if (other.phase, other.order) == (phase, order):
                raise ValueError(f"{step.__name__} and {other.__name__} have one place: {phase}, {order}.")
        step.phase, step.order, step.title = phase, order, title
        _registered.append(step)
        return step

    return add


def unregister(step: type[Step]) -> None:
    """Let a step be part of no plan any more."""
    _registered.remove(step)


def registered(phase: Phase) -> list[type[Step]]:
    """The steps of a phase, in order."""
    return sorted((step for step in _registered if step.phase is phase), key=lambda step: step.order)


def needed_steps(phases: Iterable[Phase], desired: DesiredState, found: Found) -> list[Step]:
    """The steps of these phases that a store needs, in order."""
    asked = (step.needed(desired, found) for phase in phases for step in registered(phase))
    return [step for step in asked if step is not None]


@dataclass(frozen=True, slots=True)
class Action:
    """What is done to a store without a plan, and told as a step is: an undrop, a change of logins.

    Args:
        words: What is said of it.
    """

    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step of a store's plan begins."""

    app: str
    store: str
    step: Step | Action


@dataclass(frozen=True, slots=True)
class StepDone:
    """A step of a store's plan has ended well, after so many seconds."""

    app: str
    store: str
    step: Step | Action
    seconds: float


StepEvent = StepStarted | StepDone
