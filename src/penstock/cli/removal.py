"""Drops stores, brings dropped ones back, lets them go for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output, progress
from penstock.cli.names import Target, store_argument
from penstock.cli.root import FAILED, example, from_env_option, need_from_env, yes_option
from penstock.cli.state import State, pass_state
from penstock.errors import AppNotImported, UnknownApp, UnknownStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.declare import AppDeclaration
    from penstock.provision.results import DropResult
    from penstock.provision.status import StoreStatus
    from penstock.registry import StoreEntry
    from penstock.stores import Stores


@click.command()
@store_argument
@click.option("--service", metavar="NAME", help="The service it was left behind on, for an orphan.")
@click.option(
    "--app-is-gone", "gone", is_flag=True, help="Also though its app can't be imported: it is gone for good."
)
@click.option("--now", is_flag=True, help="For good, at once; else it can be brought back for some days.")
@from_env_option
@yes_option
@pass_state
@example(
    "penstock stores drop stream_gages:basins.logan",
    "penstock stores drop stream_gages:basins.logan --now --yes",
)
def drop(state: State, /, store: Target, **options: Any) -> None:
    """Drop a store. A declared store stays declared; the next sync makes it anew.

    Its database is kept under another name for some days (keep_dropped in penstock.toml, 7 by default),
    where nobody can connect to it; `stores undrop` brings it back. Orphans can be dropped, too: stores
    whose setting is gone, or that were left behind on another service. A store whose app can't be imported
    may be alive: it is dropped only with --app-is-gone. Never touches a database that is not marked as
    this store's.
    """
    stores = state.stores
    orphan = _unused(state, store, options["service"], gone=options["gone"])
    if orphan is None:
        app = state.app(store.app)
        stores.address(app, store.name)  # For a name that stands for nothing, this raises.
        with progress.waiting(progress.LOOKING):
            found = stores.store_status(app, store.name)
    else:
        found = next(each for each in stores.unused.statuses(store.app) if _same(each, orphan))
    now = options["now"] or _goes_at_once(stores, found)
    confirm_drops(stores, [found], yes=options["yes"], from_env=options["from_env"], now=now)
    with progress.Steps() as screen:
        if orphan is None:
            result = stores.drop(store.app, store.name, now=now, on_event=screen.hear)
        else:
            result = stores.unused.drop(orphan, now=now, on_event=screen.hear)
    _say(store, result)


@click.command()
@store_argument
@click.option(
    "--database", metavar="NAME", help="What its database is called meanwhile, if several are kept."
)
@pass_state
@example("penstock stores undrop stream_gages:basins.logan")
def undrop(state: State, store: Target, database: str | None) -> None:
    """Let a dropped store be what it was, as long as it is kept (see `stores list`)."""
    with progress.waiting(progress.LOOKING):
        address = state.writable.kept.undrop(store.app, store.name, database).address
    where = "" if address is None else f"database {address.database} on {address.service}"
    output.done(f"{store} is back: {output.shorten(where)}")


@click.command()
@click.option("--all", "every", is_flag=True, help="Also those whose time is not over.")
@yes_option
@pass_state
@example("penstock stores purge", "penstock stores purge --all --yes")
def purge(state: State, every: bool, yes: bool) -> None:
    """Let dropped stores go for good, once the days for which they are kept are over.

    Run it every day. Exits 1 if a store could not be dropped.
    """
    stores = state.writable
    losses = [_kept_loss(each) for each in stores.kept.entries()] if every else []
    if losses:
        output.confirm(losses, "Drop them for good?", yes=yes)
    with progress.waiting(progress.LOOKING):
        purged = stores.kept.purge(every=every)
    for each in purged:
        if each.error is None:
            output.done(f"{each.app}:{each.store}: {each.database} is gone")
        else:
            output.error(each.error)
    if not purged:
        output.say("Nothing is due." if stores.kept.entries() else "No dropped store is kept.")
    if any(each.error is not None for each in purged):
        click.get_current_context().exit(FAILED)


# --- what goes ------------------------------------------------------------------------------------


def loss_of(stores: Stores, app: AppDeclaration, store: Target) -> StoreStatus | None:
    """What a refresh would drop; None for a store that is not known yet."""
    known = store.name in stores.names(app) or stores.book.find(app, store.name) is not None
    return stores.store_status(app, store.name) if known else None


def confirm_drops(
    stores: Stores, found: Iterable[StoreStatus | None], *, yes: bool, from_env: bool, now: bool = True
) -> None:
    """Say what will be lost, and ask; a store that is not there needs no question.

    Args:
        stores: The `Stores` object.
        found: What is to be dropped; None for what is not known.
        yes: Whether `--yes` answers the question.
        from_env: Whether `--from-env` is given.
        now: Whether it is lost at once, rather than kept for some days.
    """
    lost = [each for each in found if each is not None and each.exists is not False and each.service]
    need_from_env(_variables(stores, lost), from_env=from_env)
    kept = "" if now else f", kept for {stores.kept.days} days"
    losses = [_loss(each, kept) for each in lost]
    if losses:
        which = "this database" if len(losses) == 1 else f"these {len(losses)} databases"
        question = f"Drop {which} with all that is in it?" if now else "Drop it?"
        output.confirm(losses, question, yes=yes)


def _variables(stores: Stores, lost: Iterable[StoreStatus]) -> dict[str, str]:
    """The variables that name what is lost; what is not ours is left alone in any case."""
    ours = [each for each in lost if each.health.name not in ("ORPHAN", "BROKEN", "NOT_OURS")]
    addresses = ((each, stores.address(each.app, each.store)) for each in ours)
    return {f"{each.app}:{each.store}": address.service for each, address in addresses if address.external}


def _loss(found: StoreStatus, kept: str) -> str:
    size = f", {output.size(found.size)}" if found.size is not None else ""
    loss = f"Drops {found.app}:{found.store}: database {found.database} on {found.service}{size}{kept}"
    return loss + (f"  ({output.shorten(found.source)})" if found.source else "")


def _kept_loss(kept: StoreEntry) -> str:
    return f"Drops {kept.app}:{kept.name}: database {kept.database} on {kept.service}"


def _goes_at_once(stores: Stores, found: StoreStatus) -> bool:
    """Whether a store is not kept, since nobody would remember it, or nothing is to be kept."""
    return not stores.kept.days or not stores.registry.lasting or bool(_variables(stores, [found]))


def _say(store: Target, result: DropResult) -> None:
    if not result.existed:
        output.done(f"{store} had no database")
    elif result.kept is None:
        output.done(f"{store} is dropped")
    else:
        until = f"{result.kept.kept_until:%Y-%m-%d}"
        output.done(f"{store} is dropped, and kept until {until}: penstock stores undrop {store}")


def _unused(state: State, store: Target, service: str | None, *, gone: bool) -> StoreEntry | None:
    """The remembered store that is meant, if it is an orphan, or of an app that is said to be gone."""
    list(state.apps)
    stores = state.stores
    broken = [s for s in stores.unused.broken() if (s.app, s.store) == (store.app, store.name)]
    if broken and not gone:
        raise AppNotImported(
            f"{store} is not dropped: its app can't be imported here, so it may be in use.",
            why=broken[0].problem,
            hint=broken[0].hint,
        )
    orphans = broken + [s for s in stores.unused.orphans() if (s.app, s.store) == (store.app, store.name)]
    if service is not None:
        orphans = [s for s in orphans if s.service == service]
        if not orphans:
            raise UnknownStore(
                f"{store} was not left behind on service {service!r}.", hint="penstock stores list"
            )
    elif _is_declared(state, store):
        return None
    entries = [e for e in state.stores.registry.stores(store.app) if any(_same(s, e) for s in orphans)]
    return entries[0] if entries else None


def _is_declared(state: State, store: Target) -> bool:
    try:
        return store.name in state.stores.names(state.app(store.app))
    except UnknownApp:
        return False


def _same(status: StoreStatus, entry: StoreEntry) -> bool:
    place = (entry.app, entry.name, entry.service, entry.database)
    return (status.app, status.store, status.service, status.database) == place
