"""What the benchmarks share: a server, interleaved rounds, tables, verdicts."""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from penstock import MemoryRegistry, Service, Stores
from penstock.embedded import Cluster, Credentials
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from penstock import App

Times: TypeAlias = "dict[str, list[float]]"
"""What every way took in every round."""

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to do the work.

    Args:
        work: What is timed.
        before: What is done first, and not timed.
        times: How often the work is done in a round.
        count: Of how many things the time of one work is the sum; that of one thing is shown.
    """

    work: Callable[[], object]
    before: Callable[[], object] = lambda: None
    times: int = 1
    count: int = 1

    def seconds(self) -> float:
        """How long it takes now."""
        self.before()
        start = time.perf_counter()
        for _ in range(self.times):
            self.work()
        return (time.perf_counter() - start) / self.times / self.count


class Target(NamedTuple):
    """What one way may take at most, in times of another; below 1, it has to be faster.

    Args:
        row: The row of the list of targets; empty for a ratio that is only shown.
        one: The way.
        other: The way that is its limit, or its peer.
        limit: So many times as long.
    """

    row: str
    one: str
    other: str
    limit: float = 1.0


class Server(NamedTuple):
    """A PostgreSQL server, a service on it, and the files with its passwords."""

    cluster: Cluster
    service: Service
    made: Credentials


# --- what is needed -------------------------------------------------------------------------------


def arguments(caption: str | None, **defaults: int) -> list[int]:
    """The numbers a script was given, in this order; those that were not given have a default."""
    parser = argparse.ArgumentParser(description=caption)
    for name, default in defaults.items():
        parser.add_argument(name, nargs="?", type=int, default=default, help=f"default {default}")
    return list(vars(parser.parse_args()).values())


@contextmanager
def server() -> Iterator[Server]:
    """A PostgreSQL server in a folder of its own, removed afterwards, also by who is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress("starting a PostgreSQL server")
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        cluster = Cluster(folder / "home", secrets=folder / "secrets")
        try:
            made = cluster.configure()
            url = f"postgresql://penstock@127.0.0.1:{made.port}"
            password = SecretRef("file", str(made.owner_password_file))
            yield Server(cluster, Service(name="main", url=url, password=password), made)
        finally:
            cluster.remove()


@contextmanager
def mariadb(options: str = "") -> Iterator[Service]:
    """A service on a MariaDB server of its own: the one that the tests start."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    tests = import_module("fix_mariadb")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    progress("starting a MariaDB server")
    with tests.running_mariadb() as found:
        password = SecretRef("file", str(found.password_file))
        yield Service(name="main", url=f"{found.url}/{options}", password=password)


@contextmanager
def stores_of(service: Service, app: type[App], setting: str, *, sync: bool = True) -> Iterator[Stores]:
    """`Stores` with the service linked to a setting of the app, whose store is made."""
    registry = MemoryRegistry()
    registry.put_service(service)
    with Stores(registry, apps=[app]) as stores:
        stores.links.add(service.name, app, setting)
        if sync:
            assert stores.sync(app)[0].ok
        yield stores


@contextmanager
def files() -> Iterator[Service]:
    """A directory for SQLite stores, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        yield Service(name="files", url=f"sqlite:///{folder}")


# --- measuring ------------------------------------------------------------------------------------


def interleaved(ways: Mapping[str, Way], rounds: int, *, unit: str, first: bool = True) -> Times:
    """What every way takes in every round, all of them in turn.

    Args:
        ways: The ways, by name.
        rounds: How often each is done.
        unit: Of the times: "s", "ms" or "us".
        first: Whether a first round, which fills caches, comes before and is not counted.
    """
    times: Times = {name: [] for name in ways}
    for turn in range(1 - first, rounds + 1):
        for name, way in ways.items():
            progress(f"round {turn} of {rounds}: {name}")
            taken = way.seconds() * UNITS[unit]
            if turn:
                times[name].append(taken)
    return times


def progress(what: str) -> None:
    """Say on the error output what is done now."""
    print(what, file=sys.stderr, flush=True)


# --- printing -------------------------------------------------------------------------------------


def report(title: str, times: Times, targets: Iterable[Target], *, unit: str, rows: int = 0) -> None:
    """Print the times and the ratios, as Markdown.

    Args:
        title: What was done.
        times: What every way took.
        targets: The ratios.
        unit: Of the times: "s", "ms" or "us".
        rows: How many rows that was, to print how many a second.
    """
    rates = ["rows/s"] if rows else []
    lines = []
    for name, taken in times.items():
        rate = [f"{rows / statistics.median(taken) * UNITS[unit]:,.0f}"] if rows else []
        lines.append([name, f"{statistics.median(taken):,.2f}", f"{min(taken):,.2f}", *rate, str(len(taken))])
    table(title, ["way", f"median {unit}", f"min {unit}", *rates, "rounds"], lines)
    table("", VERDICT, [verdict_of(times, target) for target in targets])


VERDICT = ["row", "figure", "is", "in single rounds", "target", ""]


def verdict_of(times: Times, target: Target) -> list[str]:
    """A ratio between medians, what it was in single rounds, and whether it is what it has to be."""
    row, one, other, limit = target
    ratio = statistics.median(times[one]) / statistics.median(times[other])
    single = [a / b for a, b in zip(times[one], times[other], strict=True)]
    spread = f"{_ratio(min(single), limit)} … {_ratio(max(single), limit)}"
    wanted = "" if not row else f"<= {limit:g}x" if limit >= 1 else f">= {1 / limit:.4g}x faster"
    said = _ratio(ratio, limit) + ("" if limit >= 1 else " faster")
    return [row, f"{one} / {other}", said, spread, wanted, "" if not row else met(ratio <= limit)]


def _ratio(ratio: float, limit: float) -> str:
    return f"{ratio if limit >= 1 else 1 / ratio:.2f}x"


def verdict(row: str, figure: str, said: str, wanted: str, *, so: bool) -> list[str]:
    """A line of the table of verdicts, about a figure that is no ratio of times."""
    return [row, figure, said, "", wanted, met(so)]


def met(so: bool) -> str:
    """The word for it."""
    return "met" if so else "**MISSED**"


def table(title: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table as Markdown, in columns as wide as what they hold; numbers stand on the right."""
    cells = [list(line) for line in lines]
    wide = [max(3, *map(len, column)) for column in zip(heads, *cells, strict=True)]
    right = [all(line[n][:1].isdigit() for line in cells) for n in range(len(heads))]
    rule = ["-" * (width - 1) + (":" if so else "-") for width, so in zip(wide, right, strict=True)]
    if title:
        print(f"{title}\n")
    for line in (heads, rule, *cells):
        said = (
            cell.rjust(width) if so else cell.ljust(width)
            for cell, width, so in zip(line, wide, right, strict=True)
        )
        print(f"| {' | '.join(said)} |")
    print(flush=True)
