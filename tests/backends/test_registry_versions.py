"""No update is lost, and who asks learns that something changed."""

from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from penstock.errors import RegistryConflict, RegistryError
from penstock.registry import Link, Registry, Service, StoreEntry, StoreState
from penstock.registry.generation import Generation
from penstock.registry.registered import RegisteredServices

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_registries import RegistryHome

MAIN = Service(name="main", url="sqlite:////srv/main")
LINK = Link(app="lab", setting="gages", service="main")
STORE = StoreEntry(app="lab", name="gages", service="main", database="lab_gages")
MADE_LATER = StoreEntry(app="lab", name="basins.logan", service="main", database="lab_logan", dynamic=True)


def only(registry: Registry) -> Service:
    """The one service."""
    (found,) = registry.services()
    return found


# --- services: an edit says what it was made from -------------------------------------------------


def test_a_service_keeps_its_identity_through_every_edit(registry: Registry) -> None:
    registry.put_service(MAIN)
    first = only(registry)
    assert len(first.id) == 32
    registry.put_service(replace(first, url="sqlite:////srv/other"), replace=True)
    second = only(registry)
    assert (second.id, first.version, second.version) == (first.id, 1, 2)


def test_an_identity_that_is_given_is_kept(registry: Registry) -> None:
    registry.put_service(replace(MAIN, id="0" * 32))
    assert only(registry).id == "0" * 32


def test_the_second_of_two_edits_of_the_same_version_is_refused(registry: Registry) -> None:
    registry.put_service(MAIN)
    read = only(registry)
    registry.put_service(replace(read, url="sqlite:////srv/mine"), replace=True)
    with pytest.raises(RegistryConflict, match="changed meanwhile"):
        registry.put_service(replace(read, pooled=True), replace=True)
    assert only(registry).url == "sqlite:////srv/mine"


def test_an_edit_of_a_service_that_was_removed_is_refused(registry: Registry) -> None:
    registry.put_service(MAIN)
    read = only(registry)
    registry.remove_service("main")
    with pytest.raises(RegistryConflict, match="removed"):
        registry.put_service(read, replace=True)
    registry.put_service(replace(MAIN, url="sqlite:////srv/new"))
    with pytest.raises(RegistryConflict):  # The same name and version, but another service.
        registry.put_service(read, replace=True)
    assert only(registry).url == "sqlite:////srv/new"


def test_a_conflict_names_who_was_first(registry_home: RegistryHome, monkeypatch: pytest.MonkeyPatch) -> None:
    with registry_home.opened() as mine, registry_home.opened() as hers:
        mine.put_service(MAIN)
        read = only(mine)
        monkeypatch.setenv("PENSTOCK_ACTOR", "grace")
        hers.put_service(replace(only(hers), pooled=True), replace=True)
        with pytest.raises(RegistryConflict) as caught:
            mine.put_service(read, replace=True)
    assert caught.value.why == "By grace."
    assert "services list" in caught.value.hint


def test_an_operator_edits_what_was_read_or_whatever_is_there(registry: Registry) -> None:
    services = RegisteredServices(registry)
    services.add(MAIN)
    read = services.get("main")
    services.edit(replace(read, max_connections=3))
    with pytest.raises(RegistryConflict):
        services.edit(replace(read, max_connections=4))
    services.edit(replace(MAIN, max_connections=5))
    assert (only(registry).id, only(registry).max_connections) == (read.id, 5)
    assert [entry.result.split(":")[0] for entry in registry.journal(2)] == ["done", "registry-conflict"]


def test_every_row_counts_how_often_it_was_written(registry: Registry) -> None:
    for _ in range(3):
        registry.put_link(LINK)
        registry.put_store(STORE)
    assert [found.version for found in registry.links()] == [3]
    assert [found.version for found in registry.stores()] == [3]
    registry.put_store(replace(STORE, service="other"))
    assert [(found.service, found.version) for found in registry.stores()] == [("main", 4), ("other", 1)]


