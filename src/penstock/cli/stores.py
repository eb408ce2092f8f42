"""The databases of the apps: looks, creates, drops, adopts, tells addresses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

import click

from penstock.cli import output, progress
from penstock.cli.addresses import shell, url
from penstock.cli.fleet import Fleet, jobs_option
from penstock.cli.names import Target, complete_apps, complete_stores, store_argument, target
from penstock.cli.removal import confirm_drops, drop, loss_of, purge, undrop
from penstock.cli.root import FAILED, example, from_env_option, json_option, yes_option
from penstock.cli.rotate import rotate
from penstock.cli.state import State, pass_state
from penstock.errors import NotLinked, PenstockError, UnknownApp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.declare import AppDeclaration
    from penstock.provision.dynamic import NewStore
    from penstock.provision.provisioner import SyncOptions
    from penstock.provision.results import SyncResult
    from penstock.provision.status import StoreStatus
    from penstock.registry import StoreEntry
    from penstock.stores import Stores


@click.group()
def stores() -> None:
    """The databases of the apps: look, create, drop, adopt."""


for _command in (drop, undrop, purge, rotate, url, shell):
    stores.add_command(_command)


# --- look -----------------------------------------------------------------------------------------


@stores.command("list")
@click.argument("app", required=False, shell_complete=complete_apps)
@json_option
@pass_state
@example("penstock stores list", "penstock stores list my_first_app --json")
def list_(state: State, app: str | None, as_json: bool) -> None:
    """List the stores and where they are, without asking any server."""
    rows = list(_listed(state, app))
    columns = [
        output.store_column(),
        output.column("made"),
        output.column("state"),
        _where_column("service"),
        _where_column("database"),
        output.source_column(),
    ]
    beside = {"broken": [] if app else state.broken_rows()}
    output.listing("stores", rows, columns, as_json=as_json, beside=beside)
    if not as_json:
        output.summary("stores", [row["state"] or "not created" for row in rows])
        _show_unknown(rows)
        if app is None:
            state.say_broken()
    state.say_absent(lacking=all(row["state"] == "unlinked" for row in rows))


@stores.command()
@click.argument("app", required=False, shell_complete=complete_apps)
@click.option(
    "--check", is_flag=True, help="Exit 1 if a required store is not ready, or an app can't be imported."
)
@json_option
@pass_state
@example("penstock stores status", "penstock stores status my_first_app --check")
def status(state: State, app: str | None, check: bool, as_json: bool) -> None:
    """Ask the servers what the stores are like: there, complete, ours, how large.

    Those that no app here uses come last: broken ones, whose app can't be imported, orphans, dropped ones.
    """
    with progress.waiting("asking the servers"):
        found = _statuses(state, app)
    columns = [
        output.store_column(),
        output.column("health"),
        _seen_column("service"),
        _seen_column("database", fold=True),
        *([_seen_column("tables")] if any(each.tables == "app" for each in found) else []),
        *([_seen_column("roles")] if any(each.roles for each in found) else []),
        _seen_column("size", right=True),
        _seen_column("initialised"),
        output.source_column(),
    ]
    rows, beside = [_status_row(each) for each in found], {"broken": [] if app else state.broken_rows()}
    output.listing("stores", rows, columns, as_json=as_json, beside=beside)
    if not as_json:
        output.summary("stores", [each.health.value for each in found])
        _show_problems(found)
        for service, why in dict.fromkeys((each.service, each.no_roles) for each in found if each.no_roles):
            output.note(f"stores on {service} have no roles of their own. {why}")
    broken = _without_stores(state, app, found)
    if not as_json:
        for cause in broken:
            output.error(cause)
    if check and (broken or not all(_is_well(each) for each in found)):
        click.get_current_context().exit(FAILED)


def _without_stores(state: State, package: str | None, found: Sequence[StoreStatus]) -> list[PenstockError]:
    """Why apps can't be imported that have no remembered store: no other row names them."""
    shown = {each.app for each in found}
    causes = state.stores.unused.broken_apps.items()
    return [cause for app, cause in causes if package in (None, app) and app not in shown]


def _listed(state: State, package: str | None) -> Iterator[dict[str, Any]]:
    apps = [state.app(package)] if package and _is_app(state, package) else _known(state, package)
    shown: set[tuple[str, str]] = set()
    for app in apps:
        for name in state.stores.names(app):
            shown.add((app.package, name))
            yield _listed_row(state.stores, app, name)
    known = {app.package for app in state.stores.apps}
    for entry in state.stores.registry.stores(package):
        if entry.state.value == "dropped":
            yield _entry_row(entry)
        elif entry.app not in known:
            yield _entry_row(entry) | {"state": "broken"}
        elif entry.state.value == "left" or (entry.app, entry.name) not in shown:
            yield _entry_row(entry) | {"state": "orphan"}


