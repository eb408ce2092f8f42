"""Installs an app with all that it needs, and takes it away again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output
from penstock.cli.link import say_link
from penstock.cli.names import complete_apps
from penstock.cli.root import FAILED, example, yes_option
from penstock.cli.state import State, pass_state
from penstock.errors import DefinedElsewhere, UnknownApp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from penstock.apps import FoundApp
    from penstock.declare import AppDeclaration
    from penstock.install import InstallPlan, Provider, Remark
    from penstock.stores import Stores


_CLEAN_UP = (
    "If the app is uninstalled on every host, and nobody needs its stores, drop them: "
    "see docs/how-to/clean-up-orphans.md"
)


@click.command()
@click.argument(
    "directory",
    metavar="[DIR]",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--no-deps", is_flag=True, help="The app alone: nothing that it requires.")
@click.option("--no-sync", is_flag=True, help="Leave its stores as they are.")
@click.option("--editable", is_flag=True, help="Use the app where it is, so that changes of it count.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and do nothing.")
@yes_option
@pass_state
@example("penstock install --plan", "penstock install ../my_first_app --editable", "penstock install --yes")
def install(state: State, /, directory: Path, only_plan: bool, yes: bool, **options: Any) -> None:
    """Install the app in DIR (here, by default): what it requires, itself, its links, its stores.

    DIR/install.yml says what it requires, and which scripts are run in the end; DIR/services.yml, where
    there is one, which services are linked to its settings. Exits 0 only if all is well.
    """
    from penstock.install import InstallArguments, need_pip, plan_install

    stores = state.writable
    arguments = InstallArguments(
        deps=not options["no_deps"], sync=not options["no_sync"], editable=options["editable"]
    )
    plan = plan_install(directory, arguments)
    if only_plan:
        _show(plan.remarks)
        output.title(plan.app, f"({plan.source})")
        for line in _steps(stores, plan):
            output.say(line)
        return
    if plan.pip:
        need_pip()
    _show(plan.remarks)
    output.confirm([f"{plan.app}  ({plan.source})", *_steps(stores, plan)], f"Install {plan.app}?", yes=yes)
    if not _carry_out(state, plan):
        output.note(f"mend that, then once more: penstock install {directory}")
        click.get_current_context().exit(FAILED)
    output.done(f"{plan.app} is installed")


@click.command()
@click.argument("app", shell_complete=complete_apps)
@yes_option
@pass_state
@example("penstock uninstall my_first_app")
def uninstall(state: State, app: str, yes: bool) -> None:
    """Uninstall APP by pip. Its databases stay; each is listed."""
    from penstock.install import carry_out, find_here, find_provider, need_pip

    stores = state.writable
    found = _find(state, app)
    provider = None if found is None else find_provider(found, state.apps)
    here = find_here(app, _folders(stores))
    packages = (app,) if provider is None else provider.apps
    stays = [line for each in packages for line in _stays(stores, each)]
    if any(entry.state.value != "dropped" for each in packages for entry in stores.registry.stores(each)):
        stays.append(_CLEAN_UP)
    if found is None or provider is None:
        for line in stays:
            output.say(line, err=True)
        if found is None:
            output.say(f"There is no app {app}, so there is nothing to uninstall.", err=True)
            return
        raise _not_installed(found, here)
    need_pip()
    output.confirm([*_goes(stores, app, provider), *stays], f"Uninstall {provider.name}?", yes=yes)
    output.title(str(provider.removal))
    carry_out(provider.removal, app, stores.registry)
    output.done(f"{provider.name} is uninstalled")
    if here is not None:
        output.note(f"{app} is found here all the same, and can be used: {output.shorten(str(here))}")


# --- what would be done ---------------------------------------------------------------------------


def _steps(stores: Stores, plan: InstallPlan) -> Iterator[str]:
    for command in plan.pip:
        yield output.shorten(f"  would run {command}")
    for link in plan.links:
        target = f"{plan.app}:{link.setting}"
        before = stores.book.find_link(plan.app, link.setting)
        if before is None:
            yield f"  would link {link.service} to {target}  ({link.where})"
        else:
            source = output.shorten(str(before.source))
            yield f"  would leave {before.service} linked to {target}  ({source})"
    if plan.sync:
        yield f"  would sync the stores of {plan.app}"
    for command in plan.scripts:
        yield output.shorten(f"  would run {command}")


def _show(remarks: Iterable[Remark]) -> None:
    for remark in remarks:
        output.problem(remark.what, remark.why, remark.to_do)


# --- doing it -------------------------------------------------------------------------------------


def _carry_out(state: State, plan: InstallPlan) -> bool:
    """Do it all, in order; whether all is well. What nothing else can follow raises."""
    from penstock.install import carry_out, look_in

    stores = state.writable
    _run_pip(stores, plan)
    if not plan.is_project:
        look_in(plan.folder, plan.app)
    app = _installed(state, plan)
    if app is None:
        return False
    linked = _link(stores, app, plan)
    if plan.sync and not _sync(plan.app):
        for command in plan.scripts:
            output.note(f"not run, because of the above: {output.shorten(str(command))}")
        return False
    for command in plan.scripts:
        output.title(output.shorten(str(command)))
        carry_out(command, plan.app, stores.registry)
    return linked


def _run_pip(stores: Stores, plan: InstallPlan) -> None:
    from penstock.install import carry_out, fresh_imports, need_same, own_versions

    before = own_versions()
    for command in plan.pip:
        output.title(output.shorten(str(command)))
        with fresh_imports():
            carry_out(command, plan.app, stores.registry)
    need_same(before)


def _installed(state: State, plan: InstallPlan) -> AppDeclaration | None:
    """The app, now that it is there; None, and words, if it is not."""
    try:
        return state.app(plan.app)
    except UnknownApp as error:
        output.error(error)
        output.note(f"this is its name at {plan.source}")
        return None


def _link(stores: Stores, app: AppDeclaration, plan: InstallPlan) -> bool:
    from penstock.install import link_all

    results = list(link_all(stores, app, plan.links))
    for each in results:
        say_link(stores, app, each)
    return all(each.error is None for each in results)


def _sync(app: str) -> bool:
    """As `penstock syncstores` does it; whether all is well."""
    from penstock.cli.syncstores import syncstores

    try:
        click.get_current_context().invoke(syncstores, apps=(app,))
    except click.exceptions.Exit as end:
        return end.exit_code == 0
    return True


# --- what goes, what stays ------------------------------------------------------------------------


def _find(state: State, package: str) -> FoundApp | None:
    """The app, whole or broken; None for one that is gone but has left stores; else raises."""
    try:
        state.app(package)
    except UnknownApp:
        is_broken = any(app.package == package for app in state.apps)
        if not (is_broken or state.stores.registry.stores(package)):
            raise
    return next((app for app in state.apps if app.package == package), None)


def _folders(stores: Stores) -> list[Path]:
    """Where apps are found that are not installed."""
    return [] if stores.config is None else [stores.config.path.parent]


def _goes(stores: Stores, app: str, provider: Provider) -> Iterator[str]:
    yield f"Removes {provider.name} {provider.version}, with {', '.join(provider.apps)}: {provider.removal}"
    config = stores.config
    if config is not None and app in config.apps:
        yield f"Leaves the line that names {app}: {config.label}:{config.lines.get(('apps', app), 1)}"


def _stays(stores: Stores, package: str) -> Iterator[str]:
    """What is left of an app. Others may use it, so no command that drops it is told."""
    for entry in stores.registry.stores(package):
        word = {"dropped": "a dropped store", "left": "an orphan"}.get(entry.state.value, "a store")
        yield f"Leaves {word}: {package}:{entry.name}, database {entry.database} on {entry.service}"
        if entry.state.value == "dropped":
            yield "  to let it go, once its time is over: penstock stores purge"
    for link in stores.registry.links():
        if link.app == package:
            source = output.shorten(str(link.source))
            yield f"Leaves {link.service} linked to {package}:{link.setting}  ({source})"


def _not_installed(found: FoundApp, here: Path | None) -> DefinedElsewhere:
    hint = "Remove the line, and its package." if found.where.startswith("penstock.toml") else ""
    if here is not None and not hint:
        hint = f"Remove it, if nobody needs it: {output.shorten(str(here))}"
    return DefinedElsewhere(
        f"App {found.package} comes from no installed distribution, so there is nothing to uninstall.",
        why=f"It is found by {output.shorten(found.where)}.",
        hint=hint or "Look where it is found.",
    )
