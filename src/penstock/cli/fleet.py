"""Works on several stores at a time, and says how each of them ended."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import click

from penstock.cli import output
from penstock.cli.progress import Spinner
from penstock.provision.fleet import SyncResult, in_parallel
from penstock.provision.steps import StepDone, StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.stores import Stores

jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), default=1, metavar="N", help="How many stores at a time."
)


class Fleet:
    """Many stores and what is done to them: a line for each that has ended, a count on a terminal.

    Args:
        desk: Does the work.
        total: How many stores there are.
        jobs: How many to work on at a time.
        err: Whether to print on stderr, because stdout is for JSON.
    """

    def __init__(self, desk: Stores, total: int, jobs: int, *, err: bool = False) -> None:
        self._desk = desk
        self._total = total
        self._jobs = jobs
        self._err = err
        self._ended = 0
        self._steps: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        self._printing = threading.Lock()
        self._spinner = Spinner()

    def run(self, stores: Sequence[Callable[[], SyncResult]]) -> list[SyncResult]:
        """Do what each store needs; how each ended, in order."""
        return in_parallel([partial(self._one, work) for work in stores], self._jobs)

    def steps(self, result: SyncResult) -> list[dict[str, Any]]:
        """The steps of a store that ended well, each with its seconds."""
        return self._steps[result.app, result.store]

    def __enter__(self) -> Self:
        self._desk.on_step = self._watch
        self._spin()
        return self

    def __exit__(self, *raised: object) -> None:
        self._desk.on_step = None
        self._spinner.stop()

    def _watch(self, event: StepEvent) -> None:
        if isinstance(event, StepDone):
            step = {"step": str(event.step), "seconds": round(event.seconds, 6)}
            self._steps[event.app, event.store].append(step)

    def _one(self, work: Callable[[], SyncResult]) -> SyncResult:
        began = time.perf_counter()
        result = work()
        with self._printing:
            self._spinner.stop()
            self._ended += 1
            self._say(result, time.perf_counter() - began)
            self._spin()
        return result

    def _say(self, result: SyncResult, seconds: float) -> None:
        word = "skipped" if result.skipped else "ok" if result.ok else "failed"
        steps = len(self.steps(result))
        count = "nothing to do" if result.ok and not steps else f"{steps} step{'' if steps == 1 else 's'}"
        coloured = click.style(word, fg=output.COLOURS[word])
        output.say(f"{result.app}:{result.store}  {coloured}  {count}  {seconds:.2f} s", err=self._err)
        if result.error is not None and not result.skipped:
            output.error(result.error, indent="  ", err=self._err)

    def _spin(self) -> None:
        if self._ended < self._total:
            self._spinner.start(f"{self._ended} of {self._total}")
