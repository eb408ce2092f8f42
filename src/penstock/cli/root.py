"""Groups whose commands are imported on use; errors become words and exit codes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

import click

from penstock.cli import failures, hints, output
from penstock.errors import (
    ConfirmationNeeded,
    FromEnvNeeded,
    InvalidName,
    PenstockError,
    UnknownObject,
)

FAILED, MISUSED, BUG, INTERRUPTED = 1, 2, 70, 130
"""Exit codes, beside 0: something failed, the command was used wrongly, our fault, Ctrl-C."""

_MISUSE = (ConfirmationNeeded, FromEnvNeeded, InvalidName, UnknownObject)

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Root(click.Group):
    """The command `penstock`: knows its commands' one-line helps without importing them.

    Args:
        commands_in: For each command, in order, where it is (`module:attribute`) and its short help.
    """

    def __init__(self, *args: Any, commands_in: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self._table = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"penstock.cli.{module}"), attribute)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the global options; what is wrong with them ends as what is wrong with a command does."""
        hints.remember(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if ctx.resilient_parsing:  # A shell that completes has no room for words.
                raise
            failures.say(error)
            ctx.exit(error.exit_code)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, short) for name, (_, short) in self._table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever it raises ends as words on stderr and an exit code."""
        output.set_up()
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as raised:
            error = failures.typed_error(raised)
            failures.say(error)
            ctx.exit(exit_code(error))


def exit_code(error: BaseException) -> int:
    """What a command that ends with this error exits with."""
    if failures.is_interrupt(error):
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, PenstockError):
        return MISUSED if isinstance(error, _MISUSE) else FAILED
    return BUG


def example(*lines: str) -> Callable[[_Function], _Function]:
    """Let the help of a command end with an example."""

    def add(function: _Function) -> _Function:
        shown = "\n".join(f"    {line}" for line in lines)
        function.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nExample:\n\n\b\n{shown}\n"
        return function

    return add


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
"""Every listing has it."""

yes_option = click.option("-y", "--yes", is_flag=True, help="Don't ask.")
"""Every command that destroys something has it."""

from_env_option = click.option(
    "--from-env", is_flag=True, help="Also a database whose whole address an environment variable gives."
)
"""Every command that destroys a store's database has it."""


def need_from_env(losses: Mapping[str, str], *, from_env: bool) -> None:
    """Raise FromEnvNeeded where databases would be destroyed that variables name, and that was not meant.

    Args:
        losses: The stores, each with the variable that has its address.
        from_env: Whether it was meant: `--from-env` is given.
    """
    if losses and not from_env:
        named = ", ".join(f"{store} (environment variable {name})" for store, name in losses.items())
        raise FromEnvNeeded(
            f"This would destroy a database that the environment names: {named}.",
            why="A variable may be left over from something else, so --yes alone is not enough.",
            hint="Add --from-env, if you mean this database.",
        )
