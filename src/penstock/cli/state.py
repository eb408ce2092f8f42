"""What the commands of one run share: `Stores`, the apps, the folder of our own."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.errors import ConfigNotFound, UnknownApp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.apps import FoundApps
    from penstock.declare import AppDeclaration
    from penstock.stores import Stores

FOLDER = ".penstock"
"""The folder beside `penstock.toml` for what Penstock keeps itself."""


class State:
    """What the global options say, and what is made from it when a command first asks.

    Args:
        config: The configuration file, if one is named.
        given: Classes of apps, as `module:Class`.
        debug: Whether tracebacks are wanted.
    """

    def __init__(self, *, config: str | None = None, given: Sequence[str] = (), debug: bool = False) -> None:
        self._config = config
        self._given = given
        self.debug = debug
        self._open = ExitStack()

    @cached_property
    def stores(self) -> Stores:
        """The `Stores` object, over the configuration file if there is one."""
        from penstock.app import use
        from penstock.stores import Stores

        stores = Stores.from_config(self._config)
        return self._open.enter_context(use(self._open.enter_context(stores), everywhere=True))

    @cached_property
    def writable(self) -> Stores:
        """The `Stores` object, for a command that changes something.

        Raises:
            ConfigNotFound: There is no configuration file, so nothing would be remembered.
        """
        if self.stores.config is None:
            raise ConfigNotFound(
                self.absent,
                why="It says where what is changed is remembered.",
                hint="penstock init",
            )
        return self.stores

    @property
    def absent(self) -> str:
        """That there is no configuration file, and where it was looked for; empty if there is one."""
        from penstock.registry.layers import absent_config

        return absent_config(self.stores.registry)

    def say_absent(self, *, lacking: bool) -> None:
        """Say where a configuration file was looked for, if an answer lacks one."""
        from penstock.cli import output

        if lacking and self.absent:
            output.problem(self.absent, "Only the environment answers.", "penstock init")

    @property
    def folder(self) -> Path:
        """The folder beside the configuration file for what Penstock keeps itself."""
        config = self.writable.config
        return Path(FOLDER) if config is None else config.path.parent / FOLDER

    @cached_property
    def apps(self) -> FoundApps:
        """Every app that was found; the `Stores` object knows those that are whole."""
        from penstock.apps import find_apps

        return find_apps(self.stores, self._given)

    def named_apps(self) -> list[str]:
        """The packages of the apps that somebody names; none is imported."""
        from penstock.apps import named_packages

        return named_packages(self.stores, self._given)

    def broken_rows(self) -> list[dict[str, Any]]:
        """The apps that can't be imported, and why, for a JSON document: what they declare is not known."""
        from penstock.cli import output

        return [{"app": app.package, "error": output.problem_row(app.error)} for app in self.apps.broken]

    def say_broken(self) -> None:
        """Say which apps can't be imported: what they declare is not known, so it is in no table."""
        from penstock.cli import output

        for app in self.apps.broken:
            if app.error is not None:
                output.error(app.error)

    def app(self, package: str) -> AppDeclaration:
        """The app of this package; raises UnknownApp."""
        return self.apps.get(package)

    def chosen(self, packages: Sequence[str]) -> list[AppDeclaration]:
        """The apps that words on the command line stand for; `all`, and none, stand for all.

        Raises:
            UnknownApp: One of them is not there, or none at all.
        """
        if packages and "all" not in packages:
            return [self.app(package) for package in dict.fromkeys(packages)]
        if not list(self.apps):
            raise UnknownApp(
                "No app was found.",
                why=self.absent,
                hint="Install one, list it in [apps] of penstock.toml, or name it: --app module:Class",
            )
        return self.stores.apps

    def close(self) -> None:
        """Close what was opened."""
        self._open.close()


pass_state = click.make_pass_decorator(State)
"""Gives a command the state of this run as its first argument."""