def _known(state: State, package: str | None) -> list[AppDeclaration]:
    list(state.apps)
    return [] if package else state.stores.apps


def _is_app(state: State, package: str) -> bool:
    """Whether there is such an app; False for one that is gone but has left stores; else raises."""
    try:
        state.app(package)
    except UnknownApp:
        if not state.stores.registry.stores(package):
            raise
        return False
    return True


def _listed_row(stores: Stores, app: AppDeclaration, name: str) -> dict[str, Any]:
    entry = stores.registry.find_store(app.package, name)
    row = _row(app.package, name, entry)
    try:
        address = stores.address(app, name)
    except PenstockError as error:
        if isinstance(error, NotLinked):
            return row | {"state": "unlinked"}
        return row | {"state": row["state"] or "unknown", "problem": output.problem_row(error)}
    return row | {
        "service": address.service,
        "database": address.database,
        "source": str(address.source),
    }


def _entry_row(entry: StoreEntry) -> dict[str, Any]:
    return _row(entry.app, entry.name, entry) | {"service": entry.service, "database": entry.database}


def _row(app: str, store: str, entry: StoreEntry | None) -> dict[str, Any]:
    """A store, and what is remembered of it."""
    return {
        "app": app,
        "store": store,
        "made": "at run time" if entry is not None and entry.dynamic else "declared",
        "state": "" if entry is None else entry.state.value,
        **dict.fromkeys(("service", "database", "source"), ""),
        "problem": None,
    }


def _where_column(key: str) -> output.Column:
    """A column of what an address says; unknown where that can't be found out."""
    return output.Column(
        title=key, value=lambda row: output.UNKNOWN if row["problem"] else row[key], fold=key == "database"
    )


def _show_unknown(rows: Sequence[output.Row]) -> None:
    """Why it can't be said where some stores are."""
    for row in rows:
        if problem := row["problem"]:
            what = f"it can't be said where {row['app']}:{row['store']} is"
            output.problem(what, f"{problem['what']} {problem['why']}".strip(), problem["hint"])


def _statuses(state: State, package: str | None) -> list[StoreStatus]:
    if package is None:
        list(state.apps)
        return state.stores.status()
    if _is_app(state, package):
        return state.stores.status(package)
    return state.stores.unused.statuses(package)


def _status_row(status: StoreStatus) -> dict[str, Any]:
    return {
        "app": status.app,
        "store": status.store,
        "health": status.health.value,
        "required": status.required,
        "service": status.service,
        "database": status.database,
        "exists": status.exists,
        "size": status.size,
        "initialised": status.initialised,
        "initializer": status.initializer,
        "tables": status.tables,
        "roles": status.roles,
        "no_roles": output.clean(status.no_roles),
        "source": status.source,
        "problem": output.clean(status.problem),
        "hint": status.hint,
    }


def _seen_column(key: str, **options: bool) -> output.Column:
    """A column of what a look at a store says; unknown where nobody could look."""

    def value(row: output.Row) -> Any:
        asked = row["exists"] is not None or row["health"] == "unlinked"
        if row[key] in (None, "") and (not asked or (row["health"] == "dropped" and row["exists"])):
            return output.UNKNOWN
        return output.size(row[key]) if key == "size" else row[key]

    return output.Column(title=key, value=value, **options)


def _show_problems(found: list[StoreStatus]) -> None:
    for each in found:
        if each.problem or (each.hint and not _is_well(each)):
            what = "an orphan" if each.health.name == "ORPHAN" else each.health.value
            output.problem(f"{each.app}:{each.store} is {what}", each.problem, each.hint)


def _is_well(status: StoreStatus) -> bool:
    return not status.required or status.health.value == "ready"


# --- change ---------------------------------------------------------------------------------------


