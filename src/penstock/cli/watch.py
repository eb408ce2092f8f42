"""Shows the steps of stores while they happen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from penstock.provision.steps import StepDone, StepEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.cli.progress import Steps
    from penstock.stores import Stores


@contextmanager
def watched(desk: Stores, screen: Steps) -> Iterator[list[dict[str, Any]]]:
    """Show the steps that the desk takes inside the block; gives the list of those that ended well."""
    steps: list[dict[str, Any]] = []

    def watch(event: StepEvent) -> None:
        if isinstance(event, StepDone):
            steps.append({"step": str(event.step), "seconds": round(event.seconds, 6)})
            screen.done(str(event.step), event.seconds)
        else:
            screen.started(str(event.step))

    desk.on_step = watch
    screen.looking()
    try:
        yield steps
    finally:
        desk.on_step = None
        screen.stop()
