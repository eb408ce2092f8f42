"""Gives stores new logins while their apps run: `penstock stores rotate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.cli import output, progress
from penstock.cli.names import Target, complete_services, complete_stores, target
from penstock.cli.root import FAILED, example
from penstock.cli.state import State, pass_state
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Iterable


@click.command()
@click.argument("named", metavar="[APP:STORE]...", nargs=-1, type=target, shell_complete=complete_stores)
@click.option("--all", "every", is_flag=True, help="Every store that has logins of its own.")
@click.option("--service", metavar="NAME", shell_complete=complete_services, help="Those on this service.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long the old logins stay good.",
)
@click.option("--finish", is_flag=True, help="Only drop old logins whose time is over.")
@pass_state
@example(
    "penstock stores rotate my_first_app:example_db",
    "penstock stores rotate --all --grace 300",
    "penstock stores rotate --all --finish",
)
def rotate(
    state: State, named: tuple[Target, ...], every: bool, service: str | None, grace: float, finish: bool
) -> None:
    """Give stores new logins, with new passwords, while their apps run.

    The old logins stay good until every process has had the time to notice (see --grace), and are
    dropped then, but for those with which somebody is still in a transaction: these are left for a later
    `--finish`. Whatever ends this half-way, run it again. Exits 1 if a store failed, or a login was left.
    """
    if not (named or every or service) or (named and (every or service)):
        raise click.UsageError("Name stores, or give --all or --service.", click.get_current_context())
    chosen = _named(state, named) if named else _with_logins(state, service)
    if not chosen:
        output.say("No store has logins of its own.")
        return
    well = chosen if finish else [store for store in chosen if _renewed(state, store)]
    if well and not finish:
        _wait(grace)
    retired = [_retired(state, store, grace) for store in well]
    if len(well) < len(chosen) or not all(retired):
        click.get_current_context().exit(FAILED)


def _named(state: State, named: Iterable[Target]) -> list[Target]:
    """The stores that are named, once each; a name that stands for nothing raises before any change."""
    chosen = list(dict.fromkeys(named))
    for store in chosen:
        state.writable.address(state.app(store.app), store.name)
    return chosen


def _with_logins(state: State, service: str | None) -> list[Target]:
    """The stores that have logins of their own, of the apps that are here."""
    list(state.apps)
    stores = state.writable
    if service is not None:
        stores.book.get_service(service)
    known = {(each.service, each.database) for each in stores.registry.credentials(service)}
    apps = {app.package for app in stores.apps}
    entries = [e for e in stores.registry.stores() if e.app in apps and (e.service, e.database) in known]
    return [Target(entry.app, entry.name) for entry in entries if entry.state.is_current]


def _renewed(state: State, store: Target) -> bool:
    try:
        with progress.waiting(progress.LOOKING):
            state.writable.logins.renew(state.app(store.app), store.name)
    except PenstockError as error:
        output.error(error)
        return False
    output.done(f"{store} has new logins")
    return True


def _wait(grace: float) -> None:
    import time

    with progress.waiting(f"the old logins stay good for {grace:g} s"):
        time.sleep(grace)


def _retired(state: State, store: Target, grace: float) -> bool:
    """Drop a store's old logins; False if some were left."""
    try:
        with progress.waiting(progress.LOOKING):
            left = state.writable.logins.retire(state.app(store.app), store.name, grace=grace).left
    except PenstockError as error:
        output.error(error)
        return False
    for login in left:
        output.problem(f"{store}: {login} is still needed", "", "penstock stores rotate --all --finish")
    if not left:
        output.done(f"{store} has no old logins any more")
    return not left
