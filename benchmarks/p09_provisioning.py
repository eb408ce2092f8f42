"""P9: how fast stores with 30 tables are made, by 1 to 8 jobs."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy import Column, Integer, MetaData, Table, Text

from penstock import App, Database, use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.embedded import Credentials

ROUNDS = 5
STORES = 24
THREADS = 4

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
    """Make so many stores in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, stores=STORES)
    with server() as found, stores_of(found.service, Lab, "tenants", sync=False) as stores, use(stores):
        Lab.tenants.create("model")
        makers = {LIMIT: cloner(address_of(found.made))}
        makers |= {f"penstock, jobs={jobs}": by_jobs(jobs) for jobs in (1, 2, 4, 8)}
        fresh = map("t{}".format, itertools.count())
        ways = {
            name: Way(work=partial(made, make, fresh, count), count=count) for name, make in makers.items()
        }
        times = interleaved(ways, rounds, unit="ms", first=False)
    four = "penstock, jobs=4"
    targets = [Target("P9", four, LIMIT, 1.25), Target("", four, "penstock, jobs=1", 1 / 2)]
    report(f"{count} stores of 30 tables; each", times, targets, unit="ms")


def made(make: Callable[[list[str]], None], fresh: Iterator[str], count: int) -> None:
    """Make so many stores whose names are new."""
    make(list(itertools.islice(fresh, count)))


def address_of(made: Credentials) -> str:
    """Where the server's administrator connects."""
    password = made.administrator_password_file.read_text("utf-8").strip()
    return f"host=127.0.0.1 port={made.port} user=penstock_admin dbname=postgres password={password}"


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


if __name__ == "__main__":
    main()
