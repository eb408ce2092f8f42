"""Lists what the apps say they need, and what answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from penstock.cli import output
from penstock.cli.names import complete_apps
from penstock.cli.root import example, json_option
from penstock.cli.state import State, pass_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.connect.explain import Asked
    from penstock.declare import AppDeclaration, Setting
    from penstock.stores import Stores


@click.group()
def settings() -> None:
    """What the apps say they need, and what answers it."""


@settings.command("list")
@click.argument("apps", nargs=-1, metavar="[APP]...", shell_complete=complete_apps)
@click.option(
    "--explain", is_flag=True, help="Show every place that was asked, in order, and which answered."
)
@json_option
@pass_state
@example("penstock settings list my_first_app", "penstock settings list --explain")
def list_(state: State, apps: tuple[str, ...], explain: bool, as_json: bool) -> None:
    """List the settings of apps: what each wants, whether it must have it, what is linked.

    With --explain also the stores made at run time, and for each where its address, its password and
    its database come from. No server is asked.
    """
    chosen = state.chosen(apps) if apps else _all(state)
    rows = [_row(state.stores, app, setting) for app in chosen for setting in app.settings]
    beside = {"broken": [] if apps else state.broken_rows()}
    if explain:
        stores = [row for app in chosen for row in _run_time_stores(state.stores, app)]
        _explain(rows, stores, beside, as_json=as_json)
        return
    columns = [
        output.Column(title="setting", value=lambda row: f"{row['app']}:{row['setting']}"),
        output.column("kind"),
        output.column("required"),
        output.column("service"),
        output.source_column(),
        output.column("description", fold=True),
    ]
    empty = "No app declares a setting."
    output.listing("settings", rows, columns, as_json=as_json, empty=empty, beside=beside)
    state.say_absent(lacking=not all(row["source"] for row in rows))
    if not (apps or as_json):
        state.say_broken()


def _all(state: State) -> list[AppDeclaration]:
    list(state.apps)
    return state.stores.apps


# --- rows -----------------------------------------------------------------------------------------


def _row(stores: Stores, app: AppDeclaration, setting: Setting) -> dict[str, Any]:
    found = _explained(stores, app, setting.name)
    return {
        "app": app.package,
        "setting": setting.name,
        "kind": kind_of(setting),
        "required": setting.required,
        "description": setting.description,
        **found,
    }


def _run_time_stores(stores: Stores, app: AppDeclaration) -> Iterator[dict[str, Any]]:
    for name in stores.names(app):
        if app.find(name) is None:
            yield {"app": app.package, "store": name, **_explained(stores, app, name)}


def _explained(stores: Stores, app: AppDeclaration, name: str) -> dict[str, Any]:
    from penstock.connect import explain

    found = explain(stores.registry, stores.book, app, name)
    answer = found.answer
    return {
        "service": "" if answer is None else answer.service,
        "source": "" if answer is None else answer.place,
        "candidates": [_asked(each) for each in found.places],
        "services": [_asked(each) for each in found.services],
        "address": found.address,
        "password": found.password,
        "database": found.database,
        "error": output.problem_row(found.problem),
    }


def _asked(asked: Asked) -> dict[str, Any]:
    return {"source": asked.place, "says": asked.says, "why": asked.why, "answers": asked.answers}


def kind_of(setting: Setting) -> str:
    """What a setting is, in one word."""
    from penstock.declare import DatabaseSetting

    if not isinstance(setting, DatabaseSetting):
        return "connection"
    return "kind" if setting.many else "database"


# --- every place that was asked -------------------------------------------------------------------


def _explain(
    rows: Sequence[output.Row], stores: Sequence[output.Row], beside: output.Row, *, as_json: bool
) -> None:
    if as_json:
        output.document({"settings": rows, "stores": stores, **beside})
        return
    for row in rows:
        output.title(f"{row['app']}:{row['setting']}", row["description"])
        _explain_row(row)
    for row in stores:
        output.title(f"{row['app']}:{row['store']}", "made at run time")
        _explain_row(row)


def _explain_row(row: output.Row) -> None:
    """A tree: the places, and below the one that names a service, the places asked for that."""
    for number, candidate in enumerate(row["candidates"], 1):
        _branch(number, candidate, indent="  ")
        if candidate["answers"]:
            for inner, service in enumerate(row["services"], 1):
                _branch(inner, service, indent="       ")
    for key in ("address", "password", "database"):
        if row[key]:
            output.fact(key, output.address(row[key]))
    if row["error"] is not None and row["service"]:
        output.fact("problem", row["error"]["what"])


def _branch(number: int, candidate: output.Row, indent: str) -> None:
    output.branch(
        f"{number}. {candidate['source']}",
        output.address(candidate["says"]) or candidate["why"],
        indent=indent,
        chosen=candidate["answers"],
    )
