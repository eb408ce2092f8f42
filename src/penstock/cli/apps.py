"""Lists the apps that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output
from penstock.cli.root import example, json_option
from penstock.cli.state import State, pass_state

if TYPE_CHECKING:
    from penstock.apps import FoundApp


@click.group()
def apps() -> None:
    """The apps that were found."""


@apps.command("list")
@json_option
@pass_state
@example("penstock apps list")
def list_(state: State, as_json: bool) -> None:
    """List the apps, where each was found, and what is wrong with those that can't be used."""
    rows = [_row(state, app) for app in state.apps]
    columns = [
        output.column("app"),
        output.column("name"),
        output.Column(title="state", value=lambda row: "broken" if row["error"] else "ok"),
        output.column("settings", fold=True),
        output.column("class"),
        output.column("found", "where", fold=True),
    ]
    output.listing("apps", rows, columns, as_json=as_json, empty="No app was found.")
    for app in state.apps.broken:
        if app.error is not None and not as_json:
            output.error(app.error)


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
        declared = state.desk.declaration(app.package)
        row |= {"name": declared.name, "settings": [setting.name for setting in declared.settings]}
    return row
