"""Processes that write to one registry, and count what they did."""

from __future__ import annotations

import json
import os
import random
import sys
import time
import traceback
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from penstock import Stores
from penstock.declare import AppDeclaration, ConnectionSetting
from penstock.errors import NameCollision, PenstockError, RegistryConflict
from penstock.registry import DatabaseRegistry, Service, StoreEntry, StoreState, journalled
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTERS = ("counter-0", "counter-1", "counter-2")
"""Services that every writer edits: the address of each counts the edits."""

SETTINGS = ("one", "two", "three")
CONTESTED = 5


def counter_url(number: int) -> str:
    """The address that stands for a number."""
    return f"sqlite+pysqlite:////srv/{number}"


def number_in(service: Service) -> int:
    """The number that an address stands for."""
    return int(service.url.rpartition("/")[2])


class Writer:
    """Writes at random, and remembers what there has to be in the end.

    Args:
        registry: What it writes to.
        number: Which writer it is.
    """

    def __init__(self, registry: DatabaseRegistry, number: int) -> None:
        self.registry = registry
        self.operator = Stores(registry)
        self.random = random.Random(number)
        self.name = f"w{number}"
        settings = tuple(ConnectionSetting(name=name) for name in SETTINGS)
        self.app = AppDeclaration(self.name, self.name, settings)
        self.changes = 0
        self.lines: Counter[str] = Counter()
        self.edits: Counter[str] = Counter()
        self.services: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.stores: dict[str, StoreEntry] = {}
        self.left: dict[tuple[str, str], StoreEntry] = {}
        self.won: set[str] = set()

    def write(self, seconds: float) -> None:
        """Write for a while."""
        end = time.monotonic() + seconds
        todo = (self.count, self.add, self.edit, self.remove, self.link, self.unlink)
        stores = (self.make, self.work_on, self.move, self.forget, self.contend)
        while time.monotonic() < end:
            self.random.choice((self.count, *todo, *stores))()

    # --- services ---

    def count(self) -> None:
        """Read a number, write the next one; begin again if somebody else was faster."""
        name = self.random.choice(COUNTERS)
        while True:
            with suppress(RegistryConflict), self.line("edit service", 1):
                read = self.operator.services.get(name)
                self.operator.services.edit(replace(read, url=counter_url(number_in(read) + 1)))
                self.edits[name] += 1
                return

    def add(self) -> None:
        """Add a service of our own."""
        name = f"{self.name}-{self.random.randrange(10**9)}"
        with self.line("add service", 1):
            self.operator.services.add(Service(name=name, url=counter_url(0)))
        self.services[name] = counter_url(0)

    def edit(self) -> None:
        """Edit one of our own, whatever it is."""
        for name in self.some(self.services):
            url = counter_url(self.random.randrange(10**9))
            with self.line("edit service", 1):
                self.operator.services.edit(Service(name=name, url=url))
            self.services[name] = url

    def remove(self) -> None:
        """Remove one of our own."""
        for name in self.some(self.services):
            with self.line("remove service", 1):
                self.operator.services.remove(name)
            del self.services[name]

    # --- links ---

    def link(self) -> None:
        """Link a service to a setting."""
        setting, service = self.random.choice(SETTINGS), self.random.choice(COUNTERS)
        with self.line("link", 1):
            self.operator.links.add(service, self.app, setting)
        self.links[setting] = service

    def unlink(self) -> None:
        """Unlink it."""
        for setting in self.some(self.links):
            with self.line("unlink", 1):
                assert self.operator.links.remove(self.name, setting)
            del self.links[setting]

    # --- stores ---

    def make(self) -> None:
        """Remember a store that was made at run time: nobody looked for it before."""
        name = f"s{self.random.randrange(10**9)}"
        entry = StoreEntry(
            app=self.name, name=name, service=COUNTERS[0], database=f"{self.name}_{name}", dynamic=True
        )
        self.put(entry, 0)
        self.stores[name] = entry

    def work_on(self) -> None:
        """Remember how work on a store ended."""
        for name in self.some(self.stores):
            entry = replace(self.stores[name], state=StoreState.READY, record_id=name)
            self.put(entry, 0)
            self.stores[name] = entry

    def move(self) -> None:
        """Remember that a store is on another service now."""
        for name in self.some(self.stores):
            before = self.stores[name]
            service = self.random.choice([other for other in COUNTERS if other != before.service])
            self.put(entry := replace(before, service=service), 1)
            self.left[before.service, before.database] = replace(before, state=StoreState.LEFT)
            self.left.pop((service, before.database), None)
            self.stores[name] = entry

    def forget(self) -> None:
        """Forget a store."""
        for name in self.some(self.stores):
            with self.line("drop store", 1), journalled(self.registry, "drop store", name):
                self.registry.remove_store(self.stores.pop(name))

    def contend(self) -> None:
        """Claim a database that others claim as well: one of us gets it."""
        database = f"contested-{self.random.randrange(CONTESTED)}"
        entry = StoreEntry(app=self.name, name=database, service=COUNTERS[0], database=database)
        with suppress(NameCollision):
            self.put(entry, 0 if database in self.won else 1)
            self.won.add(database)

    # --- counting ---

    def put(self, entry: StoreEntry, changes: int) -> None:
        """Remember a store, with a line in the journal."""
        subject = f"{entry.app}:{entry.name}"
        with self.line("sync store", changes), journalled(self.registry, "sync store", subject):
            self.registry.put_store(entry)

    @contextmanager
    def line(self, action: str, changes: int) -> Iterator[None]:
        """Count a line of the journal, as it has to be there; and changes, if it ends well."""
        try:
            yield
        except PenstockError as error:
            self.lines[f"{action}: {error.code}"] += 1
            raise
        self.lines[f"{action}: done"] += 1
        self.changes += changes

    def some(self, known: dict[str, object]) -> list[str]:
        """One of those there are, or none."""
        return self.random.sample(sorted(known), min(1, len(known)))

    def said(self) -> dict[str, object]:
        """All that was counted, as plain data."""
        stores = [*self.stores.values(), *self.left.values()]
        return {
            "name": self.name,
            "changes": self.changes,
            "lines": self.lines,
            "edits": self.edits,
            "services": self.services,
            "links": self.links,
            "stores": sorted([s.service, s.database, s.state.value, s.record_id] for s in stores),
            "won": sorted(self.won),
        }


def main(order: dict[str, str], writers: int, seconds: float) -> None:
    """Fork the writers, let them begin at once, and wait for them; each leaves a file."""
    waits, goes = os.pipe()
    children = []
    for number in range(writers):
        child = os.fork()
        if child == 0:
            os.close(goes)
            os.read(waits, 1)  # Until the parent closes its end.
            _write(order, number, seconds)
        children.append(child)
    os.close(goes)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def _write(order: dict[str, str], number: int, seconds: float) -> NoReturn:
    os.environ["PENSTOCK_ACTOR"] = f"w{number}"
    status = 1
    try:
        password = SecretRef.parse(order["password"]) if order["password"] else None
        registry = DatabaseRegistry(order["url"], password=password)
        writer = Writer(registry, number)
        writer.write(seconds)
        registry.close()
        Path(order["folder"], f"{number}.json").write_text(json.dumps(writer.said()))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
