"""The reference of commands, as MyST text: one heading per command."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator


def root() -> click.Group:
    """The command `penstock` itself."""
    from penstock import cli

    return next(value for value in vars(cli).values() if isinstance(value, click.Group))


def commands(group: click.Group, parent: click.Context | None = None) -> Iterator[click.Context]:
    """A context for every command that is not hidden, groups before their members."""
    here = click.Context(group, info_name="penstock" if parent is None else group.name, parent=parent)
    yield here
    for name in group.list_commands(here):
        command = group.get_command(here, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, here)
        else:
            yield click.Context(command, info_name=name, parent=here)


def text() -> str:
    """All commands, each with its words joined by hyphens as the anchor."""
    return "\n".join(entry(context) for context in commands(root()))


def entry(context: click.Context) -> str:
    """One command: anchor, usage, help, options."""
    path = context.command_path
    usage = " ".join([path, *context.command.collect_usage_pieces(context)])
    help_text = inspect.cleandoc(context.command.help or "").replace("\b", "").split("\f")[0]
    parts = [f"({anchor(context)})=\n## `{path}`", f"```text\n{usage}\n```", help_text, options(context)]
    return "\n\n".join(part for part in parts if part) + "\n"


def anchor(context: click.Context) -> str:
    """The anchor of a command on the page."""
    return context.command_path.replace(" ", "-")


def options(context: click.Context) -> str:
    """The options of a command as a table; nothing if it has none but `--help`."""
    options = [param for param in context.command.params if isinstance(param, click.Option)]
    records = [option.get_help_record(context) for option in options]
    rows = [f"| `{cell(names)}` | {cell(what)} |" for names, what in filter(None, records)]
    return "\n".join(["| option | meaning |", "|---|---|", *rows]) if rows else ""


def cell(words: str) -> str:
    """Text that stays inside its cell."""
    return " ".join(words.split()).replace("|", "\\|")
