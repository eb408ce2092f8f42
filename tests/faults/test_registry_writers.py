"""Many processes write to one registry at once, and nothing of it is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from faults.writers import COUNTERS, counter_url, number_in
from penstock.registry import Service

if TYPE_CHECKING:
    from fix_registries import RegistryHome
    from penstock.registry import DatabaseRegistry

WRITERS = 12
PROGRAM = Path(__file__).with_name("writers.py")


def test_what_twelve_processes_write_at_once_adds_up(registry_home: RegistryHome, tmp_path: Path) -> None:
    write_and_add_up(registry_home, tmp_path, seconds=3)


@pytest.mark.soak
def test_what_twelve_processes_write_for_a_minute_adds_up(
    registry_home: RegistryHome, tmp_path: Path
) -> None:
    write_and_add_up(registry_home, tmp_path, seconds=60)


def write_and_add_up(home: RegistryHome, folder: Path, seconds: float) -> None:
    with home.opened() as registry:
        for name in COUNTERS:
            registry.put_service(Service(name=name, url=counter_url(0)))
        said = all_write(home, folder, seconds)
        assert all(sum(writer["lines"].values()) for writer in said)
        check_services(registry, said)
        check_links_and_stores(registry, said)
        check_journal(registry, said)
        assert registry.generation() == len(COUNTERS) + sum(writer["changes"] for writer in said)


def all_write(home: RegistryHome, folder: Path, seconds: float) -> list[dict[str, Any]]:
    """What every writer says it has written."""
    order = {"url": home.url, "password": str(home.password or ""), "folder": str(folder)}
    command = (sys.executable, "-W", "error", str(PROGRAM), json.dumps(order), str(WRITERS), str(seconds))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + 120)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(WRITERS)]


def check_services(registry: DatabaseRegistry, said: list[dict[str, Any]]) -> None:
    """Every edit of a counter counted; every service of a writer is there."""
    services = {service.name: service for service in registry.services()}
    for name in COUNTERS:
        edits = sum(writer["edits"].get(name, 0) for writer in said)
        assert (number_in(services[name]), services[name].version) == (edits, edits + 1)
    others = {name: service.url for name, service in services.items() if name not in COUNTERS}
    assert others == {name: url for writer in said for name, url in writer["services"].items()}


def check_links_and_stores(registry: DatabaseRegistry, said: list[dict[str, Any]]) -> None:
    """What each writer linked and made last is there, and each contested database has one owner."""
    links: dict[str, dict[str, str]] = defaultdict(dict)
    for link in registry.links():
        links[link.app][link.setting] = link.service
    stores: dict[str, list[list[str]]] = defaultdict(list)
    won: dict[str, list[str]] = defaultdict(list)
    for store in registry.stores():
        if store.database.startswith("contested"):
            won[store.app].append(store.database)
        else:
            row = [store.service, store.database, store.state.value, store.record_id]
            stores[store.app].append(row)
    for writer in said:
        name = writer["name"]
        assert links[name] == writer["links"]
        assert sorted(stores[name]) == writer["stores"]
        assert sorted(won[name]) == writer["won"]


def check_journal(registry: DatabaseRegistry, said: list[dict[str, Any]]) -> None:
    """The journal has every line of every writer, and no other."""
    lines: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in registry.journal(limit=10**9):
        lines[entry.who][f"{entry.action}: {entry.result.partition(':')[0]}"] += 1
    assert lines == {writer["name"]: Counter(writer["lines"]) for writer in said}
