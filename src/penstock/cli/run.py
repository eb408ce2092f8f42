"""Runs a program with the stores' addresses in its environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from penstock.cli import output
from penstock.cli.names import complete_apps
from penstock.cli.processes import replace_process
from penstock.cli.root import example
from penstock.cli.state import State, pass_state
from penstock.errors import NameCollision, NotLinked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.declare import AppDeclaration
    from penstock.stores import Stores

_NOT_FOUND, _NOT_RUNNABLE = 127, 126


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--app-name",
    "packages",
    metavar="APP",
    multiple=True,
    shell_complete=complete_apps,
    help="Only this app's stores; repeatable. All by default.",
)
@click.argument("command", nargs=-1, required=True, metavar="[--] CMD [ARG]...", type=click.UNPROCESSED)
@pass_state
@example(
    "penstock run -- python report.py", "penstock run --app-name my_first_app -- sh -c 'psql $DATABASE_URL'"
)
def run(state: State, packages: tuple[str, ...], command: tuple[str, ...]) -> None:
    """Run CMD with the stores' addresses, passwords included, in its environment.

    A store's variable is PENSTOCK_STORE__APP__STORE; where there is exactly one store, DATABASE_URL
    is its address as well. The exit code is that of CMD; CMD is not run if an app can't be imported.
    """
    apps = state.chosen(packages)
    broken = [] if packages else state.apps.broken
    if broken and broken[0].error is not None:
        raise broken[0].error  # A program without its addresses may find others by itself.
    found = _addresses(state, apps)
    environment = {**os.environ, **found}
    if len(found) == 1:
        environment["DATABASE_URL"] = next(iter(found.values()))
    state.close()
    _become(command, environment)


def _addresses(state: State, apps: Iterable[AppDeclaration]) -> dict[str, str]:
    """The addresses by variable; raises NotLinked if there is none, and no file that could say one."""
    from penstock.registry import store_variable

    stores = state.stores
    found: dict[str, str] = {}
    unknown: list[NotLinked] = []
    for app in apps:
        for name in stores.names(app):
            variable = store_variable(app.package, name)
            try:
                address = _url(stores, app, name)
            except NotLinked as error:
                unknown.append(error)
                continue
            if found.setdefault(variable, address) != address:
                raise NameCollision(f"Two stores would share the variable {variable}.", hint="--app-name APP")
    if unknown and not found and state.absent:
        raise unknown[0]
    for lack in unknown:
        output.note(lack.what)
    return found


def _url(stores: Stores, app: AppDeclaration, name: str) -> str:
    """With the password, and without the name of a Python driver, which other programs don't know."""
    from penstock.backends import portable

    url = stores.url(app, name)
    return portable(url.set(drivername=url.get_backend_name()))


def _become(command: tuple[str, ...], environment: dict[str, str]) -> None:
    """Let the program take this process's place; returns only if that fails."""
    try:
        replace_process(command, environment)
    except FileNotFoundError:
        output.say(f"penstock run: there is no program {command[0]!r}.", err=True)
        code = _NOT_FOUND
    except OSError as error:
        output.say(f"penstock run: {command[0]!r} can't be run: {error.strerror}.", err=True)
        code = _NOT_RUNNABLE
    click.get_current_context().exit(code)
