"""Millions of rows from a generator: how many a second, and in how much memory."""

from __future__ import annotations

import itertools
import resource
import time
from typing import TYPE_CHECKING, Any

from alerts import Lab, detection, generated
from measure import arguments, met, progress, server, stores_of, table
from sqlalchemy import func, select

from penstock.query import bulk_insert

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS, STEP = 5_000_000, 500_000
MAX_GROWTH = 1.05  # What the process had at its largest after all rows, to that after the first step.


def main() -> None:
    """Store them in one call, and look at the process whenever so many more were taken."""
    count, step = arguments(__doc__, rows=ROWS, step=STEP)
    seen: list[tuple[int, float, float]] = []
    with server() as found, stores_of(found.service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        start = time.perf_counter()
        done = bulk_insert(engine, detection, watched(count, step, seen))
        seconds = time.perf_counter() - start
        with engine.connect() as connection:
            assert connection.scalar(select(func.count()).select_from(detection)) == done.inserted == count
    report(seen, count, seconds)


def watched(count: int, step: int, seen: list[tuple[int, float, float]]) -> Iterator[dict[str, Any]]:
    """The rows; after each step, notes how many were taken, the time, and the peak of memory."""
    for number, row in enumerate(generated(count), 1):
        yield row
        if number % step == 0 or number == count:
            seen.append((number, time.perf_counter(), peak()))
            progress(f"{number:,} rows, peak {seen[-1][2]:.0f} MB")


def peak() -> float:
    """The most memory that this process ever had at a time, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(seen: list[tuple[int, float, float]], count: int, seconds: float) -> None:
    """Print what was seen, and whether memory stayed as it was."""
    lines = [[f"{seen[0][0]:,}", "", f"{seen[0][2]:.1f}"]]
    for (before, earlier, _), (number, now, most) in itertools.pairwise(seen):
        lines.append([f"{number:,}", f"{(number - before) / (now - earlier):,.0f}", f"{most:.1f}"])
    title = f"{count:,} rows of {len(detection.columns)} columns from a generator, one call, one transaction"
    table(title, ["rows", "rows/s since", "peak MB"], lines)
    growth = seen[-1][2] / seen[0][2]
    table(
        "",
        ["figure", "is", "target", ""],
        [
            ["rows/s in all", f"{count / seconds:,.0f}", "", ""],
            ["peak at the end / at first", f"{growth:.3f}x", f"<= {MAX_GROWTH}x", met(growth <= MAX_GROWTH)],
        ],
    )


if __name__ == "__main__":
    main()