# --- generation -----------------------------------------------------------------------------------


def test_nothing_has_changed_before_anything_was_written(registry: Registry) -> None:
    assert registry.generation() == 0


CHANGES: dict[str, Callable[[Registry], object]] = {
    "new service": lambda registry: registry.put_service(replace(MAIN, name="new")),
    "edited service": lambda registry: registry.put_service(only(registry), replace=True),
    "removed service": lambda registry: registry.remove_service("main"),
    "link": lambda registry: registry.put_link(replace(LINK, service="other")),
    "unlink": lambda registry: registry.remove_link("lab", "gages"),
    "moved store": lambda registry: registry.put_store(replace(STORE, database="elsewhere")),
    "adopted store": lambda registry: registry.put_store(replace(STORE, name="new", database="old")),
    "forgotten store": lambda registry: registry.remove_store(STORE),
}

NO_CHANGES: dict[str, Callable[[Registry], object]] = {
    "nothing to remove": lambda registry: registry.remove_service("nobody"),
    "nothing to unlink": lambda registry: registry.remove_link("lab", "nothing"),
    "nothing to forget": lambda registry: registry.remove_store(replace(STORE, database="nowhere")),
    "store made at run time": lambda registry: registry.put_store(MADE_LATER),
    "store's state": lambda registry: registry.put_store(replace(STORE, state=StoreState.READY)),
}


def test_an_edit_that_is_refused_leaves_the_generation(filled: Registry) -> None:
    before = filled.generation()
    with pytest.raises(RegistryConflict):
        filled.put_service(MAIN, replace=True)
    assert filled.generation() == before


@pytest.fixture
def filled(registry: Registry) -> Registry:
    """A registry with one of each."""
    registry.put_service(MAIN)
    registry.put_link(LINK)
    registry.put_store(STORE)
    return registry


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_an_address_changes_the_generation(
    filled: Registry, change: Callable[[Registry], object]
) -> None:
    before = filled.generation()
    change(filled)
    assert filled.generation() == before + 1


@pytest.mark.parametrize("change", NO_CHANGES.values(), ids=NO_CHANGES)
def test_what_changes_no_address_leaves_the_generation(
    filled: Registry, change: Callable[[Registry], object]
) -> None:
    before = filled.generation()
    change(filled)
    assert filled.generation() == before


def test_a_process_learns_what_another_one_changed(registry_home: RegistryHome) -> None:
    with registry_home.opened() as mine, registry_home.opened() as others:
        assert mine.generation() == 0
        others.put_service(MAIN)
        assert mine.generation(max_age=60) == 0
        assert mine.generation() == 1
        mine.put_link(LINK)
        assert mine.generation(max_age=60) == 2


def test_the_generation_of_a_registry_that_is_no_database_is_an_error(sqlite_registry: RegistryHome) -> None:
    sqlite_registry.load("CREATE TABLE penstock_registry (other INTEGER)")
    with sqlite_registry.opened() as registry, pytest.raises(RegistryError):
        registry.generation()


def test_while_one_thread_asks_for_the_generation_the_others_go_on() -> None:
    asked, answer = Event(), Event()
    answers = iter([1, 2])

    def ask() -> int:
        found = next(answers)
        if found == 2:
            asked.set()
            answer.wait(60)
        return found

    generation = Generation(ask)
    assert generation.get(0) == 1
    slow = Thread(target=generation.get, args=(1e-9,))
    slow.start()
    assert asked.wait(60)
    assert generation.get(60) == 1
    answer.set()
    slow.join()
    assert generation.get(60) == 2


def test_an_answer_of_before_an_own_write_is_not_kept() -> None:
    answers = iter([1, 2])

    def ask() -> int:
        found = next(answers)
        if found == 1:
            generation.forget()  # As a write does that ends while the answer is on its way.
        return found

    generation = Generation(ask)
    assert generation.get(60) == 1
    assert generation.get(60) == 2
