"""Nests transactions in one by savepoints: their order, and what may be undone."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy.util.concurrency import in_greenlet

from penstock.backends.callers import caller, calling_code, running_task
from penstock.backends.statements import first_word, only_reads
from penstock.engines.tasks import TaskWaiter
from penstock.errors import NotSupported, StoreBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.engines.queueing import Waiter

_NOTHING = "SELECT 1"
_SLICE = 0.25
"""Seconds after which somebody who waits looks for sessions that were collected as garbage."""

_SAVEPOINTS = re.compile(
    r"\s*(?P<verb>SAVEPOINT|RELEASE(?:\s+SAVEPOINT)?|ROLLBACK(?:\s+\w+)?\s+TO(?:\s+SAVEPOINT)?)\s+(?P<name>\S+)",
    re.IGNORECASE,
)
_ENDS = re.compile(r"(?:ABORT|BEGIN|COMMIT|END|PREPARE\s+TRANSACTION|ROLLBACK|START|XA)\b", re.IGNORECASE)
_OUTSIDE = re.compile(
    r"VACUUM\b|(?:CREATE|DROP)\s+DATABASE\b|ALTER\s+SYSTEM\b|(?:CREATE|DROP|REINDEX)\s[^(]*?\bCONCURRENTLY\b",
    re.IGNORECASE,
)
_DEFINES = re.compile(
    r"(?:ALTER|CREATE|DROP|FLUSH|GRANT|INSTALL|LOCK|RENAME|REVOKE|TRUNCATE|UNLOCK)\b"
    r"|(?:ANALYZE|CHECK|OPTIMIZE|REPAIR)\s+(?:LOCAL\s+|NO_WRITE_TO_BINLOG\s+)?TABLE\b",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"\w+\s+(?:OR\s+REPLACE\s+)?TEMPORARY\b", re.IGNORECASE)
_FRESH = "Let the test use copies of its own, where nothing is rolled back: penstock_fresh_stores."


@dataclass(eq=False, slots=True)
class Unit:
    """One who works in the shared transaction: a connection, as SQLAlchemy sees it.

    Args:
        autocommit: Whether each of its statements is a transaction of its own.
        aborted: Whether the server would answer nothing any more until it rolls back.
    """

    autocommit: bool = False
    aborted: bool = False
    _thread: int = 0
    _task: asyncio.Task[Any] | None = None
    _since: float = 0.0
    _where: str = ""
    _caller: str = ""

    def is_here(self) -> None:
        """Note who works with it now."""
        self._thread, self._task = threading.get_ident(), running_task()

    def begins(self) -> None:
        """Note where it began to write."""
        self._since, self._where, self._caller = time.monotonic(), calling_code(), caller()

    def lets_in(self) -> bool:
        """Whether who calls may write before it ends, since it can't go on before the caller does."""
        task = running_task()
        return self._thread == threading.get_ident() and self._task in {None, task}

    def would_be_stopped(self) -> bool:
        """Whether it can't go on while the caller waits: its loop is the one that would be held up."""
        return not in_greenlet() and self._thread == threading.get_ident()

    def __str__(self) -> str:
        began = f", which began at {self._where}," if self._where else ""
        return (
            f"A session{began} has been writing for {time.monotonic() - self._since:.1f} s ({self._caller})."
        )


