"""What sync does is decided by what it finds; pure: declared + found -> steps."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import OtherRegistry, PenstockError, StoreNotOurs
from penstock.provision.steps import (
    CloneDatabase,
    CreateDatabase,
    CreateTables,
    DropDatabase,
    DropRoles,
    EnableSpatial,
    GrantRoles,
    GrantTables,
    InitializerForm,
    MarkInitialised,
    PrepareDatabase,
    Quarantine,
    RunInitializer,
    StampRecord,
    Step,
    WriteRecord,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What a store shall be.

    Args:
        app: The app's package.
        store: The store's name within the app.
        database: Its physical name.
        spatial: Whether it is spatial.
        roles: Whether it gets roles of its own.
        tables: Whether the setting declares tables.
        initializer: The initializer's name; empty if there is none.
        form: What the initializer asks for.
        transactional_ddl: Whether the backend can undo the tables of a failed transaction.
        default_privileges: Whether its roles may use tables that are made later.
        template: The complete database that a missing one is copied from; empty to make it from nothing.
        kept_as: What the database is to be called while it is kept, when it is dropped; empty to drop it.
        registry: The id of the registry that remembers it; empty for one that does not last.
        registry_label: What people call that.
        external: Whether its address is given by the environment, which may name a store of others.
        refresh: Whether to drop what is there, if it is ours, and begin anew.
        force_first_time: Whether the initializer is told that it is the first time.
    """

    app: str
    store: str
    database: str
    spatial: bool = False
    roles: bool = False
    tables: bool = False
    initializer: str = ""
    form: InitializerForm = InitializerForm.ENGINE
    transactional_ddl: bool = True
    default_privileges: bool = True
    template: str = ""
    kept_as: str = ""
    registry: str = ""
    registry_label: str = ""
    external: bool = False
    refresh: bool = False
    force_first_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """What the record inside a database says.

    Args:
        app: The app it belongs to.
        store: The store of that app.
        initialised: Whether a sync ever completed.
        first_time: Whether no initializer ever completed.
        template: Whether it is a template rather than a store.
        dropping: Whether a drop of it began, and was killed.
        registry: The id of the registry that made it; empty for one that does not last.
        registry_label: What people call that.
    """

    app: str
    store: str
    initialised: bool = False
    first_time: bool = True
    template: bool = False
    dropping: bool = False
    registry: str = ""
    registry_label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is there.

    Args:
        exists: Whether the database exists.
        record: Its record, if it has one.
        relations: Whether it has tables or views besides the record.
        prepared: Whether it is set up as a new database is.
        roles: Whether it has roles of its own, and they have all that they shall have.
        any_roles: Whether there are roles of its own on the server.
    """

    exists: bool
    record: FoundRecord | None = None
    relations: bool = False
    prepared: bool = True
    roles: bool = False
    any_roles: bool = False


NOTHING = Found(exists=False)
"""What is found where there is no database."""


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
        steps += _dropping(desired, found)
        found = NOTHING
    if desired.template and (_is_copy(found) or not (found.exists or desired.force_first_time)):
        return Plan(steps=(*steps, *_copying(desired, found)))
    if not found.exists:
        steps.append(CreateDatabase(desired.database))
    if found.record is None or not found.prepared:
        steps.append(PrepareDatabase(desired.database))
    if found.record is None:
        steps.append(WriteRecord(desired.store))
    return Plan(steps=(*steps, *_contents(desired, found)))


def plan_drop(desired: DesiredState, found: Found) -> Plan:
    """The steps that drop a store, or set it aside; none if it is not there."""
    if not found.exists:
        return Plan()
    if found.record is None:
        return Plan(refused=_unrecorded(desired))
    refused = refusal(desired, found, destroys=True)
    if refused is not None:
        return Plan(refused=refused)
    if desired.kept_as:
        return Plan(steps=(Quarantine(desired.database, desired.kept_as),))
    return Plan(steps=_dropping(desired, found))


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


def _is_copy(found: Found) -> bool:
    """Whether it was just copied, and still says that it is a template."""
    return found.record is not None and found.record.template


def _copying(desired: DesiredState, found: Found) -> tuple[Step, ...]:
    """The steps that make a store from a template, in which everything is already."""
    clone = () if found.exists else (CloneDatabase(desired.database, desired.template),)
    roles = (GrantRoles(desired.database),) if desired.roles else ()
    return (*clone, PrepareDatabase(desired.database), StampRecord(desired.store), *roles)


def _contents(desired: DesiredState, found: Found) -> tuple[Step, ...]:
    """The steps inside the database: spatial, roles, tables, initializer, and the mark at the end."""
    steps: list[Step] = []
    if desired.spatial:
        steps.append(EnableSpatial(desired.database))
    if desired.roles and not found.roles:
        steps.append(GrantRoles(desired.database))
    if desired.tables:
        steps.append(CreateTables(desired.database))
    initialised = found.record is not None and found.record.initialised
    run = _initializer_step(desired, found)
    late = desired.roles and not desired.default_privileges
    if run is not None:
        if late and desired.tables:  # It may use its own app, which logs in for itself.
            steps.append(GrantTables(desired.database))
        steps.append(run)
    if late and (desired.tables or run is not None):
        steps.append(GrantTables(desired.database))
    if (run is None and not initialised) or (run is not None and not run.exactly_once):
        steps.append(MarkInitialised(desired.store, desired.initializer))
    return tuple(steps)


def _dropping(desired: DesiredState, found: Found) -> tuple[Step, ...]:
    roles = (DropRoles(desired.database),) if found.any_roles else ()
    return (DropDatabase(desired.database), *roles)


def _initializer_step(desired: DesiredState, found: Found) -> RunInitializer | None:
    if not desired.initializer:
        return None
    never_ran = found.record is None or found.record.first_time
    in_transaction = desired.form is not InitializerForm.ENGINE and desired.transactional_ddl
    return RunInitializer(
        desired.initializer, desired.form, desired.force_first_time or never_ran, in_transaction
    )


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
