"""P12: what a used store costs a process, and how many connections they have."""

from __future__ import annotations

import gc
import os
import statistics
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from measure import VERDICT, arguments, files, progress, server, stores_of, table, verdict
from p07_request import Base, Gage
from sqlalchemy import Engine, create_engine, func, select

from penstock import App, Database, Service, Stores, SyncOptions
from penstock.registry import StoreEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FILES, DATABASES = 10_000, 300
ROUNDS = 5
PLAIN = 100  # so many engines of create_engine are enough to know what one takes
MAX_BYTES = 8_000


class Lab(App):
    """An app with a kind of store."""

    package = "lab"
    basins = Database("One store per basin.", metadata=Base.metadata, many=True)


def main() -> None:
    """Use the stores in turn."""
    rounds, many, some = arguments(__doc__, rounds=ROUNDS, files=FILES, databases=DATABASES)
    with on_files(many) as (stores, names):
        report(f"{many:,} SQLite files", stores, names, rounds, open_files)
    with server() as found, on_databases(found.service, some) as (stores, names):
        sessions = "SELECT count(*) - 1 FROM pg_stat_activity WHERE usename = 'penstock'"
        with create_engine(stores.url(Lab, names[0])).connect() as watching:

            def open_sessions() -> int:
                watching.rollback()
                return int(watching.exec_driver_sql(sessions).scalar_one())

            report(f"{some:,} PostgreSQL databases", stores, names, rounds, open_sessions)


# --- stores ---------------------------------------------------------------------------------------


@contextmanager
def on_files(count: int) -> Iterator[tuple[Stores, list[str]]]:
    """So many files, copies of one that was made through Penstock."""
    with files() as service, stores_of(service, Lab, "basins", sync=False) as stores:
        progress(f"making {count:,} files")
        names = [f"basins.b{number:05}" for number in range(count)]
        stores.create(Lab, names[0])
        first = stores.registry.find_store("lab", names[0])
        assert first is not None
        stores.close()
        folder = service.url.removeprefix("sqlite:///")
        for name in names[1:]:
            database = f"lab_{name.replace('.', '_')}"
            copyfile(Path(folder, f"{first.database}.sqlite"), Path(folder, f"{database}.sqlite"))
            entry = StoreEntry(app="lab", name=name, service=service.name, database=database, dynamic=True)
            stores.registry.put_store(entry)
        yield stores, names


@contextmanager
def on_databases(service: Service, count: int) -> Iterator[tuple[Stores, list[str]]]:
    """So many databases, made through Penstock."""
    with stores_of(service, Lab, "basins", sync=False) as stores:
        progress(f"making {count:,} databases")
        names = [f"basins.b{number:05}" for number in range(count)]
        made = stores.create_many(Lab, names, options=SyncOptions(jobs=4))
        assert all(result.ok for result in made)
        yield stores, names


def open_files() -> int:
    """How many databases of SQLite this process has open."""
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(link) and os.readlink(link).endswith(".sqlite") for link in links)


# --- measuring ------------------------------------------------------------------------------------


def report(title: str, stores: Stores, names: list[str], rounds: int, count: Callable[[], int]) -> None:
    """Print what a store and a plain engine take, and the most connections there were."""
    ours: list[float] = []
    plain: list[float] = []
    most = 0
    share = len(names) * 4 // 5 // rounds  # The last fifth is for the plain engines.
    use(stores.engine(Lab, names[0]))
    for turn in range(rounds):
        progress(f"{title}, round {turn + 1} of {rounds}")
        part = names[turn * share : (turn + 1) * share]
        taken, peak = used(stores, part, count)
        ours.append(taken)
        most = max(most, peak)
        plain.append(plain_engines(stores, names[len(names) - PLAIN // rounds :]))
    pool: Any = stores.engine(Lab, names[0]).pool
    limit = pool.budget.limit
    mine, theirs = statistics.median(ours), statistics.median(plain)
    heads = ["way", "bytes for each used store", "rounds"]
    each_takes = {"the `Stores` object": mine, "create_engine each": theirs}
    table(title, heads, [[name, f"{each:,.0f}", str(rounds)] for name, each in each_takes.items()])
    kept = verdict(
        "P12", "bytes for each used store", f"{mine:,.0f}", f"<= {MAX_BYTES:,}", so=mine <= MAX_BYTES
    )
    budget = verdict("P12", "most connections", f"{most}", f"<= budget of {limit}", so=most <= limit)
    ratio = ["", "Penstock / create_engine each", f"{mine / theirs:.2f}x", "", "", ""]
    table("", VERDICT, [kept, budget, ratio])


def used(stores: Stores, names: list[str], count: Callable[[], int]) -> tuple[float, int]:
    """Bytes for each store whose engine and session factory were used, and the most connections."""
    most = 0

    def work() -> list[Any]:
        nonlocal most
        kept = []
        for number, name in enumerate(names):
            use(stores.engine(Lab, name))
            kept.append(stores.sessionmaker(Lab, name))
            if number % 20 == 0:
                most = max(most, count())
        return kept

    return allocated(work) / len(names), most


def plain_engines(stores: Stores, names: list[str]) -> float:
    """Bytes for each engine of `create_engine` that was used; its one connection is closed."""
    urls = [stores.url(Lab, name) for name in names]

    def work() -> list[Engine]:
        engines = [create_engine(url) for url in urls]
        for engine in engines:
            use(engine)
            engine.dispose()
        return engines

    return allocated(work) / len(names)


def allocated(work: Callable[[], list[Any]]) -> int:
    """What Python allocated for what the work made, and kept."""
    gc.collect()
    tracemalloc.start()
    kept = work()
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return taken


def use(engine: Engine) -> None:
    """One request."""
    with engine.connect() as connection:
        connection.scalar(select(func.count()).select_from(Gage))


if __name__ == "__main__":
    main()
