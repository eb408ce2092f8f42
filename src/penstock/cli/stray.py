"""Finds links and addresses that are given to what does not exist."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.registry.bindings import stray_variables
from penstock.registry.file import shown_key
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.cli.state import State
    from penstock.registry import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A link, or an address, that nothing takes.

    Args:
        where: The file and line, the setting in the registry, or the variable.
        message: What does not exist.
        hint: What to do about it.
        certain: Whether it is a mistake; else it may be meant for another host.
    """

    where: str
    message: str
    hint: str
    certain: bool = False


def stray_links(state: State) -> Iterator[Stray]:
    """The links whose app or setting does not exist, wherever they are made."""
    packages = [app.package for app in state.apps]
    for link in state.stores.registry.links():
        if link.app in state.stores.unused.broken_apps:
            message = f"It can't be told whether there is a setting {link.setting!r}: see app {link.app}."
            yield _stray(state, link, message)
        elif link.app not in packages:
            yield _stray(state, link, f"There is no app {link.app!r} here.", did_you_mean(link.app, packages))
        elif state.stores.declaration(link.app).find(link.setting) is None:
            known = [setting.name for setting in state.stores.declaration(link.app).settings]
            message = f"App {link.app} has no setting {link.setting!r}."
            yield _stray(state, link, message, did_you_mean(link.setting, known), certain=True)


def stray_addresses(state: State) -> Iterator[Stray]:
    """The variables of the environment that hold the address of no store there can be."""
    if any(state.apps.broken):
        return  # Their stores are not known, so they may be meant.
    stores = [(app.package, name) for app in state.stores.apps for name in state.stores.names(app)]
    kinds = [(app.package, kind.name) for app in state.stores.apps for kind in app.databases if kind.many]
    for variable, hint in stray_variables(os.environ, stores, kinds):
        message = "No app that was found here has such a store."
        yield Stray(where=variable, message=message, hint=hint or "Correct its name, or unset it.")


def _stray(state: State, link: Link, message: str, hint: str = "", *, certain: bool = False) -> Stray:
    config = state.stores.config
    if link.source.kind == "file" and config is not None:
        return Stray(
            where=link.source.where,
            message=f"{shown_key(config, link)}: {message}",
            hint=hint or "Correct it, or remove it.",
            certain=certain,
        )
    unlink = f"penstock unlink {link.app}:{link.setting}"
    meant = f"{hint} If not: {unlink}" if hint else f"{unlink}, if nobody needs it"
    return Stray(where=f"{link.app}:{link.setting}", message=f"{message} ({link.source})", hint=meant)
