"""Looks, plans, locks, looks again, does the steps; safe to kill, safe to race."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from penstock.errors import PenstockError, StoreBusy, StoreNotCreated
from penstock.provision.apply import apply
from penstock.provision.connection import locked
from penstock.provision.facts import NOTHING, Found
from penstock.provision.plan import Plan, plan_drop, plan_sync
from penstock.provision.steps import Phase, Step
from penstock.provision.steps.database import DropDatabase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from penstock.provision.context import SyncContext
    from penstock.provision.results import OnEvent

_ATTEMPTS = 40
_LONGEST_PAUSE = 0.5
"""Seconds; the first pauses are shorter."""

_Result = TypeVar("_Result")


def plan_of(context: SyncContext) -> Plan:
    """What a sync would do now; a spatial store's server is asked whether it can have one."""
    return _plan_for(context, context.look().found)


def _plan_for(context: SyncContext, found: Found) -> Plan:
    """What a sync would do; the server is asked what more it can do only if there is something to do."""
    if context.refused is not None:
        return Plan(refused=context.refused)
    plan = plan_sync(context.desired, found)
    if not plan.steps:
        return plan
    if context.roles is not None and context.desired.roles:
        problem = context.roles.problem()
        if problem is not None and context.roles.required:
            return Plan(refused=problem)
        if problem is not None:
            plan = plan_sync(replace(context.desired, roles=False), found)
    if context.desired.spatial:
        problem = context.backend.spatial_problem(context.address.database_address, exists=found.exists)
        if problem is not None:
            return Plan(refused=problem)
    return plan


def sync_store(context: SyncContext, emit: OnEvent) -> str:
    """Make one store what it shall be, and answer the id of the record in it.

    Where one look finds nothing to do, that is all. The database is dropped and made without a lock,
    since the lock lives inside it; everything else happens under the lock, after a second look. If the
    database is taken away meanwhile (by another refresh, by a drop), it begins again.

    Raises:
        StoreNotOurs: The database there is not this store's.
        PenstockError: A step failed; what was done is kept and finished by the next sync.
    """
    if context.desired.refresh:
        _persist(context, lambda: _drop_if_ours(context, emit))
        context = replace(context, desired=replace(context.desired, refresh=False))
    return _persist(context, lambda: _make(context, emit))


def drop_store(context: SyncContext, emit: OnEvent, *, ours: Callable[[], bool]) -> bool:
    """Drop one store, once no sync of it is at work; False if it was not there.

    Args:
        context: The store.
        emit: Told of each step.
        ours: Tells whether the registry remembers this database as this store's; an empty one
            without a record, left by a sync that was killed, is then dropped too.

    Raises:
        StoreNotOurs: The database there is not this store's.
    """
    return _persist(context, lambda: _drop(context, emit, ours=ours))


def _persist(context: SyncContext, attempt: Callable[[], _Result]) -> _Result:
    """Try, and try again whenever the database was taken away meanwhile."""
    for number in range(_ATTEMPTS):
        try:
            return attempt()
        except PenstockError as error:
            last = number == _ATTEMPTS - 1 and not isinstance(error, StoreNotCreated)
            if last or not context.backend.is_disconnect(error):
                raise
            context.let_go()
        time.sleep(min(_LONGEST_PAUSE, number * 0.01))
    raise StoreBusy(
        f"{context.desired.app}:{context.desired.store} was taken away {_ATTEMPTS} times during work on it.",
        hint="Stop whatever drops it, then run the command again.",
    )


def _make(context: SyncContext, emit: OnEvent) -> str:
    seen = context.look()
    plan = _accepted(_plan_for(context, seen.found))
    if not plan.steps and seen.record is not None:
        return seen.record.store_id
    if _drops(plan):  # One that was killed.
        _drop_if_ours(context, emit)
        plan = _accepted(plan_of(context))
    _run((step for step in plan.steps if step.phase is Phase.CREATE), context, emit)
    return _finish_under_lock(context, emit)


def _drop_if_ours(context: SyncContext, emit: OnEvent) -> None:
    """Drop what a refresh begins with, if it is there; one that a sync is just making is left to it."""
    if not _drops(_accepted(plan_of(context))):
        return
    _decide_and_do(context, emit, lambda: _drops(_accepted(plan_of(context))))


def _decide_and_do(context: SyncContext, emit: OnEvent, decide: Callable[[], Sequence[Step]]) -> bool:
    """Decide under the lock, and do it still under it, unless the lock would be gone with the database."""
    backend = context.backend
    under_lock = backend.capabilities.lock_survives_drop
    with backend.lock(context.address.database_address, context.lock_timeout):
        steps = decide()
        if under_lock:
            _run(steps, context, emit)
    if not under_lock:
        _run(steps, context, emit)
    return bool(steps)


def _drops(plan: Plan) -> list[Step]:
    return [step for step in plan.steps if step.phase is Phase.DROP]


def _drop(context: SyncContext, emit: OnEvent, *, ours: Callable[[], bool]) -> bool:
    """Drop it once its lock was free, since an empty database may be one that a sync is just making."""
    found = context.look().found
    if not found.exists:
        return False
    if found.record is not None or found.relations:
        _accepted(plan_drop(context.desired, found))
    return _decide_and_do(context, emit, lambda: _drop_plan(context, ours=ours).steps)


def _drop_plan(context: SyncContext, *, ours: Callable[[], bool]) -> Plan:
    found = context.look().found
    if found.exists and found.record is None and not found.relations and ours():
        return Plan(steps=(DropDatabase(context.desired.database),))
    return _accepted(plan_drop(context.desired, found))


def _finish_under_lock(context: SyncContext, emit: OnEvent) -> str:
    with locked(context.address, context.lock_timeout) as check_lock:
        seen = context.look()
        if seen.found == NOTHING:
            raise StoreNotCreated(f"The database {context.desired.database} was taken away.")
        plan = _accepted(_plan_for(context, seen.found))
        if _drops(plan):  # A drop was killed meanwhile; dropping it would end this lock.
            raise StoreNotCreated(f"The database {context.desired.database} is half dropped.")
        _run(_each_after(check_lock, plan.steps), context, emit)
        record = seen.record or context.look().record
    return record.store_id if record is not None else ""


def _each_after(check: Callable[[], None], steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        check()
        yield step


def _accepted(plan: Plan) -> Plan:
    if plan.refused is not None:
        raise plan.refused
    return plan


def _run(steps: Iterable[Step], context: SyncContext, emit: OnEvent) -> None:
    for event in apply(steps, context):
        emit(event)
