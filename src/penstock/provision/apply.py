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

    from penstock.provision.work import Work


def apply(steps: Iterable[Step], work: Work) -> Iterator[StepEvent]:
    """Do the steps; yields an event when each begins and when it has ended well.

    Raises:
        InitializerError: The app's initializer raised.
        ServerError: The server refused a step; its own words are given.
    """
    wanted = work.wanted
    for step in steps:
        yield StepStarted(wanted.app, wanted.store, step)
        began = time.perf_counter()
        _do(step, work)
        yield StepDone(wanted.app, wanted.store, step, time.perf_counter() - began)


def _do(step: Step, work: Work) -> None:
    try:
        _HANDLERS[type(step)](step, work)
    except DBAPIError as error:
        raise _translated(step, error, work) from error


def _translated(step: Step, error: Exception, work: Work) -> PenstockError:
    backend, shown = work.address.backend, work.address.display_name
    where = "" if shown in str(step) else f" in {shown}"
    what, refused = f"Could not {step}{where}.", _row_refused(error, work)
    return ServerError(what, why=refused) if refused else backend.translate(error, what)


def _row_refused(error: Exception, work: Work) -> str:
    """Why the server refused a row, in our words: its own may hold values; empty for any other error."""
    rows = work.address.backend.rows
    return rows.why_refused(error) if isinstance(error, DBAPIError) and rows.blames_row(error) else ""


def _drop(step: DropDatabase, work: Work) -> None:
    work.let_go()
    if work.roles is not None:
        work.roles.let_end()
    if not work.address.backend.capabilities.transactional_ddl:
        with suppress(StoreNotCreated), _own_transaction(work) as connection:
            mark_dropping(connection, work.address.backend)
    work.address.backend.drop(work.address.database_address, last=TABLE_NAME)


def _quarantine(step: Quarantine, work: Work) -> None:
    work.let_go()
    if work.roles is not None:
        work.roles.let_end()
    work.before_quarantine()
    work.address.backend.quarantine(work.address.database_address, step.name)
    if work.roles is not None:
        work.roles.refuse_connections()


def _create(step: CreateDatabase, work: Work) -> None:
    work.address.backend.create(work.address.database_address)


def _clone(step: CloneDatabase, work: Work) -> None:
    database_address = work.address.database_address
    work.address.backend.clone(replace(database_address, database=step.template), database_address)


def _stamp(step: StampRecord, work: Work) -> None:
    wanted = work.wanted
    with _own_transaction(work) as connection:
        stamp_copy(connection, work.address.backend, wanted.app, wanted.store, work.registry)


def _prepare(step: PrepareDatabase, work: Work) -> None:
    work.address.backend.prepare(work.address.database_address)


def _write_record(step: WriteRecord, work: Work) -> None:
    wanted = work.wanted
    with _own_transaction(work) as connection:
        write_record(connection, work.address.backend, wanted.app, wanted.store, work.registry)


def _enable_spatial(step: EnableSpatial, work: Work) -> None:
    work.address.backend.enable_spatial(work.address.database_address)


def _grant_roles(step: GrantRoles, work: Work) -> None:
    if work.roles is not None:
        work.roles.grant()


def _grant_tables(step: GrantTables, work: Work) -> None:
    if work.roles is not None:
        work.roles.grant_tables()


def _drop_roles(step: DropRoles, work: Work) -> None:
    if work.roles is not None:
        work.roles.drop()


def _create_tables(step: CreateTables, work: Work) -> None:
    if work.tables is None:
        return
    try:
        with turns.take(), work.engine().begin() as connection:
            work.tables.create_all(connection)
    except CompileError as error:
        raise NotSupported(
            f"Could not {step}.",
            why=str(error),
            hint="Declare the column by a type that this kind of server has, such as String(100).",
        ) from error


def _run_initializer(step: RunInitializer, work: Work) -> None:
    initializer = work.initializer
    if initializer is None:
        return
    try:
        with turns.take():
            if step.form is InitializerForm.ENGINE:
                with forgetting_none(work.engine(), work.app_engine()):
                    initializer.function(work.engine(), step.first_time)
            else:
                _run_in_transaction(initializer, step, work)
    except Exception as error:
        if isinstance(error, DBAPIError) and isinstance(_translated(step, error, work), StorageUnavailable):
            raise  # A full disk is no fault of the initializer's.
        raise _failed(initializer, error, work) from error


def _run_in_transaction(initializer: FoundInitializer, step: RunInitializer, work: Work) -> None:
    """The initializer's work and the record of it become durable together, or not at all."""
    with work.engine().begin() as connection:
        if step.form is InitializerForm.SESSION:
            call_with_session(initializer, connection, first_time=step.first_time)
        else:
            initializer.function(connection, step.first_time)
        mark_initialised(connection, work.address.backend, initializer.name)


def _failed(initializer: FoundInitializer, error: Exception, work: Work) -> InitializerError:
    said = _row_refused(error, work) or str(error).strip()
    first_line = next(iter(said.splitlines()), "")
    return InitializerError(
        f"The initializer {initializer.name} failed.",
        why=f"{type(error).__name__}: {first_line}",
        hint="Correct it, then run the sync again; the store is resumed where it stands.",
    )


def _mark(step: MarkInitialised, work: Work) -> None:
    with _own_transaction(work) as connection:
        mark_initialised(connection, work.address.backend, step.initializer)


@contextmanager
def _own_transaction(work: Work) -> Iterator[Connection]:
    """One transaction of Penstock's own in the store, on a connection closed afterwards."""
    with own_connection(work.address) as connection, connection.begin():
        yield connection


_HANDLERS: Mapping[type[Step], Callable[[Any, Work], None]] = {
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