@stores.command()
@click.argument("named", metavar="APP:STORE...", nargs=-1, type=target, shell_complete=complete_stores)
@click.option("--from", "file", type=click.File(), metavar="FILE", help="Those in FILE too, one a line.")
@click.option("--connection", metavar="SETTING", help="The connection setting to make it through.")
@click.option("--spatial", is_flag=True, help="With spatial types and functions.")
@click.option("--initializer", default="", metavar="PATH", help="Its initializer, as module.function.")
@click.option("-r", "--refresh", is_flag=True, help="Drop it first, if it is there; asks.")
@click.option("-f", "--firsttime", is_flag=True, help="Tell the initializer that it is the first time.")
@from_env_option
@jobs_option
@yes_option
@pass_state
@example(
    "penstock stores create stream_gages:basins.logan",
    "penstock stores create lab:trial --connection servers",
    "penstock stores create --from tenants.txt --jobs 4",
)
def create(state: State, /, named: tuple[Target, ...], file: TextIO | None, **options: Any) -> None:
    """Make stores at run time: KIND.NAME, or a plain name through a connection setting.

    Idempotent: what is there already is brought up to date. Of several stores, one that fails does not
    stop the others; exits 1 if one failed.
    """
    chosen = [*named, *_from_file(file)]
    if not chosen:
        raise click.UsageError("Name a store, as APP:STORE.", click.get_current_context())
    stores = state.stores
    for store in chosen:
        app = state.app(store.app)
        if "." not in store.name and app.find(store.name) is None and not options["connection"]:
            _need_connection(state, store)
    if options["refresh"]:
        losses = [loss_of(stores, state.app(store.app), store) for store in chosen]
        confirm_drops(stores, losses, yes=options["yes"], from_env=options["from_env"])
    if len(chosen) == 1:
        _create_one(state, chosen[0], options)
    else:
        _create_many(state, chosen, options)


def _create_one(state: State, store: Target, options: dict[str, Any]) -> None:
    stores, app = state.stores, state.app(store.app)
    with progress.Steps() as screen:
        result = stores.create(app, store.name, *_asked(options), on_event=screen.hear)
    output.done(f"{store} is ready: {_where(result)}")


def _create_many(state: State, chosen: list[Target], options: dict[str, Any]) -> None:
    stores = state.stores
    work = [partial(_created, stores, state.app(store.app), store.name, options) for store in chosen]
    with Fleet(len(work), options["jobs"]) as fleet:
        results = fleet.run(work)
    failed = [result for result in results if not result.ok]
    output.done(f"{len(results) - len(failed)} of {len(results)} stores are ready")
    for result in failed if len(results) >= output.MANY else []:
        if result.error is not None:
            output.error(result.error)
    if failed:
        click.get_current_context().exit(FAILED)


def _created(stores: Stores, app: AppDeclaration, name: str, options: dict[str, Any]) -> SyncResult:
    [result] = stores.create_many(app, [name], *_asked(options))
    return result


def _asked(options: dict[str, Any]) -> tuple[NewStore, SyncOptions]:
    from penstock.provision.dynamic import NewStore
    from penstock.provision.provisioner import SyncOptions

    return (
        NewStore(
            connection=options["connection"], initializer=options["initializer"], spatial=options["spatial"]
        ),
        SyncOptions(refresh=options["refresh"], force_first_time=options["firsttime"]),
    )


def _from_file(file: TextIO | None) -> list[Target]:
    lines = [] if file is None else [line.strip() for line in file]
    return [target(line) for line in lines if line and not line.startswith("#")]


@stores.command()
@store_argument
@click.option("--database", metavar="NAME", help="The database's name on the server; else the store's own.")
@click.option("--connection", metavar="SETTING", help="The connection setting, for a store made at run time.")
@yes_option
@pass_state
@example(
    "penstock stores adopt my_first_app:example_db --database old-example",
    "penstock stores adopt lab:trial --database lab_trial --connection servers",
)
def adopt(state: State, store: Target, database: str | None, connection: str | None, yes: bool) -> None:
    """Make an existing database this store's, with the data in it.

    It counts as initialised: its initializer is told first_time=False. A store that the app does not declare
    becomes one as it makes at run time, through a connection setting.
    """
    from penstock.declare import StoreName

    app, stores = state.app(store.app), state.stores
    address = stores.run_time.to_adopt(app, StoreName(store.name), database, connection or "")
    with progress.waiting(progress.LOOKING):
        whose = stores.run_time.whose(address)
    if whose:  # Else adopting says what is missing.
        line = f"Marks database {address.database} on {address.service} as {store} ({address.source})."
        lines = [output.shorten(line), output.shorten(f"Now it is {whose}.")]
        output.confirm(lines, "Is this database meant for this store?", yes=yes)
    with progress.waiting(progress.LOOKING):
        adopted = stores.adopt(app, store.name, database, connection or "")
    output.done(f"{store} is database {adopted.database} on {adopted.service}")


# --- helpers --------------------------------------------------------------------------------------


def _need_connection(state: State, store: Target) -> None:
    if state.stores.registry.find_store(store.app, store.name) is None:
        raise click.UsageError(
            f"{store} is new: name the connection setting to make it through, with --connection.",
            click.get_current_context(),
        )


def _where(result: SyncResult) -> str:
    address = result.address
    where = "" if address is None else f"database {address.database} on {address.service}  ({address.source})"
    return output.shorten(where)
