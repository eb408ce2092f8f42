"""Looks, plans, makes, locks, looks again, finishes; safe to kill, safe to race."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from penstock.errors import PenstockError, StoreBusy, StoreNotCreated
from penstock.provision.apply import apply
from penstock.provision.connection import locked
from penstock.provision.plan import NOTHING, Found, Plan, plan_drop, plan_sync
from penstock.provision.steps import CloneDatabase, CreateDatabase, DropDatabase, DropRoles, Step, StepEvent

if TYPE_CHECKING:
    from penstock.provision.work import Work

_ATTEMPTS = 40
_LONGEST_PAUSE = 0.5
"""Seconds; the first pauses are shorter."""

Emit = Callable[[StepEvent], None]

_Result = TypeVar("_Result")


def plan_of(work: Work) -> Plan:
    """What a sync would do now; a spatial store's server is asked whether it can have one."""
    return _plan_for(work, work.look().found)


def _plan_for(work: Work, found: Found) -> Plan:
    """What a sync would do; the server is asked what more it can do only if there is something to do."""
    if work.refused is not None:
        return Plan(refused=work.refused)
    plan = plan_sync(work.wanted, found)
    if not plan.steps:
        return plan
    if work.roles is not None and work.wanted.roles:
        problem = work.roles.problem()
        if problem is not None and work.roles.required:
            return Plan(refused=problem)
        if problem is not None:
            plan = plan_sync(replace(work.wanted, roles=False), found)
    if work.wanted.spatial:
        problem = work.address.backend.spatial_problem(work.address.database_address, exists=found.exists)
        if problem is not None:
            return Plan(refused=problem)
    return plan


def sync_store(work: Work, emit: Emit) -> str:
    """Make one store what it shall be, and answer the id of the record in it.

    Where one look finds nothing to do, that is all. The database is dropped and made without a lock,
    since the lock lives inside it; everything else happens under the lock, after a second look. If the
    database is taken away meanwhile (by another refresh, by a drop), it begins again.

    Raises:
        StoreNotOurs: The database there is not this store's.
        PenstockError: A step failed; what was done is kept and finished by the next sync.
    """
    if work.wanted.refresh:
        _persist(work, lambda: _drop_if_ours(work, emit))
        work = replace(work, wanted=replace(work.wanted, refresh=False))
    return _persist(work, lambda: _make(work, emit))


def drop_store(work: Work, emit: Emit, *, ours: Callable[[], bool]) -> bool:
    """Drop one store, once no sync of it is at work; False if it was not there.

    Args:
        work: The store.
        emit: Told of each step.
        ours: Tells whether the registry remembers this database as this store's; an empty one
            without a record, left by a sync that was killed, is then dropped too.

    Raises:
        StoreNotOurs: The database there is not this store's.
    """
    return _persist(work, lambda: _drop(work, emit, ours=ours))


def _persist(work: Work, attempt: Callable[[], _Result]) -> _Result:
    """Try, and try again whenever the database was taken away meanwhile."""
    for number in range(_ATTEMPTS):
        try:
            return attempt()
        except PenstockError as error:
            last = number == _ATTEMPTS - 1 and not isinstance(error, StoreNotCreated)
            if last or not work.address.backend.is_disconnect(error):
                raise
            work.let_go()
        time.sleep(min(_LONGEST_PAUSE, number * 0.01))
    raise StoreBusy(
        f"{work.wanted.app}:{work.wanted.store} was taken away {_ATTEMPTS} times during work on it.",
        hint="Stop whatever drops it, then run the command again.",
    )


def _make(work: Work, emit: Emit) -> str:
    seen = work.look()
    plan = _accepted(_plan_for(work, seen.found))
    if not plan.steps and seen.record is not None:
        return seen.record.store_id
    if _drops(plan):  # One that was killed.
        _drop_if_ours(work, emit)
        plan = _accepted(plan_of(work))
    _run((step for step in plan.steps if isinstance(step, CreateDatabase | CloneDatabase)), work, emit)
    return _finish_under_lock(work, emit)


def _drop_if_ours(work: Work, emit: Emit) -> None:
    """Drop what a refresh begins with, if it is there; one that a sync is just making is left to it."""
    if not _drops(_accepted(plan_of(work))):
        return
    _decide_and_do(work, emit, lambda: _drops(_accepted(plan_of(work))))


def _decide_and_do(work: Work, emit: Emit, decide: Callable[[], Sequence[Step]]) -> bool:
    """Decide under the lock, and do it still under it, unless the lock would be gone with the database."""
    backend = work.address.backend
    under_lock = backend.capabilities.lock_survives_drop
    with backend.lock(work.address.database_address, work.lock_timeout):
        steps = decide()
        if under_lock:
            _run(steps, work, emit)
    if not under_lock:
        _run(steps, work, emit)
    return bool(steps)


def _drops(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if isinstance(step, DropDatabase | DropRoles)]


def _drop(work: Work, emit: Emit, *, ours: Callable[[], bool]) -> bool:
    """Drop it once its lock was free, since an empty database may be one that a sync is just making."""
    found = work.look().found
    if not found.exists:
        return False
    if found.record is not None or found.relations:
        _accepted(plan_drop(work.wanted, found))
    return _decide_and_do(work, emit, lambda: _drop_plan(work, ours=ours).steps)


def _drop_plan(work: Work, *, ours: Callable[[], bool]) -> Plan:
    found = work.look().found
    if found.exists and found.record is None and not found.relations and ours():
        return Plan(steps=(DropDatabase(work.wanted.database),))
    return _accepted(plan_drop(work.wanted, found))


def _finish_under_lock(work: Work, emit: Emit) -> str:
    with locked(work.address, work.lock_timeout):
        seen = work.look()
        if seen.found == NOTHING:
            raise StoreNotCreated(f"The database {work.wanted.database} was taken away.")
        plan = _accepted(_plan_for(work, seen.found))
        if _drops(plan):  # A drop was killed meanwhile; dropping it would end this lock.
            raise StoreNotCreated(f"The database {work.wanted.database} is half dropped.")
        _run(plan.steps, work, emit)
        record = seen.record or work.look().record
    return record.store_id if record is not None else ""


def _accepted(plan: Plan) -> Plan:
    if plan.refused is not None:
        raise plan.refused
    return plan


def _run(steps: Iterable[Step], work: Work, emit: Emit) -> None:
    for event in apply(steps, work):
        emit(event)
