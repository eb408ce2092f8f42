"""Prints the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from penstock.cli import output
from penstock.cli.root import example

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
@example("penstock completion bash > ~/.local/share/bash-completion/completions/penstock")
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL complete commands, options, apps, services, settings and stores."""
    kind = get_completion_class(shell)
    if kind is not None:
        output.raw(kind(ctx.find_root().command, {}, "penstock", "_PENSTOCK_COMPLETE").source())
