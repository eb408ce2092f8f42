"""Does the steps of a plan one by one, and says so; handlers come by a table."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import CompileError, DBAPIError

from penstock.engines.forgotten import forgetting_none
from penstock.errors import (
    InitializerError,
    NotSupported,
    PenstockError,
    ServerError,
    StorageUnavailable,
    StoreNotCreated,
)
from penstock.provision.connection import own_connection
from penstock.provision.initializers import FoundInitializer, call_with_session
from penstock.provision.record import (
    TABLE_NAME,
    mark_dropping,
    mark_initialised,
    stamp_copy,
    write_record,
)
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
    StepDone,
    StepEvent,
    StepStarted,
    WriteRecord,
)
from penstock.provision.turns import turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import Connection

    from penstock.provision.context import SyncContext


def apply(steps: Iterable[Step], context: SyncContext) -> Iterator[StepEvent]:
    """Do the steps; yields an event when each begins and when it has ended well.

    Raises:
        InitializerError: The app's initializer raised.
        ServerError: The server refused a step; its own words are given.
    """
    desired = context.desired
    for step in steps:
        yield StepStarted(desired.app, desired.store, step)
        began = time.perf_counter()
        _do(step, context)
        yield StepDone(desired.app, desired.store, step, time.perf_counter() - began)


def _do(step: Step, context: SyncContext) -> None:
    try:
        _HANDLERS[type(step)](step, context)
    except DBAPIError as error:
        raise _translated(step, error, context) from error


def _translated(step: Step, error: Exception, context: SyncContext) -> PenstockError:
    backend, shown = context.address.backend, context.address.display_name
    where = "" if shown in str(step) else f" in {shown}"
    what, refused = f"Could not {step}{where}.", _row_refused(error, context)
    return ServerError(what, why=refused) if refused else backend.translate(error, what)


def _row_refused(error: Exception, context: SyncContext) -> str:
    """Why the server refused a row, in our words: its own may hold values; empty for any other error."""
    rows = context.address.backend.rows
    return rows.why_refused(error) if isinstance(error, DBAPIError) and rows.blames_row(error) else ""


def _drop(step: DropDatabase, context: SyncContext) -> None:
    context.let_go()
    if context.roles is not None:
        context.roles.let_end()
    if not context.address.backend.capabilities.transactional_ddl:
        with suppress(StoreNotCreated), _own_transaction(context) as connection:
            mark_dropping(connection, context.address.backend)
    context.address.backend.drop(context.address.database_address, last=TABLE_NAME)


def _quarantine(step: Quarantine, context: SyncContext) -> None:
    context.let_go()
    if context.roles is not None:
        context.roles.let_end()
    context.before_quarantine()
    context.address.backend.quarantine(context.address.database_address, step.name)
    if context.roles is not None:
        context.roles.refuse_connections()


def _create(step: CreateDatabase, context: SyncContext) -> None:
    context.address.backend.create(context.address.database_address)


def _clone(step: CloneDatabase, context: SyncContext) -> None:
    database_address = context.address.database_address
    context.address.backend.clone(replace(database_address, database=step.template), database_address)


def _stamp(step: StampRecord, context: SyncContext) -> None:
    desired = context.desired
    with _own_transaction(context) as connection:
        stamp_copy(connection, context.address.backend, desired.app, desired.store, context.registry)


def _prepare(step: PrepareDatabase, context: SyncContext) -> None:
    context.address.backend.prepare(context.address.database_address)


def _write_record(step: WriteRecord, context: SyncContext) -> None:
    desired = context.desired
    with _own_transaction(context) as connection:
        write_record(connection, context.address.backend, desired.app, desired.store, context.registry)


def _enable_spatial(step: EnableSpatial, context: SyncContext) -> None:
    context.address.backend.enable_spatial(context.address.database_address)


def _grant_roles(step: GrantRoles, context: SyncContext) -> None:
    if context.roles is not None:
        context.roles.grant()


def _grant_tables(step: GrantTables, context: SyncContext) -> None:
    if context.roles is not None:
        context.roles.grant_tables()


def _drop_roles(step: DropRoles, context: SyncContext) -> None:
    if context.roles is not None:
        context.roles.drop()


def _create_tables(step: CreateTables, context: SyncContext) -> None:
    if context.tables is None:
        return
    try:
        with turns.take(), context.engine().begin() as connection:
            context.tables.create_all(connection)
    except CompileError as error:
        raise NotSupported(
            f"Could not {step}.",
            why=str(error),
            hint="Declare the column by a type that this kind of server has, such as String(100).",
        ) from error


def _run_initializer(step: RunInitializer, context: SyncContext) -> None:
    initializer = context.initializer
    if initializer is None:
        return
    try:
        with turns.take():
            if step.form is InitializerForm.ENGINE:
                with forgetting_none(context.engine(), context.app_engine()):
                    initializer.function(context.engine(), step.first_time)
            else:
                _run_in_transaction(initializer, step, context)
    except Exception as error:
        if isinstance(error, DBAPIError) and isinstance(
            _translated(step, error, context), StorageUnavailable
        ):
            raise  # A full disk is no fault of the initializer's.
        raise _failed(initializer, error, context) from error


def _run_in_transaction(initializer: FoundInitializer, step: RunInitializer, context: SyncContext) -> None:
    """The initializer's work and the record of it become durable together, or not at all."""
    with context.engine().begin() as connection:
        if step.form is InitializerForm.SESSION:
            call_with_session(initializer, connection, first_time=step.first_time)
        else:
            initializer.function(connection, step.first_time)
        mark_initialised(connection, context.address.backend, initializer.name)


def _failed(initializer: FoundInitializer, error: Exception, context: SyncContext) -> InitializerError:
    said = _row_refused(error, context) or str(error).strip()
    first_line = next(iter(said.splitlines()), "")
    return InitializerError(
        f"The initializer {initializer.name} failed.",
        why=f"{type(error).__name__}: {first_line}",
        hint="Correct it, then run the sync again; the store is resumed where it stands.",
    )


def _mark(step: MarkInitialised, context: SyncContext) -> None:
    with _own_transaction(context) as connection:
        mark_initialised(connection, context.address.backend, step.initializer)


@contextmanager
def _own_transaction(context: SyncContext) -> Iterator[Connection]:
    """One transaction of Penstock's own in the store, on a connection closed afterwards."""
    with own_connection(context.address) as connection, connection.begin():
        yield connection


_HANDLERS: Mapping[type[Step], Callable[[Any, SyncContext], None]] = {
    DropDatabase: _drop,
    CreateDatabase: _create,
    CloneDatabase: _clone,
    StampRecord: _stamp,
    PrepareDatabase: _prepare,
    WriteRecord: _write_record,
    EnableSpatial: _enable_spatial,
    GrantRoles: _grant_roles,
    GrantTables: _grant_tables,
    DropRoles: _drop_roles,
    Quarantine: _quarantine,
    CreateTables: _create_tables,
    RunInitializer: _run_initializer,
    MarkInitialised: _mark,
}
