"""P11: a sync of many stores that finds nothing to do, by 4 threads."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from measure import Target, Way, arguments, interleaved, progress, report, server

from penstock import App, Database, MemoryRegistry, Stores, SyncOptions
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from measure import Server

    from penstock.registry import Registry

ROUNDS = 5
STORES = 1_000
THREADS = 4

LIMIT = f"connect, SELECT 1, close; {THREADS} threads"
IN_FILE, IN_MEMORY = "penstock, registry in a file", "penstock, registry in memory"


class Lab(App):
    """An app with a kind of store in which nothing is declared."""

    package = "lab"
    tenants = Database("One store per tenant.", many=True)


def main() -> None:
    """Look at so many stores in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, stores=STORES)
    names = [f"t{number:04}" for number in range(count)]
    with server() as found, tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        file = stores_over(DatabaseRegistry.at(Path(folder) / "registry.sqlite3"), found)
        memory = stores_over(MemoryRegistry(), found)
        progress(f"making {count:,} stores")
        made(file, names)
        made(memory, names, adopt=True)
        databases = [file.address(Lab, f"tenants.{name}").database for name in names]
        work = {
            LIMIT: lambda: connected(found, databases),
            IN_FILE: lambda: synced(file),
            IN_MEMORY: lambda: synced(memory),
        }
        ways = {name: Way(work=each, count=count) for name, each in work.items()}
        times = interleaved(ways, rounds, unit="ms")
        file.close()
        memory.close()
    targets = [Target("P11", IN_FILE, LIMIT, 1.3), Target("", IN_MEMORY, LIMIT, 1.3)]
    report(f"{count:,} stores with nothing to do; each", times, targets, unit="ms")


def stores_over(registry: Registry, found: Server) -> Stores:
    """`Stores` over a registry, with the service linked."""
    registry.put_service(found.service)
    stores = Stores(registry, apps=[Lab])
    stores.links.add(found.service.name, Lab, "tenants")
    return stores


def made(stores: Stores, names: list[str], *, adopt: bool = False) -> None:
    """Make the stores, or let a second registry know them, too."""
    if adopt:
        for name in names:
            full = f"tenants.{name}"
            stores.adopt(Lab, full, database=f"lab_tenants_{name}")
        return
    results = stores.create_many(Lab, [f"tenants.{name}" for name in names])
    failed = [result.error for result in results if not result.ok]
    assert not failed, failed[0]


def synced(stores: Stores) -> None:
    """Sync all of the app's stores."""
    results = stores.sync(Lab, options=SyncOptions(jobs=THREADS))
    failed = [result.error for result in results if not result.ok]
    assert not failed, failed[0]


def connected(found: Server, databases: list[str]) -> None:
    """Connect to each database, and ask it for a number."""
    url = f"host=127.0.0.1 port={found.made.port} user=penstock"
    password = found.made.owner_password_file.read_text("utf-8").strip()

    def work(part: list[str]) -> None:
        for database in part:
            address = f"{url} dbname={database} password={password}"
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("SELECT 1").fetchone()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, [databases[n::THREADS] for n in range(THREADS)]))


if __name__ == "__main__":
    main()
