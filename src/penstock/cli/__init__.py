"""The command tree: one file per noun, one function per verb; output.py prints."""

from __future__ import annotations

import click

from penstock import __version__
from penstock.cli.root import Root
from penstock.cli.state import State

__all__ = ["main"]

_COMMANDS = {
    "init": ("init:init", "Make a configuration file and a registry."),
    "scaffold": ("scaffold:scaffold", "Make a new app that works right away."),
    "install": ("install:install", "Install an app: what it requires, its links, its stores."),
    "uninstall": ("install:uninstall", "Uninstall an app; its databases stay."),
    "apps": ("apps:apps", "The apps that were found, and what they declare."),
    "services": ("services:services", "The servers that stores can be made on."),
    "secrets": ("secrets:secrets", "The passwords of services, and the keys they are sealed with."),
    "link": ("link:link", "Link a service to a setting of an app."),
    "unlink": ("link:unlink", "Pull a service out of a setting."),
    "settings": ("settings:settings", "What the apps say they need, and what answers it."),
    "syncstores": ("syncstores:syncstores", "Make the stores of apps, or bring them up to date."),
    "stores": ("stores:stores", "The databases of the apps: look, create, drop, adopt."),
    "load": ("load:load", "Load files of rows into a table of a store."),
    "db": ("db:db", "A private PostgreSQL server of your own."),
    "doctor": ("doctor:doctor", "Check everything, and say what to do about it."),
    "run": ("run:run", "Run a program with the stores' addresses in its environment."),
    "completion": ("completion:completion", "Print the completion script of a shell."),
}


@click.group(cls=Root, commands_in=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="penstock", message="%(prog)s %(version)s")
@click.option("--config", metavar="PATH", help="The configuration file; else PENSTOCK_CONFIG, else upward.")
@click.option("--app", "given", metavar="MODULE:CLASS", multiple=True, help="An app to know; repeatable.")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
@click.pass_context
def main(ctx: click.Context, config: str | None, given: tuple[str, ...], debug: bool) -> None:
    """Join applications to SQL databases: declare, link, sync, use.

    Begin with `penstock init`; `penstock COMMAND --help` explains a command.
    """
    ctx.obj = State(config=config, given=given, debug=debug)
    ctx.call_on_close(ctx.obj.close)
