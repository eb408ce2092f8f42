"""The state of a store right now, asked of its server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from penstock.engines import BudgetState, budget_of
from penstock.errors import PenstockError
from penstock.provision.context import Seen, look, look_with_size
from penstock.provision.facts import DesiredState
from penstock.provision.plan import refusal
from penstock.registry import RegistryIdentity, StoreEntry, StoreState

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.connect import Address


class Health(Enum):
    """The state of a store, in one word.

    Attributes:
        READY: It exists, is ours, and a sync has completed.
        HALF_MADE: It exists, but no sync has completed yet.
        MISSING: It does not exist.
        NOT_OURS: The database exists, but belongs to someone else.
        UNLINKED: No service is linked to its setting.
        UNREACHABLE: Its server can't be asked.
        ORPHAN: Its app does not declare it any more, or its setting is linked elsewhere.
        NO_LOGIN: It is there, but the login of its app is refused.
        BROKEN: Its app can't be imported here, so nobody can tell whether it is still wanted.
        DROPPED: It was dropped, and is kept for a while.
    """

    READY = "ready"
    HALF_MADE = "half-made"
    MISSING = "not created"
    NOT_OURS = "not ours"
    UNLINKED = "unlinked"
    UNREACHABLE = "unreachable"
    ORPHAN = "orphan"
    NO_LOGIN = "login refused"
    BROKEN = "broken"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """A store and its state.

    Args:
        app: The app's package.
        store: The store's name.
        health: What it is like, in one word.
        service: The service it is on; empty if there is none.
        database: Its physical name; empty if there is no service.
        source: Where its address comes from.
        exists: Whether the database exists; None if its server can't be asked.
        initialised: When a sync completed first; None if none did.
        initializer: The initializer that completed last; None if none did.
        size: The database's size in bytes.
        problem: What is wrong, in one line; empty if nothing is.
        hint: What to do about it.
        required: Whether the app can't work without it.
        tables: Who makes its tables: `penstock`, or the `app`.
        roles: Whose roles its app logs in with: the `store`'s own, or the `service`'s; empty where there
            are no roles, or they are not Penstock's to give.
        no_roles: Why it has none of its own, in one line; empty if it has.
        connections: What this process has of its server's connections, and who uses them.
    """

    app: str
    store: str
    health: Health
    service: str = ""
    database: str = ""
    source: str = ""
    exists: bool | None = None
    initialised: datetime | None = None
    initializer: str | None = None
    size: int | None = None
    problem: str = ""
    hint: str = ""
    required: bool = True
    tables: str = ""
    roles: str = ""
    no_roles: str = ""
    connections: BudgetState | None = None


def status_of(
    address: Address,
    entry: StoreEntry | None,
    registry: RegistryIdentity,
    *,
    required: bool = True,
    look: Callable[[Address], Seen] = look_with_size,
) -> StoreStatus:
    """Ask the store's server what it is like; never raises for what the server says.

    Args:
        address: Where the store is.
        entry: What the registry remembers of it.
        registry: Whose store it should be.
        required: Whether the app can't work without it.
        look: Asks the server.
    """
    unknown = StoreStatus(
        app=address.app,
        store=address.store.name,
        health=Health.UNREACHABLE,
        service=address.service,
        database=address.database,
        source=str(address.source),
        required=required,
        tables="app" if address.database_address.app_makes_tables else "penstock",
        connections=budget_of(address.database_address.server, address.backend).state(),
    )
    try:
        seen = look(address)
    except PenstockError as error:
        return replace(unknown, problem=error.why or error.what, hint=error.hint)
    health, problem, hint = _judge(address, seen, entry, registry)
    record = seen.record
    return replace(
        unknown,
        health=health,
        exists=seen.found.exists,
        initialised=None if record is None else record.initialised,
        initializer=None if record is None else record.initializer,
        size=seen.size if seen.found.exists else None,
        problem=problem,
        hint=hint,
    )


def is_complete(address: Address, registry: RegistryIdentity) -> bool:
    """Whether the store exists, is ours, and a sync has completed; raises if it can't be asked."""
    seen = look(address)
    return _judge(address, seen, None, registry)[0] is Health.READY


def orphan_of(status: StoreStatus, entry: StoreEntry, why: str) -> StoreStatus:
    """The status of a store that its app does not declare any more, or that was left behind."""
    hint = f"penstock stores drop {entry.app}:{entry.name} --service {entry.service}, if nobody needs it"
    if status.health is Health.UNREACHABLE:
        why, hint = f"{why} {status.problem}".strip(), status.hint
    return replace(status, health=Health.ORPHAN, problem=why, hint=hint, required=False)


def broken_of(status: StoreStatus, cause: PenstockError) -> StoreStatus:
    """The status of a store whose app can't be imported, which may be alive all the same."""
    problem = f"{cause.what} {cause.why}".strip()
    return replace(status, health=Health.BROKEN, problem=problem, hint=cause.hint, required=True)


def kept_status(entry: StoreEntry, exists: bool | None, unknown: str = "") -> StoreStatus:
    """The status of a store that was dropped and is kept; nobody can look into it.

    Args:
        entry: The store, as it is remembered.
        exists: Whether its database is there; None if its server can't be asked.
        unknown: Why it can't be asked.
    """
    until = "" if entry.kept_until is None else f" until {entry.kept_until:%Y-%m-%d}"
    problem = f"It was dropped, and is kept{until}. {unknown}".rstrip()
    hint = f"penstock stores undrop {entry.app}:{entry.name}, or penstock stores purge"
    if exists is False:
        problem = f"It was dropped, but is not kept: there is no database {entry.database}."
        hint = "penstock stores purge --all, to forget it"
    return StoreStatus(
        app=entry.app,
        store=entry.name,
        health=Health.DROPPED,
        service=entry.service,
        database=entry.database,
        exists=exists,
        problem=problem,
        hint=hint,
        required=False,
    )


def _judge(
    address: Address, seen: Seen, entry: StoreEntry | None, registry: RegistryIdentity
) -> tuple[Health, str, str]:
    sync = f"penstock syncstores {address.app} -d {address.store.name}"
    failed = entry.problem if entry is not None and entry.state is StoreState.FAILED else ""
    if not seen.found.exists:
        return Health.MISSING, failed, sync
    desired = DesiredState(
        app=address.app,
        store=address.store.name,
        database=address.database,
        registry=registry.id,
        registry_label=registry.label,
        external=address.external,
    )
    refused = refusal(desired, seen.found)
    if refused is not None:
        return Health.NOT_OURS, refused.why, refused.hint
    if seen.record is None or seen.record.initialised is None:
        return Health.HALF_MADE, failed or "A sync of it was interrupted.", sync
    return Health.READY, failed, sync if failed else ""
