"""Makes the stores of apps, or brings them up to date; shows each step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output, progress
from penstock.cli.fleet import Fleet, jobs_option
from penstock.cli.names import complete_apps
from penstock.cli.root import FAILED, example, from_env_option, json_option, need_from_env, yes_option
from penstock.cli.state import State, pass_state
from penstock.declare import AppDeclaration
from penstock.errors import NotLinked, PenstockError, UnknownStore
from penstock.provision.plan import Plan
from penstock.provision.steps import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.apps import FoundApp
    from penstock.provision.provisioner import SyncOptions
    from penstock.provision.results import OnEvent, SyncResult
    from penstock.stores import Stores


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncArguments:
    """What the options ask for."""

    refresh: bool
    firsttime: bool
    names: tuple[str, ...]
    yes: bool
    from_env: bool
    plan: bool
    as_json: bool
    jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One store that is to be synced, and where it is; or why it can't be."""

    app: AppDeclaration
    name: str
    service: str = ""
    database: str = ""
    source: str = ""
    external: bool = False
    plan: Plan | None = None
    problem: PenstockError | None = None

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.app.package}:{self.name}"

    @property
    def where(self) -> str:
        """Its database and service, and who says so."""
        return f"database {self.database} on {self.service}  ({self.source})" if self.service else ""

    @property
    def drops(self) -> bool:
        """Whether its plan begins by dropping the database."""
        return self.plan is not None and any(step.phase is Phase.DROP for step in self.plan.steps)

    def row(self, result: str, steps: Sequence[Any], error: PenstockError | None) -> dict[str, Any]:
        """The store and how it went, for JSON and for the table."""
        return {
            "app": self.app.package,
            "store": self.name,
            "result": result,
            "service": self.service,
            "database": self.database,
            "source": self.source,
            "steps": steps,
            "error": output.problem_row(error),
        }


@click.command()
@click.argument("apps", nargs=-1, required=True, metavar="APP... | all", shell_complete=complete_apps)
@click.option("-r", "--refresh", is_flag=True, help="Drop what is ours first, and begin anew; asks.")
@click.option("-f", "--firsttime", is_flag=True, help="Tell initializers that it is the first time.")
@click.option("-d", "--database", "names", metavar="NAME", multiple=True, help="Only this one; repeatable.")
@from_env_option
@yes_option
@click.option("--plan", is_flag=True, help="Show what would be done, and do nothing.")
@jobs_option
@json_option
@pass_state
@example(
    "penstock syncstores my_first_app", "penstock syncstores all --plan", "penstock syncstores all --jobs 4"
)
def syncstores(state: State, /, apps: tuple[str, ...], **options: Any) -> None:
    """Make the stores of APP, or bring them up to date: database, tables, initializer.

    What is done depends on what is found; a store that fails does not stop the others. Exits 0 only
    if all is well, 1 if a store failed.
    """
    arguments = SyncArguments(**options)
    stores, chosen = state.stores, state.chosen(apps)
    jobs = _jobs(stores, chosen, arguments)
    broken = [_broken(app) for app in state.apps.broken] if "all" in apps else []
    if arguments.plan:
        with progress.waiting(progress.LOOKING):
            rows = [*(_planned(stores, job, arguments) for job in jobs), *broken]
        _show_plan(rows, as_json=arguments.as_json)
    else:
        if arguments.refresh:
            jobs = _confirmed(stores, jobs, arguments)
        rows = _run(stores, jobs, arguments)
        if not arguments.names:
            rows += _unlinked(stores, chosen)
        rows += broken
        _show_results(rows, as_json=arguments.as_json)
        _show_causes([] if arguments.as_json or not broken else state.apps.broken)
    if any(row["result"] in ("failed", "refused") for row in rows):
        click.get_current_context().exit(FAILED)


# --- which ----------------------------------------------------------------------------------------


def _jobs(stores: Stores, apps: Sequence[AppDeclaration], arguments: SyncArguments) -> list[Job]:
    """The stores to work on; raises UnknownStore if a name stands for none in any of the apps."""
    unknown = dict.fromkeys(arguments.names, 0)
    jobs: list[Job] = []
    for app in apps:
        for name in arguments.names or ("",):
            try:
                chosen = stores.names(app, [name] if name else [])
            except UnknownStore:
                unknown[name] += 1
                if unknown[name] == len(apps):
                    raise
                continue
            jobs += [_job(stores, app, store) for store in chosen]
    return jobs


def _job(stores: Stores, app: AppDeclaration, name: str) -> Job:
    try:
        address = stores.address(app, name)
    except PenstockError as error:
        return Job(app=app, name=name, problem=error)
    return Job(
        app=app,
        name=name,
        service=address.service,
        database=address.database,
        source=str(address.source),
        external=address.external,
    )


# --- refresh --------------------------------------------------------------------------------------


def _confirmed(stores: Stores, jobs: Sequence[Job], arguments: SyncArguments) -> list[Job]:
    """The jobs with their plans, once it is agreed which databases are dropped."""
    with progress.waiting(progress.LOOKING):
        planned = [_with_plan(stores, job, _options(arguments)) for job in jobs]
    named = {job.title: job.service for job in planned if job.drops and job.external}
    need_from_env(named, from_env=arguments.from_env)
    losses = [f"Drops {job.title}: {output.shorten(job.where)}" for job in planned if job.drops]
    if losses:
        count = "this database" if len(losses) == 1 else f"these {len(losses)} databases"
        output.confirm(losses, f"Drop {count} with all that is in it?", yes=arguments.yes)
    return planned


