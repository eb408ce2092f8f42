"""P9: how fast stores with 30 tables are made, by 1 to 8 jobs."""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import Column, Integer, MetaData, Table, Text

from penstock import App, Database, MemoryRegistry, SecretRef, Service, Stores, use
from penstock.embedded import Cluster, Credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 5
STORES = 24
THREADS = 4
TARGET = 1.25

LIMIT = f"CREATE DATABASE … TEMPLATE, {THREADS} threads"
TABLES = MetaData()
for number in range(30):
    Table(
        f"table_{number:02}",
        TABLES,
        Column("id", Integer, primary_key=True),
        *(Column(f"column_{n}", Text, index=n == 0) for n in range(8)),
    )


class Lab(App):
    """A tenant's store has 30 tables, each with an index besides its key."""

    package = "lab"
    tenants = Database("One store per tenant.", metadata=TABLES, many=True)


def main() -> None:
    """Make `STORES` stores in every way in turn, `ROUNDS` times; the first argument changes the number."""
    stores = int(sys.argv[1]) if len(sys.argv) > 1 else STORES
    with server() as made, desk(made) as stores_desk, use(stores_desk):
        Lab.tenants.create("model")
        address = f"host=127.0.0.1 port={made.port} user=penstock_admin dbname=postgres"
        clones = cloner(f"{address} password={made.administrator_password_file.read_text().strip()}")
        ways: dict[str, Callable[[list[str]], None]] = {LIMIT: clones}
        ways |= {f"penstock, jobs={jobs}": by_jobs(jobs) for jobs in (1, 2, 4, 8)}
        report(measure(ways, stores), stores)


@contextmanager
def server() -> Iterator[Credentials]:
    """A PostgreSQL of its own, removed afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        cluster = Cluster(folder / "home", secrets=folder / "secrets")
        try:
            yield cluster.configure()
        finally:
            cluster.remove()


@contextmanager
def desk(made: Credentials) -> Iterator[Stores]:
    """A desk with that server plugged into the kind."""
    registry = MemoryRegistry()
    password = SecretRef("file", str(made.owner_password_file))
    url = f"postgresql://penstock@127.0.0.1:{made.port}"
    registry.put_service(Service(name="main", url=url, password=password))
    with Stores(registry, apps=[Lab]) as stores:
        stores.link("main", Lab, "tenants")
        yield stores


def by_jobs(jobs: int) -> Callable[[list[str]], None]:
    """Make tenants' stores as an app does."""

    def make(names: list[str]) -> None:
        failed = [r.error for r in Lab.tenants.create_many(names, jobs=jobs) if not r.ok]
        assert not failed, failed[0]

    return make


def cloner(address: str) -> Callable[[list[str]], None]:
    """Clone the model tenant's database on as many connections as there are threads."""

    def make(names: list[str]) -> None:
        def work(part: list[str]) -> None:
            with psycopg.connect(address, autocommit=True) as connection:
                for name in part:
                    connection.execute(f'CREATE DATABASE "clone_{name}" TEMPLATE "lab_tenants_model"')

        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(work, [names[n::THREADS] for n in range(THREADS)]))

    return make


def measure(ways: dict[str, Callable[[list[str]], None]], stores: int) -> dict[str, list[float]]:
    """Milliseconds for each store in every way, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    serial = itertools.count()
    for _ in range(ROUNDS):
        for name, make in ways.items():
            names = [f"t{next(serial)}" for _ in range(stores)]
            start = time.perf_counter()
            make(names)
            times[name].append((time.perf_counter() - start) * 1000 / stores)
    return times


def report(times: dict[str, list[float]], stores: int) -> None:
    """Print the table and the ratios."""
    median = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'way':<38}{'ms/store':>10}{'ratio':>8}   ({stores} stores, {ROUNDS} rounds)")
    for name, value in median.items():
        print(f"{name:<38}{value:>10.1f}{value / median[LIMIT]:>7.2f}x")
    ratio = median["penstock, jobs=4"] / median[LIMIT]
    gain = median["penstock, jobs=1"] / median["penstock, jobs=4"]
    print(
        f"jobs=4 is {gain:.2f}x as fast as jobs=1; {ratio:.2f}x the limit (target with templates: {TARGET}x)"
    )


if __name__ == "__main__":
    main()
