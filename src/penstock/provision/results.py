"""The results of calls on stores, and the events that a caller gets meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from penstock.connect import Address
from penstock.errors import PenstockError
from penstock.provision.steps import Action, StepDone, StepEvent, StepStarted
from penstock.registry import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


OnEvent: TypeAlias = Callable[[StepEvent], None]
"""What a caller is told by: it is called when a step begins and when it has ended well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreResult:
    """The result of a call for one store.

    Args:
        app: The app's package.
        store: The store's name.
        address: Where the store is; None if that can't be found out.
        steps: What was done, in order, each with its seconds; without the step that failed.
        seconds: How long the store took.
        error: Why it failed; None if all is well.
    """

    app: str
    store: str
    address: Address | None = None
    steps: tuple[StepDone, ...] = ()
    seconds: float = 0.0
    error: PenstockError | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.error is None

    def or_raise(self) -> Self:
        """The result itself; raises its error if it has one."""
        if self.error is not None:
            raise self.error
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult(StoreResult):
    """The result of syncing or creating one store.

    Args:
        skipped: Whether its error is no failure: an optional setting that no service is linked to.
    """

    skipped: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return self.error is None or self.skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class DropResult(StoreResult):
    """The result of dropping one store.

    Args:
        existed: Whether there was a database.
        kept: What the registry remembers of the database, if it is kept for some days.
    """

    existed: bool = False
    kept: StoreEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UndropResult(StoreResult):
    """The result of restoring a dropped store; `address` is where it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeResult(StoreResult):
    """The result of deleting one dropped store for good.

    Args:
        database: What its database was called while it was kept.
    """

    database: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateResult(StoreResult):
    """How the rotation of one store's logins ended; after an error, nobody is locked out.

    Args:
        left: Old logins that are still good, since somebody was in a transaction with them.
    """

    left: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all of it was done."""
        return self.error is None and not self.left

    def then(self, rest: RotateResult) -> RotateResult:
        """The result of both halves."""
        return replace(rest, steps=self.steps + rest.steps, seconds=self.seconds + rest.seconds)


_Result = TypeVar("_Result", bound=StoreResult)


class Recorder:
    """A `with` block that works on one store: it hears the steps and holds the error.

    Steps are heard by the innermost block of the same thread or task, and by no other: so two calls at the
    same time each hear their own, and an initializer that makes another store tells that call's listener.

    Args:
        on_event: The caller's callback.

    Attributes:
        address: Where the store is, once it is known.
        error: The `PenstockError` that ended the block; every other exception goes on.
    """

    _token: Token[Recorder | None]

    def __init__(self, on_event: OnEvent | None = None) -> None:
        self.address: Address | None = None
        self.error: PenstockError | None = None
        self._on_event = on_event
        self._steps: list[StepDone] = []
        self._seconds = 0.0

    def hear(self, event: StepEvent) -> None:
        """Keep a step that has ended, and tell the caller."""
        if isinstance(event, StepDone):
            self._steps.append(event)
        if self._on_event is not None:
            self._on_event(event)

    def result(self, kind: type[_Result], app: str, store: str, **more: Any) -> _Result:
        """What the block came to.

        Args:
            kind: The class of the result.
            app: The app's package.
            store: The store's name.
            more: What a result of this kind has besides.
        """
        steps = tuple(self._steps)
        return kind(
            app=app,
            store=store,
            address=self.address,
            steps=steps,
            seconds=self._seconds,
            error=self.error,
            **more,
        )

    def __enter__(self) -> Self:
        self._token = _recorder.set(self)
        self._seconds = -time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._seconds += time.perf_counter()
        _recorder.reset(self._token)
        self.error = error if isinstance(error, PenstockError) else None
        return self.error is not None


_recorder: ContextVar[Recorder | None] = ContextVar("penstock_recorder", default=None)
"""The one of the innermost block."""


def emit(event: StepEvent) -> None:
    """Tell whoever called that a step begins, or has ended well."""
    recorder = _recorder.get()
    if recorder is not None:
        recorder.hear(event)


def working_on(address: Address) -> None:
    """Tell whoever called where the store is."""
    recorder = _recorder.get()
    if recorder is not None:
        recorder.address = address


@contextmanager
def taking(action: Action, app: str, store: str) -> Iterator[None]:
    """A block that tells of an action: of its beginning, and of its end if that is well."""
    emit(StepStarted(app, store, action))
    began = time.perf_counter()
    yield
    emit(StepDone(app, store, action, time.perf_counter() - began))
