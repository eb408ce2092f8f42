"""Works on several stores at a time, and says how each of them ended."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Self

import click

from penstock.cli import output
from penstock.cli.progress import Spinner
from penstock.provision.fleet import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.provision.results import SyncResult

jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), default=1, metavar="N", help="How many stores at a time."
)


class Fleet:
    """Many stores and what is done to them: a line for each that has ended, a count on a terminal.

    Args:
        total: How many stores there are.
        jobs: How many to work on at a time.
        err: Whether to print on stderr, because stdout is for JSON.
    """

    def __init__(self, total: int, jobs: int, *, err: bool = False) -> None:
        self._total = total
        self._jobs = jobs
        self._err = err
        self._ended = 0
        self._printing = threading.Lock()
        self._spinner = Spinner()

    def run(self, stores: Sequence[Callable[[], SyncResult]]) -> list[SyncResult]:
        """Do what each store needs; how each ended, in order."""
        return in_parallel([partial(self._one, work) for work in stores], self._jobs)

    def __enter__(self) -> Self:
        self._spin()
        return self

    def __exit__(self, *raised: object) -> None:
        self._spinner.stop()

    def _one(self, work: Callable[[], SyncResult]) -> SyncResult:
        result = work()
        with self._printing:
            self._spinner.stop()
            self._ended += 1
            self._say(result)
            self._spin()
        return result

    def _say(self, result: SyncResult) -> None:
        word = "skipped" if result.skipped else "ok" if result.ok else "failed"
        steps = len(result.steps)
        count = "nothing to do" if result.ok and not steps else f"{steps} step{'' if steps == 1 else 's'}"
        coloured = click.style(word, fg=output.COLOURS[word])
        output.say(f"{result.app}:{result.store}  {coloured}  {count}  {result.seconds:.2f} s", err=self._err)
        if result.error is not None and not result.skipped:
            output.error(result.error, indent="  ", err=self._err)

    def _spin(self) -> None:
        if self._ended < self._total:
            self._spinner.start(f"{self._ended} of {self._total}")
