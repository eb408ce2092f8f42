"""One suite over every registry: in memory, in a SQLite file, in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penstock.errors import NameCollision, PenstockError, RegistryError, ServiceExists
from penstock.registry import (
    DatabaseRegistry,
    JournalEntry,
    Link,
    Registry,
    Service,
    StoreEntry,
    StoreState,
)
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable

MAIN = Service(
    name="main",
    url="postgresql+psycopg://a@b:1",
    password=SecretRef("env", "PW"),
    admin_url="postgresql+psycopg://root@b:1",
    admin_password=SecretRef("file", "/run/x"),
    pooled=True,
    max_connections=7,
)
STORE = StoreEntry(
    app="lab", name="gages", service="main", database="lab_gages", record_id="5f5cd5e2-9d0e-4d55-8b02"
)


def test_nothing_is_known_before_anything_is_written(registry: Registry) -> None:
    assert list(registry.services()) == []
    assert list(registry.links()) == []
    assert list(registry.stores()) == []
    assert registry.find_store("lab", "gages") is None
    assert list(registry.journal()) == []


def test_a_service_is_remembered_whole(registry: Registry) -> None:
    registry.put_service(MAIN)
    (found,) = registry.services()
    assert found == MAIN


def test_a_taken_name_is_refused_unless_it_may_be_replaced(registry: Registry) -> None:
    registry.put_service(MAIN)
    with pytest.raises(ServiceExists):
        registry.put_service(MAIN)
    (found,) = registry.services()
    registry.put_service(replace(found, url="sqlite:///x"), replace=True)
    assert [service.url for service in registry.services()] == ["sqlite:///x"]
    registry.remove_service("main")
    registry.remove_service("main")
    assert list(registry.services()) == []


def test_a_link_replaces_the_one_before(registry: Registry) -> None:
    registry.put_link(Link(app="lab", setting="gages", service="one"))
    registry.put_link(Link(app="lab", setting="gages", service="two"))
    assert [a.service for a in registry.links()] == ["two"]
    assert registry.remove_link("lab", "gages")
    assert not registry.remove_link("lab", "gages")


def test_a_store_is_remembered_where_it_is(registry: Registry) -> None:
    registry.put_store(STORE)
    registry.put_store(replace(STORE, state=StoreState.FAILED, problem="dry"))
    assert registry.find_store("lab", "gages") == replace(STORE, state=StoreState.FAILED, problem="dry")
    assert list(registry.stores("other")) == list(registry.stores("lab", "other")) == []
    assert list(registry.stores("lab", "gages")) == list(registry.stores("lab"))
    registry.remove_store(STORE)
    assert registry.find_store("lab", "gages") is None


def test_a_store_that_moved_leaves_an_entry_behind_and_can_come_back(registry: Registry) -> None:
    registry.put_store(STORE)
    moved = replace(STORE, service="other")
    registry.put_store(moved)
    assert registry.find_store("lab", "gages") == moved
    assert [(s.service, s.state) for s in registry.stores("lab")] == [
        ("main", StoreState.LEFT),
        ("other", StoreState.PENDING),
    ]
    registry.put_store(STORE)
    assert registry.find_store("lab", "gages") == STORE
    assert len(registry.stores("lab")) == 2


def test_t10_a_database_belongs_to_one_store(registry: Registry) -> None:
    registry.put_store(STORE)
    with pytest.raises(NameCollision, match="lab:gages and bal:gages"):
        registry.put_store(replace(STORE, app="bal"))


def test_the_journal_is_read_newest_first(registry: Registry) -> None:
    for number in range(3):
        registry.write_journal(
            JournalEntry(
                who="ada",
                action="link",
                subject=str(number),
                result="done",
                seconds=0.5,
                at=datetime(2026, 1, 1, tzinfo=UTC),
                detail={"service": "main"},
            )
        )
    newest, second = registry.journal(limit=2)
    assert (newest.subject, second.subject) == ("2", "1")
    assert newest.at == datetime(2026, 1, 1, tzinfo=UTC)
    assert newest.detail == {"service": "main"}


def test_a_registry_file_is_for_its_user_only(tmp_path: Path) -> None:
    registry = DatabaseRegistry.at(tmp_path / ".penstock" / "registry.sqlite3")
    registry.put_service(MAIN)
    registry.close()
    assert (tmp_path / ".penstock").stat().st_mode & 0o777 == 0o700


def test_a_registry_of_another_release_is_refused(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "registry.sqlite3"
    DatabaseRegistry.at(path).put_service(MAIN)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE penstock_registry SET format = 99")
    connection.commit()
    connection.close()
    registry = DatabaseRegistry.at(path)
    for call in (registry.services, lambda: registry.put_service(MAIN)):
        with pytest.raises(RegistryError, match="format 99"):
            call()
    registry.close()


BREAKS = {"garbage": lambda path: path.write_bytes(b"not a database" * 100), "directory": Path.mkdir}


@pytest.mark.parametrize("break_it", BREAKS.values(), ids=BREAKS)
def test_a_registry_that_is_no_database_is_a_clear_error(
    tmp_path: Path, break_it: Callable[[Path], object]
) -> None:
    path = tmp_path / "registry.sqlite3"
    break_it(path)
    registry = DatabaseRegistry.at(path)
    for call in (registry.services, lambda: registry.put_service(MAIN)):
        with pytest.raises(PenstockError, match=r"registry\.sqlite3"):
            call()
    registry.close()
