"""Decides what a sync does; pure: desired state + found state -> steps."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import OtherRegistry, PenstockError, StoreNotOurs
from penstock.provision.facts import NOTHING, DesiredState, Found
from penstock.provision.steps import Phase, Step, needed_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done, as data, before it is done.

    Args:
        steps: In order; empty if nothing is to do, or nothing may be done.
        refused: Why nothing may be done.
    """

    steps: tuple[Step, ...] = ()
    refused: PenstockError | None = None


def plan_sync(desired: DesiredState, found: Found) -> Plan:
    """The steps that make a store what it shall be, from what it is.

    >>> desired = DesiredState(app="lab", store="main", database="lab_main")
    >>> [str(step) for step in plan_sync(desired, NOTHING).steps][:2]
    ['create database lab_main', 'prepare database lab_main']
    """
    refused = refusal(desired, found, destroys=desired.refresh)
    if refused is not None:
        return Plan(refused=refused)
    steps: list[Step] = []
    if found.record is not None and (desired.refresh or found.record.dropping):
        steps += needed_steps((Phase.DROP,), desired, found)
        found = NOTHING
    return Plan(steps=(*steps, *needed_steps((Phase.CREATE, Phase.FILL), desired, found)))


def plan_drop(desired: DesiredState, found: Found) -> Plan:
    """The steps that drop a store, or set it aside; none if it is not there."""
    if not found.exists:
        return Plan()
    if found.record is None:
        return Plan(refused=_unrecorded(desired))
    refused = refusal(desired, found, destroys=True)
    if refused is not None:
        return Plan(refused=refused)
    return Plan(steps=tuple(needed_steps((Phase.DROP,), desired, found)))


def refusal(desired: DesiredState, found: Found, *, destroys: bool = False) -> PenstockError | None:
    """Why what is there is not ours to touch, or None.

    Args:
        desired: What the store shall be.
        found: What is there.
        destroys: Whether it is to be dropped; then an address from the environment is not enough.
    """
    record = found.record
    if record is None:
        return _unrecorded(desired) if found.relations else None
    if record.template and not desired.template:
        return _not_ours(desired, "It is a template.")
    if not record.template and (record.app, record.store) != (desired.app, desired.store):
        return _not_ours(desired, f"Its record says that it is {record.app}:{record.store}.")
    may_use = not destroys and (desired.external or not desired.registry)
    if record.registry not in ("", desired.registry) and not may_use:
        return _of_another_registry(desired, record.registry_label)
    return None


def _of_another_registry(desired: DesiredState, other: str) -> OtherRegistry:
    return OtherRegistry(
        f"The database {desired.database} is {desired.app}:{desired.store} of another registry, "
        "so it is left alone.",
        why=f"It belongs to {other}; this is {desired.registry_label}.",
        hint="Let both use one registry (registry = in penstock.toml); or take the store over: "
        f"penstock stores adopt {desired.app}:{desired.store}",
    )


def _unrecorded(desired: DesiredState) -> StoreNotOurs:
    return _not_ours(desired, "It has no record of Penstock's.")


def _not_ours(desired: DesiredState, why: str) -> StoreNotOurs:
    adopt = f"penstock stores adopt {desired.app}:{desired.store} --database {desired.database}"
    return StoreNotOurs(
        f"The database {desired.database} exists and is not marked as {desired.app}:{desired.store}, "
        "so it is left alone.",
        why=why,
        hint=f"{adopt}, if it is yours.",
    )