@dataclass(slots=True)
class _Mark:
    """A savepoint; up to the next one, all that is done is its unit's.

    Args:
        unit: The unit.
        name: What the server calls it.
        open: Whether the unit has not ended yet.
        names: The app's own savepoints after it.
    """

    unit: Unit
    name: str
    open: bool = True
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the server of a shared transaction does it.

    Args:
        label: What messages call the store.
        run: Executes a statement without parameters.
        errors: What the driver raises.
        aborted: The error of a driver whose server answers nothing after one; None if servers go on.
        transactional_ddl: Whether what defines tables can be undone.
    """

    label: str
    run: Callable[[str], None]
    errors: type[Exception]
    aborted: Callable[[], Exception] | None
    transactional_ddl: bool


class Nesting:
    """Lets units work on one connection, so that each undoes what is its own and no more.

    Reading takes no turn: a statement waits only for the one that is being executed. A unit has the
    turn from its first statement that writes until it commits or rolls back; others wait, unless the
    one who has it is below them on the stack. Then the one is inside the other, and what was committed
    inside is not undone with what is around it: that is refused.

    Args:
        ways: How the server does it.
        timeout: Seconds to wait for a turn.
    """

    def __init__(self, ways: Ways, timeout: float) -> None:
        self.ways = ways
        self.timeout = timeout
        self._lock = threading.RLock()
        self._marks: list[_Mark] = []
        self._waiting: list[Waiter] = []
        self._abandoned: deque[Unit] = deque()
        self._names = count()
        self._guard = ""
        self._touched = False

    @contextmanager
    def executing(self, unit: Unit, statement: str) -> Iterator[str]:
        """A block in which a unit executes a statement, as it is given; nobody else does meanwhile.

        Args:
            unit: The unit.
            statement: The statement.

        Raises:
            StoreBusy: Another one that writes did not end in time.
            NotSupported: The statement would end the transaction that all share, or needs none.
        """
        writes = not only_reads(statement)
        if writes:
            self._check(statement)
        with self._turn(unit, writes=writes):
            made = self._prepare(unit, statement, writes=writes)
            try:
                yield made
            except BaseException:
                self._recover(unit)
                raise
            if _SAVEPOINTS.match(statement):
                self._guard = ""  # It may be below that savepoint now, or gone with it.
            if writes and unit.autocommit and not self._has_savepoints(unit):
                self.commit(unit)

    def commit(self, unit: Unit) -> None:
        """Commit what a unit has done; after an error roll it back, as servers do."""
        if unit.aborted:
            self.roll_back(unit)
            return
        with self._lock:
            for mark in self._marks:
                if mark.unit is unit:
                    mark.open = False
            self._collapse()

    def roll_back(self, unit: Unit) -> None:
        """Undo what a unit has done since it began to write.

        Raises:
            NotSupported: Another one has written since, inside of it; or the server has committed it.
        """
        with self._lock:
            unit.aborted = False
            first = next((n for n, mark in enumerate(self._marks) if mark.unit is unit and mark.open), None)
            if first is None:
                return
            if all(mark.unit is unit and mark.open for mark in self._marks[first:]):
                name = self._marks[first].name
                del self._marks[first:]
                self._guard = ""
                self._control(f"ROLLBACK TO SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}")
                self._collapse()
                return
            self.commit(unit)
        raise _inside(self.ways.label)

    def give_up(self, unit: Unit) -> None:
        """A unit ended without a word; may be called by the garbage collector, anywhere."""
        if any(mark.unit is unit and mark.open for mark in list(self._marks)):
            self._abandoned.append(unit)

    def end(self, name: str) -> bool:
        """Undo what was done since the savepoint around all; False if the server has committed it."""
        with self._lock:
            self._marks.clear()
            self._guard = ""
            self._wake()
            try:
                self.ways.run(f"ROLLBACK TO SAVEPOINT {name}")
            except self.ways.errors:
                return False
            return True

    # --- turns ---

    @contextmanager
    def _turn(self, unit: Unit, *, writes: bool) -> Iterator[None]:
        end = time.monotonic() + self.timeout
        while True:
            with self._lock:
                self._clear_up()
                others = self._others(unit) if writes else []
                if not others:
                    unit.is_here()
                    yield
                    return
                waiter: Waiter = TaskWaiter() if in_greenlet() else threading.Event()
                self._waiting.append(waiter)
            left = end - time.monotonic()
            if left <= 0 or any(other.would_be_stopped() for other in others):
                raise self._busy(others)
            waiter.wait(min(left, _SLICE))

    def _others(self, unit: Unit) -> list[Unit]:
        """Who has the turn, if the caller has to wait for it."""
        open_ones = [mark.unit for mark in self._marks if mark.open and mark.unit is not unit]
        return [] if all(each.lets_in() for each in open_ones) else open_ones

    def _clear_up(self) -> None:
        while self._abandoned:
            with suppress(NotSupported):  # What others have committed inside of it, they keep.
                self.roll_back(self._abandoned.popleft())

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.set()

    def _busy(self, others: list[Unit]) -> StoreBusy:
        return StoreBusy(
            f"{self.ways.label} can't be written to: another session of this test has not ended.",
            why=str(others[0]),
            hint=f"Commit or close it before others write. {_FRESH}",
        )

    # --- savepoints ---

    def _check(self, statement: str) -> None:
        text, word = statement.lstrip(), first_word(statement)
        if _ENDS.match(text) and not _SAVEPOINTS.match(text):
            why = "It would end, or commit, what the whole test has done."
        elif _OUTSIDE.match(text):
            why = "The server does it outside of transactions only."
        elif not self.ways.transactional_ddl and _DEFINES.match(text) and not _TEMPORARY.match(text):
            why = "The server commits at such a statement: all that the test has done would be committed."
        else:
            return
        raise NotSupported(f"{word} can't be executed in a test that is rolled back.", why=why, hint=_FRESH)

    def _own_savepoint(self, unit: Unit, verb: str, name: str) -> bool | None:
        """Note what becomes of the savepoints after one of the app's own.

        Returns:
            Whether the statement is to be sent: others have set some after it, that have to stay. None if
            it is not known.
        """
        marks = self._marks
        places = [n for n, mark in enumerate(marks) if mark.unit is unit and mark.open and name in mark.names]
        if not places:
            return None
        place, rolls_back = places[-1], verb.upper().startswith("ROLLBACK")
        alone = all(mark.unit is unit and mark.open for mark in marks[place:])
        if rolls_back and not alone:
            raise _inside(self.ways.label)
        names = marks[place].names
        del names[names.index(name) + rolls_back :]
        if alone:
            del marks[place + 1 :]
        return alone

    def _prepare(self, unit: Unit, statement: str, *, writes: bool) -> str:
        """Set the savepoints that a statement needs, and return what has to be executed."""
        own = _SAVEPOINTS.match(statement)
        verb, name = (own["verb"].upper(), own["name"]) if own else ("", "")
        if unit.aborted and self.ways.aborted is not None:
            if not verb.startswith("ROLLBACK"):
                raise self.ways.aborted()
            unit.aborted = False
        known = self._own_savepoint(unit, verb, name) if verb and verb != "SAVEPOINT" else None
        if writes and known is None:
            self._mark(unit)
        if self.ways.aborted is not None and (not self._guard or self._touched):
            self._guard = self._savepoint("penstock_guard")
        self._touched = writes
        if verb == "SAVEPOINT":
            self._marks[-1].names.append(name)
        return _NOTHING if known is False else statement

    def _mark(self, unit: Unit) -> None:
        """Set a savepoint before what a unit writes, unless the last one is its own."""
        top = self._marks[-1] if self._marks else None
        if top is not None and top.unit is unit and top.open:
            return
        if all(mark.unit is not unit or not mark.open for mark in self._marks):
            unit.begins()
        self._marks.append(_Mark(unit, self._savepoint("penstock")))
        self._guard = ""

    def _savepoint(self, kind: str) -> str:
        """Set one on top of all; a guard that is there has served."""
        name = f"{kind}_{next(self._names)}"
        release = (f"RELEASE SAVEPOINT {self._guard}",) if self._guard else ()
        self._control(*release, f"SAVEPOINT {name}")
        return name

    def _recover(self, unit: Unit) -> None:
        """After an error, let the others go on as if it had been on a connection of the unit's own."""
        if self.ways.aborted is not None:
            with suppress(self.ways.errors):
                unit.aborted = not unit.autocommit and self._is_aborted()
                self.ways.run(f"ROLLBACK TO SAVEPOINT {self._guard}")
        if unit.autocommit and not self._has_savepoints(unit):
            with suppress(*(self.ways.errors, NotSupported)):
                self.roll_back(unit)

    def _has_savepoints(self, unit: Unit) -> bool:
        """Whether a savepoint of the app's own is set, which has to be there until it is released."""
        return any(mark.names for mark in self._marks if mark.unit is unit and mark.open)

    def _is_aborted(self) -> bool:
        try:
            self.ways.run("SELECT 1")
        except self.ways.errors:
            return True
        return False

    def _collapse(self) -> None:
        """Forget savepoints to which nobody will roll back any more."""
        marks = self._marks
        if marks and not any(mark.open for mark in marks):
            lowest = marks[0].name
            marks.clear()
            self._guard = ""
            self._control(f"RELEASE SAVEPOINT {lowest}")
        while len(marks) > 1 and not marks[-1].open and not marks[-2].open:
            self._guard = ""
            self._control(f"RELEASE SAVEPOINT {marks.pop().name}")
        self._wake()

    def _control(self, *statements: str) -> None:
        try:
            for statement in statements:
                self.ways.run(statement)
        except self.ways.errors as error:
            self._marks.clear()
            self._guard = ""
            self._wake()
            raise _committed(self.ways.label) from error


def _inside(label: str) -> NotSupported:
    return NotSupported(
        f"A session of {label} can't be rolled back any more in this test.",
        why="Another one has written inside of it, before it ended, and would lose that.",
        hint=f"End the one before the other writes. {_FRESH}",
    )


def _committed(label: str) -> NotSupported:
    return NotSupported(
        f"What was done to {label} in this test can't be rolled back any more.",
        why="The server has committed it, as some do at each CREATE, ALTER or DROP.",
        hint=_FRESH,
    )