def _with_plan(stores: Stores, job: Job, options: SyncOptions) -> Job:
    if job.problem is not None:
        return job
    try:
        return replace(job, plan=stores.plan(job.app, job.name, options))
    except PenstockError as error:
        return replace(job, problem=error)


def _options(arguments: SyncArguments) -> SyncOptions:
    from penstock.provision.provisioner import SyncOptions

    return SyncOptions(refresh=arguments.refresh, force_first_time=arguments.firsttime)


# --- plan -----------------------------------------------------------------------------------------


def _planned(stores: Stores, job: Job, arguments: SyncArguments) -> dict[str, Any]:
    job = _with_plan(stores, job, _options(arguments))
    refused = job.problem if job.plan is None else job.plan.refused
    steps = [] if job.plan is None else [str(step) for step in job.plan.steps]
    result = "refused" if refused is not None else "planned"
    if refused is not None and _is_optional(job, refused):
        result = "skipped"
    return job.row(result, steps, refused)


def _show_plan(rows: Sequence[output.Row], *, as_json: bool) -> None:
    if as_json:
        output.document({"stores": rows})
        return
    for row in rows:
        where = f"database {row['database']} on {row['service']}  ({row['source']})" if row["service"] else ""
        output.title(f"{row['app']}:{row['store']}", where)
        for step in row["steps"]:
            output.say(f"  would {step}")
        if row["error"]:
            output.say(f"  {row['result']}: {row['error']['what']} {row['error']['why']}")
        elif not row["steps"]:
            output.say("  nothing to do")
    _sum_up(rows)


# --- do -------------------------------------------------------------------------------------------


def _run(stores: Stores, jobs: Sequence[Job], arguments: SyncArguments) -> list[dict[str, Any]]:
    if arguments.jobs > 1:
        return _run_many(stores, jobs, arguments)
    screen = progress.Steps(err=arguments.as_json)
    return [_sync(stores, job, arguments, screen) for job in jobs]


def _sync(stores: Stores, job: Job, arguments: SyncArguments, screen: progress.Steps) -> dict[str, Any]:
    """Sync one store, and show each step of it."""
    screen.store(job.title, job.where)
    with screen:
        result = _result(stores, job, arguments, screen.hear)
    if result.error is not None:
        screen.failed(result.error, skipped=result.skipped)
    elif not result.steps:
        screen.nothing()
    return _row(job, result)


def _run_many(stores: Stores, jobs: Sequence[Job], arguments: SyncArguments) -> list[dict[str, Any]]:
    with Fleet(len(jobs), arguments.jobs, err=arguments.as_json) as fleet:
        results = fleet.run([partial(_result, stores, job, arguments) for job in jobs])
    return [_row(job, result) for job, result in zip(jobs, results, strict=True)]


def _result(
    stores: Stores, job: Job, arguments: SyncArguments, on_event: OnEvent | None = None
) -> SyncResult:
    """Sync one store; one that has nothing of ours to drop is not refreshed, only synced."""
    options = replace(_options(arguments), refresh=job.drops)
    [result] = stores.sync(job.app, [job.name], options, on_event=on_event)
    return result


def _row(job: Job, result: SyncResult) -> dict[str, Any]:
    word = "skipped" if result.skipped else "ok" if result.ok else "failed"
    steps = [{"step": str(done.step), "seconds": round(done.seconds, 6)} for done in result.steps]
    return job.row(word, steps, result.error)


def _show_results(rows: Sequence[output.Row], *, as_json: bool) -> None:
    if as_json:
        ok = all(row["result"] not in ("failed", "refused") for row in rows)
        output.document({"ok": ok, "stores": rows})
        return
    output.say("")
    columns = [
        output.store_column(),
        output.column("result"),
        output.column("service"),
        output.column("database", fold=True),
        output.source_column(),
    ]
    output.listing("stores", rows, columns, as_json=False, empty="There is no store to sync.")
    _sum_up(rows)


def _sum_up(rows: Sequence[output.Row]) -> None:
    """Of many stores, how many ended how, and once more which failed."""
    output.summary("stores", [row["result"] for row in rows])
    if len(rows) >= output.MANY:
        for row in rows:
            if row["result"] in ("failed", "refused") and row["error"]:
                what = f"{row['app']}:{row['store']}".rstrip(":") + f" {row['result']}"
                why = f"{row['error']['what']} {row['error']['why']}".strip()
                output.problem(what, why, row["error"]["hint"])


# --- what can't be synced -------------------------------------------------------------------------


def _unlinked(stores: Stores, apps: Sequence[AppDeclaration]) -> list[dict[str, Any]]:
    """Connections and kinds with nothing linked: sync has nothing to do for them but to say so."""
    rows = []
    for app in apps:
        databases = {setting.name for setting in app.databases if not setting.many}
        for setting in app.settings:
            if setting.name not in databases and stores.book.find_link(app.package, setting.name) is None:
                problem = stores.book.not_linked(app, setting.name)
                result = "failed" if setting.required else "skipped"
                rows.append(Job(app=app, name=setting.name).row(result, [], problem))
    return rows


def _show_causes(apps: Sequence[FoundApp]) -> None:
    for app in apps:
        if app.error is not None:
            output.error(app.error)


def _broken(app: FoundApp) -> dict[str, Any]:
    job = Job(app=AppDeclaration(app.package, app.package, ()), name="", source=app.where)
    return job.row("failed", [], app.error)


def _is_optional(job: Job, error: PenstockError) -> bool:
    setting = job.app.find(job.name.partition(".")[0])
    return isinstance(error, NotLinked) and setting is not None and not setting.required
