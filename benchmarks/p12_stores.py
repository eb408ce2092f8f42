"""P12: what a used store costs a process, and how many connections they have."""

from __future__ import annotations

import gc
import os
import statistics
import sys
import tempfile
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from p07_request import Base, Gage, server
from sqlalchemy import Engine, create_engine, func, select

from penstock import App, Database, MemoryRegistry, Service, Stores, SyncOptions
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
    """Use the stores in turn; the arguments are how many files, databases and rounds."""
    given = [int(word) for word in sys.argv[1:]]
    files, databases, rounds = given + [FILES, DATABASES, ROUNDS][len(given) :]
    with on_files(files) as (desk, names):
        report(f"{files} SQLite files", desk, names, rounds, open_files)
    with server() as found, on_databases(found.service, databases) as (desk, names):
        sessions = "SELECT count(*) - 1 FROM pg_stat_activity WHERE usename = 'penstock'"
        with create_engine(desk.url(Lab, names[0])).connect() as watching:

            def open_sessions() -> int:
                watching.rollback()
                return int(watching.exec_driver_sql(sessions).scalar_one())

            report(f"{databases} PostgreSQL databases", desk, names, rounds, open_sessions)


# --- stores ---------------------------------------------------------------------------------------


@contextmanager
def desk_on(service: Service) -> Iterator[Stores]:
    """A desk with the kind plugged in."""
    registry = MemoryRegistry()
    registry.put_service(service)
    with Stores(registry, apps=[Lab]) as desk:
        desk.link(service.name, Lab, "basins")
        yield desk


@contextmanager
def on_files(count: int) -> Iterator[tuple[Stores, list[str]]]:
    """So many files, copies of one that was made through the desk."""
    with (
        tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder,
        desk_on(Service(name="files", url=f"sqlite:///{folder}")) as desk,
    ):
        names = [f"basins.b{number:05}" for number in range(count)]
        desk.create(Lab, names[0])
        first = desk.registry.find_store("lab", names[0])
        assert first is not None
        desk.close()
        for name in names[1:]:
            database = f"lab_{name.replace('.', '_')}"
            copyfile(Path(folder, f"{first.database}.sqlite"), Path(folder, f"{database}.sqlite"))
            entry = StoreEntry(app="lab", name=name, service="files", database=database, dynamic=True)
            desk.registry.put_store(entry)
        yield desk, names


@contextmanager
def on_databases(service: Service, count: int) -> Iterator[tuple[Stores, list[str]]]:
    """So many databases, made through the desk."""
    with desk_on(service) as desk:
        names = [f"basins.b{number:05}" for number in range(count)]
        made = desk.create_many(Lab, names, options=SyncOptions(jobs=4))
        assert all(result.ok for result in made)
        yield desk, names


def open_files() -> int:
    """How many databases of SQLite this process has open."""
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return sum(os.path.lexists(link) and os.readlink(link).endswith(".sqlite") for link in links)


# --- measuring ------------------------------------------------------------------------------------


def report(title: str, desk: Stores, names: list[str], rounds: int, count: Callable[[], int]) -> None:
    """Print what a store and a plain engine take, and the most connections there were."""
    ours: list[float] = []
    plain: list[float] = []
    most = 0
    share = len(names) * 4 // 5 // rounds  # The last fifth is for the plain engines.
    use(desk.engine(Lab, names[0]))
    for turn in range(rounds):
        part = names[turn * share : (turn + 1) * share]
        taken, peak = used(desk, part, count)
        ours.append(taken)
        most = max(most, peak)
        plain.append(plain_engines(desk, names[len(names) - PLAIN // rounds :]))
    limit = desk.engine(Lab, names[0]).pool.budget.limit
    mine, theirs = statistics.median(ours), statistics.median(plain)
    print(f"{title:<28}{'bytes per used store':>22}{'rounds':>8}")
    print(f"{'the desk':<28}{mine:>22.0f}{len(ours):>8}")
    print(f"{'create_engine each':<28}{theirs:>22.0f}{len(plain):>8}")
    print(f"the desk / create_engine: {mine / theirs:.2f}x")
    print(f"the desk: target <= {MAX_BYTES} bytes: {met(mine <= MAX_BYTES)}")
    print(f"most connections: {most}, target <= the budget of {limit}: {met(most <= limit)}")


def used(desk: Stores, names: list[str], count: Callable[[], int]) -> tuple[float, int]:
    """Bytes for each store whose engine and session factory were used, and the most connections."""
    most = 0

    def work() -> list[Any]:
        nonlocal most
        kept = []
        for number, name in enumerate(names):
            use(desk.engine(Lab, name))
            kept.append(desk.sessionmaker(Lab, name))
            if number % 20 == 0:
                most = max(most, count())
        return kept

    return allocated(work) / len(names), most


def plain_engines(desk: Stores, names: list[str]) -> float:
    """Bytes for each engine of `create_engine` that was used; its one connection is closed."""
    urls = [desk.url(Lab, name) for name in names]

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


def met(so: bool) -> str:
    """The word for it."""
    return "met" if so else "MISSED"


if __name__ == "__main__":
    main()
