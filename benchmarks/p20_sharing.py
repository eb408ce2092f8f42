"""P20: eight read a SQLite store and four write: threads, tasks and processes.

python benchmarks/p20_sharing.py [SECONDS]

A session that has read is left open meanwhile. To see what another version does, put its `src` on PYTHONPATH.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

from measure import arguments, progress, table

sys.path.append(str(Path(__file__).parents[1] / "tests"))


def main() -> None:
    """Let them work, and say what they did."""
    (seconds,) = arguments(__doc__, seconds=60)
    sharing = import_module("faults.sharing")
    progress(f"sharing a store for {seconds} seconds")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        tally = sharing.share(folder, seconds)
        kept = sum(lines for _, value, lines, different in sharing.written(folder) if value == different)
    lines = [
        ("reads per second", f"{tally.reads / seconds:,.0f}"),
        ("writes per second", f"{tally.writes / seconds:,.0f}"),
        ("failed", f"{len(tally.failed):,}"),
        ("slowest transaction", f"{tally.worst:.2f} s"),
        ("lines lost", f"{tally.writes - kept:,}"),
    ]
    table(f"Eight readers, four writers, one session left open, {seconds} s", ["", "Penstock"], lines)
    for line in sorted(set(tally.failed)):
        progress(line)


if __name__ == "__main__":
    main()
