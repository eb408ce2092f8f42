"""Names on the command line: `APP:SETTING`, and what the shell proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from penstock.cli.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Target:
    """An app's setting, or an app's store."""

    app: str
    name: str

    def __str__(self) -> str:
        return f"{self.app}:{self.name}"


def target(text: str) -> Target:
    """Read `APP:SETTING` or `APP:STORE`; a usage error if it is neither."""
    app, colon, name = text.partition(":")
    if not (app and colon and name):
        raise click.BadParameter("Write it as APP:NAME, for example my_first_app:example_db.")
    return Target(app, name)


def complete_services(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The services that begin so."""
    return _complete(ctx, incomplete, lambda state: (s.name for s in state.stores.registry.services()))


def complete_apps(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The apps that begin so."""
    return _complete(ctx, incomplete, lambda state: state.named_apps())


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The settings that something is linked to, as `APP:SETTING`, that begin so."""
    return _complete(ctx, incomplete, _settings)


def complete_stores(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The stores, as `APP:STORE`, that begin so: those that were made, and the settings of others."""
    return _complete(ctx, incomplete, lambda state: [*_stores(state), *_settings(state)])


store_argument = click.argument("store", metavar="APP:STORE", type=target, shell_complete=complete_stores)
"""What a command is told that works on one store."""


def _settings(state: State) -> list[str]:
    return [f"{link.app}:{link.setting}" for link in state.stores.registry.links()]


def _stores(state: State) -> list[str]:
    return [f"{entry.app}:{entry.name}" for entry in state.stores.registry.stores()]


def _complete(ctx: click.Context, incomplete: str, names: Callable[[State], Iterable[str]]) -> list[str]:
    """Never an error, for which a shell that completes has no room; never code of an app.

    Who presses TAB has not asked for anything to be run.
    """
    given = ctx.find_root().params
    state = State(config=given.get("config"), given=given.get("given") or ())
    try:
        return [name for name in dict.fromkeys(names(state)) if name.startswith(incomplete)]
    except Exception:
        return []
    finally:
        state.close()
