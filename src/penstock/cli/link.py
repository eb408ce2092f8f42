"""Links services to settings, and unlinks them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from penstock.cli import output
from penstock.cli.names import Target, complete_services, complete_settings, target
from penstock.cli.root import example
from penstock.cli.state import State, pass_state

if TYPE_CHECKING:
    from penstock.declare import AppDeclaration
    from penstock.install import Linked
    from penstock.stores import Stores


@click.command()
@click.argument("service", shell_complete=complete_services)
@click.argument("setting", metavar="APP:SETTING", type=target, shell_complete=complete_settings)
@pass_state
@example("penstock link local my_first_app:example_db")
def link(state: State, service: str, setting: Target) -> None:
    """Link SERVICE to a setting of an app, in place of what was linked before.

    Nothing is made yet: `penstock syncstores` does that.
    """
    app = state.app(setting.app)
    stores = state.writable
    stores.links.add(service, app, setting.name)
    linked = stores.book.find_link(setting.app, setting.name)
    where = "" if linked is None else f"  ({output.shorten(str(linked.source))})"
    output.done(f"{setting} uses service {service}{where}")


@click.command()
@click.argument("setting", metavar="APP:SETTING", type=target, shell_complete=complete_settings)
@pass_state
@example("penstock unlink my_first_app:example_db")
def unlink(state: State, setting: Target) -> None:
    """Pull the service out of a setting. Its databases stay as they are."""
    stores = state.writable
    linked = stores.book.find_link(setting.app, setting.name)
    if linked is None:
        state.app(setting.app).get(setting.name)
        output.say(f"Nothing is linked to {setting}.")
        return
    stores.links.remove(setting.app, setting.name)
    output.done(f"{setting} used service {linked.service}  ({output.shorten(str(linked.source))})")


def say_link(stores: Stores, app: AppDeclaration, linked: Linked) -> None:
    """Say how a link that a file wants was made, or why not."""
    link = linked.link
    target = f"{app.package}:{link.setting}"
    if linked.error is not None:
        output.error(linked.error)
        output.note(f"wanted at {link.where}; by hand: penstock link {shlex.quote(link.service)} {target}")
    elif linked.before is not None:
        source = output.shorten(str(linked.before.source))
        output.say(f"{target} uses service {linked.before.service} already  ({source})")
    else:
        now = stores.book.find_link(app.package, link.setting)
        where = "" if now is None else f"  ({output.shorten(str(now.source))})"
        output.done(f"{target} uses service {link.service}{where}")
