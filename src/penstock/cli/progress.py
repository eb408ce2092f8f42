"""Shows that something is being done, and the steps of stores as they happen."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import click

from penstock.cli import output
from penstock.provision.steps import StepEvent, StepStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.errors import PenstockError

LOOKING = "asking the server"
"""What is shown of a store before its first step."""


@dataclass(slots=True)
class Spinner:
    """A line on stderr that moves while a command waits; nothing where nobody looks.

    It is on stderr, so that a listing can be written to a file meanwhile; without a terminal there
    is nothing to see, and `NO_COLOR` takes its colours away.
    """

    _status: Any = field(default=None, init=False)

    def start(self, what: str) -> None:
        """Show what is being waited for, in place of what was shown before."""
        self.stop()
        if output.is_terminal(err=True):
            self._status = output.console(err=True).status(output.clean(what), spinner_style="cyan")
            self._status.start()

    def stop(self) -> None:
        """Let it disappear."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something is being done."""
    spinner = Spinner()
    spinner.start(what)
    try:
        yield
    finally:
        spinner.stop()


@dataclass(slots=True)
class Steps:
    """Shows the steps of stores as they happen: a spinner on a terminal, lines in a pipe.

    Args:
        err: Whether to print on stderr, because stdout is for JSON.
    """

    err: bool = False
    _spinner: Spinner = field(default_factory=Spinner, init=False)

    def store(self, name: str, where: str) -> None:
        """A store's turn begins."""
        output.title(name, where, err=self.err)

    def __enter__(self) -> Self:
        """Its server is asked."""
        self._spinner.start(LOOKING)
        return self

    def hear(self, event: StepEvent) -> None:
        """A step of it begins, or has ended well."""
        if isinstance(event, StepStarted):
            self._spinner.start(str(event.step))
            return
        self._spinner.stop()
        mark = click.style("✓ ", fg=output.GOOD) if output.is_terminal(err=self.err) else ""
        seconds = click.style(f"{event.seconds:.2f} s", dim=True)
        output.say(f"  {mark}{event.step}  {seconds}", err=self.err)
        self._spinner.start(LOOKING)

    def __exit__(self, *raised: object) -> None:
        self._spinner.stop()

    def nothing(self) -> None:
        """It needed no step."""
        output.say(click.style("  nothing to do", dim=True), err=self.err)

    def failed(self, problem: PenstockError, *, skipped: bool) -> None:
        """It failed, or was skipped."""
        if skipped:
            output.say(click.style(f"  skipped: {problem.what}", dim=True), err=self.err)
        else:
            output.error(problem, indent="  ", err=self.err)
