"""Where a password comes from: env, file, stdin, prompt; never an argument."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli import output
from penstock.errors import SecretError

if TYPE_CHECKING:
    from penstock.secrets import SecretRef

_Command = TypeVar("_Command", bound=Callable[..., Any])

ROLES = {"": "the service's password", "admin-": "the administrator's password"}
"""What each role's options begin with, and what its password is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the options of one role say of its password; at most one of them.

    Args:
        env: The variable that holds it, now or later.
        file: The file that holds it, now or later.
        stdin: Whether it is a line of standard input.
        prompt: Whether to ask for it.
        none: Whether there is none.
    """

    env: str | None = None
    file: str | None = None
    stdin: bool = False
    prompt: bool = False
    none: bool = False

    @property
    def anything(self) -> bool:
        """Whether the command line says anything of it."""
        return any((self.env, self.file, self.stdin, self.prompt, self.none))

    @property
    def reference(self) -> SecretRef | None:
        """Where the password is, if it is a variable or a file."""
        from penstock.secrets import SecretRef

        if self.env:
            return SecretRef("env", self.env)
        return SecretRef("file", str(Path(self.file).absolute())) if self.file else None

    def read(self, role: str, blank: str) -> str:
        """The password itself, if it is typed or piped in; empty if nothing is typed.

        Args:
            role: Whose it is: a key of `ROLES`.
            blank: What an empty answer means, for the question.
        """
        if self.stdin:
            return _read_line(role)
        return _asked(role, blank) if self.prompt else ""

    @classmethod
    def of(cls, options: dict[str, Any], role: str = "") -> Given:
        """What belongs to a role (`""` or `"admin_"`) among a command's options."""
        given = cls(
            env=options[f"{role}password_env"],
            file=options[f"{role}password_file"],
            stdin=options[f"{role}password_stdin"],
            prompt=options[f"prompt_{role}password"],
            none=options[f"no_{role}password"],
        )
        if sum(map(bool, (given.env, given.file, given.stdin, given.prompt, given.none))) > 1:
            raise click.UsageError(
                f"Say once where {ROLES[role.replace('_', '-')]} is.", click.get_current_context()
            )
        return given


def password_options(function: _Command) -> _Command:
    """Give a command the options for both roles' passwords."""
    for role, what in reversed(ROLES.items()):
        for option in (
            click.option(f"--no-{role}password", is_flag=True, help=f"There is none: {what}."),
            click.option(f"--prompt-{role}password", is_flag=True, help=f"Ask for {what}."),
            click.option(f"--{role}password-stdin", is_flag=True, help=f"Read {what}: a line of stdin."),
            click.option(f"--{role}password-file", metavar="PATH", help=f"A file that holds {what}."),
            click.option(f"--{role}password-env", metavar="VAR", help=f"A variable that holds {what}."),
        ):
            function = option(function)
    return function


def _read_line(role: str) -> str:
    """One line of standard input, without its end."""
    if sys.stdin.isatty():
        return _asked(role, "empty for none")
    line = sys.stdin.buffer.readline()
    try:
        password = line.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise SecretError("The password on standard input is not UTF-8 text.") from None
    if not password:
        raise SecretError(
            "There is no password on standard input.",
            hint="Give it as one line; for both passwords, the service's line comes first.",
        )
    return password


def _asked(role: str, blank: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask for a password on; use --password-stdin.",
            click.get_current_context(),
        )
    return output.ask_password(f"{ROLES[role].capitalize()} ({blank})")
