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
    return _complete(ctx, incomplete, lambda state: (s.name for s in state.desk.registry.services()))


def complete_apps(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The apps that begin so."""
    return _complete(ctx, incomplete, lambda state: (app.package for app in state.apps))


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The settings, as `APP:SETTING`, that begin so."""
    return _complete(ctx, incomplete, _settings)


def complete_stores(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The stores, as `APP:STORE`, that begin so."""
    return _complete(ctx, incomplete, _stores)


def _settings(state: State) -> Iterable[str]:
    list(state.apps)
    return (f"{app.package}:{setting.name}" for app in state.desk.apps for setting in app.settings)


def _stores(state: State) -> Iterable[str]:
    list(state.apps)
    return (f"{app.package}:{name}" for app in state.desk.apps for name in state.desk.names(app))


def _complete(ctx: click.Context, incomplete: str, names: Callable[[State], Iterable[str]]) -> list[str]:
    """Never an error: a shell that completes has no room for one."""
    given = ctx.find_root().params
    state = State(config=given.get("config"), given=given.get("given") or ())
    try:
        return [name for name in names(state) if name.startswith(incomplete)]
    except Exception:
        return []
    finally:
        state.close()
