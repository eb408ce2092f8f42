"""Lists the apps that were found, and all that one of them declares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output
from penstock.cli.names import complete_apps
from penstock.cli.root import example, json_option
from penstock.cli.settings import kind_of
from penstock.cli.state import State, pass_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.apps import FoundApp
    from penstock.declare import OtherDeclaration


@click.group()
def apps() -> None:
    """The apps that were found, and what they declare."""


@apps.command("list")
@json_option
@pass_state
@example("penstock apps list")
def list_(state: State, as_json: bool) -> None:
    """List the apps, where each was found, and what is wrong with those that can't be used."""
    rows = [_row(state, app) for app in state.apps]
    columns = [
        output.column("app"),
        output.Column(title="name", value=lambda row: output.UNKNOWN if row["error"] else row["name"]),
        output.Column(title="state", value=lambda row: "broken" if row["error"] else "ok"),
        output.Column(
            title="settings",
            value=lambda row: output.UNKNOWN if row["error"] else row["settings"],
            fold=True,
        ),
        output.column("class"),
        output.column("found", "where", fold=True),
    ]
    output.listing("apps", rows, columns, as_json=as_json, empty="No app was found.")
    state.say_absent(lacking=not rows)
    if not as_json:
        state.say_broken()


@apps.command()
@click.argument("app", shell_complete=complete_apps)
@json_option
@pass_state
@example("penstock apps show my_first_app")
def show(state: State, app: str, as_json: bool) -> None:
    """List all that APP declares: its stores and connections, and what is not about stores.

    Of settings with values it is shown where the value comes from, never the value.
    """
    found = state.apps.class_of(app)
    rows = [*_settings(state, app), *(_other(each) for each in found.other_declarations())]
    columns = [
        output.column("kind"),
        output.column("name"),
        output.column("required"),
        output.column("source", fold=True),
        output.column("description", fold=True),
    ]
    output.listing("declarations", rows, columns, as_json=as_json, empty=f"App {app} declares nothing.")


def _other(found: OtherDeclaration) -> dict[str, Any]:
    row = asdict(found)
    del row["value_kind"]  # The kind says it.
    return row


def _settings(state: State, package: str) -> Iterator[dict[str, Any]]:
    stores = state.stores
    for setting in stores.declaration(package).settings:
        linked = stores.book.find_link(package, setting.name)
        yield {
            "kind": kind_of(setting),
            "name": setting.name,
            "description": setting.description,
            "required": setting.required,
            "source": "" if linked is None else f"{linked.service} ({linked.source})",
        }


def _row(state: State, app: FoundApp) -> dict[str, Any]:
    row: dict[str, Any] = {
        "app": app.package,
        "name": "",
        "class": app.target,
        "where": app.where,
        "settings": [],
        "error": output.problem_row(app.error),
    }
    if app.error is None:
        declared = state.stores.declaration(app.package)
        row |= {"name": declared.name, "settings": [setting.name for setting in declared.settings]}
    return row
