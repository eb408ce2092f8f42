"""Where an answer comes from: environment, file, registry, DATABASE_URL."""

from __future__ import annotations

import pytest

from penstock.connect import AddressBook
from penstock.declare import AppDeclaration, ConnectionSetting, DatabaseSetting, StoreName
from penstock.errors import (
    ConfigError,
    DefinedElsewhere,
    NotLinked,
    UnknownService,
    UnknownStore,
    WrongSetting,
)
from penstock.registry import (
    Bindings,
    FixedRegistry,
    LayeredRegistry,
    Link,
    MemoryRegistry,
    Service,
    Source,
    StoreEntry,
)

LAB = AppDeclaration(
    "lab", "Lab", (DatabaseSetting("gages"), DatabaseSetting("basins", many=True), ConnectionSetting("c"))
)
ONE = AppDeclaration("one", "One", (DatabaseSetting("only"),))
FILE = Source("file", "penstock.toml:3")


def book(environment: dict[str, str] | None = None) -> tuple[AddressBook, LayeredRegistry]:
    """A file that knows `filed`, over a registry that knows `filed` and `kept`."""
    base = MemoryRegistry()
    for name in ("filed", "kept"):
        base.put_service(Service(name=name, url=f"sqlite:////base/{name}"))
    base.put_link(Link(app="lab", setting="gages", service="kept"))
    layer = FixedRegistry([Service(name="filed", url="sqlite:////file", source=FILE)], [])
    registry = LayeredRegistry([layer], base)
    return AddressBook(registry, Bindings(environment or {})), registry


def test_the_registry_answers_when_nothing_else_does() -> None:
    address = book()[0].get(LAB, "gages")
    assert (address.service, address.database, str(address.source)) == ("kept", "lab_gages", "this process")


def test_a_file_comes_before_the_registry() -> None:
    base = MemoryRegistry()
    base.put_link(Link(app="lab", setting="gages", service="kept"))
    linked = Link(app="lab", setting="gages", service="filed", source=FILE)
    layer = FixedRegistry([Service(name="filed", url="sqlite:////file", source=FILE)], [linked])
    address = AddressBook(LayeredRegistry([layer], base), Bindings({})).get(LAB, "gages")
    assert (address.service, str(address.source)) == ("filed", "penstock.toml:3")
    assert address.database_address.server.login.url.database == "/file"


def test_a_stores_own_variable_comes_first() -> None:
    found = book({"PENSTOCK_STORE__LAB__GAGES": "postgres://u:p%40@h/their_name"})[0].get(LAB, "gages")
    assert found.database == "their_name"
    assert str(found.source) == "environment variable PENSTOCK_STORE__LAB__GAGES"
    assert found.database_address.server.login.password() == "p@"
    assert "p@" not in repr(found)
    assert found.database_address.server.login.url.password is None


def test_database_url_is_the_last_resort_of_an_app_with_one_store() -> None:
    environment = {"DATABASE_URL": "sqlite:////data/one.db"}
    addresses, registry = book(environment)
    assert addresses.get(ONE, "only").database == "./one.db"
    assert addresses.get(LAB, "gages").service == "kept"
    registry.put_link(Link(app="one", setting="only", service="kept"))
    assert addresses.get(ONE, "only").service == "kept"


def test_a_variable_that_is_no_address_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        book({"PENSTOCK_STORE__LAB__GAGES": "hunter2 hunter2"})[0].get(LAB, "gages")
    assert "PENSTOCK_STORE__LAB__GAGES" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_unlinked_unknown_or_other_setting_raises() -> None:
    addresses, registry = book()
    with pytest.raises(NotLinked):
        addresses.get(ONE, "only")
    with pytest.raises(UnknownStore):
        addresses.get(LAB, "nobody")
    with pytest.raises(UnknownStore):
        addresses.get(LAB, "gages.x")
    with pytest.raises(WrongSetting):
        addresses.get(LAB, "c")
    assert addresses.find(ONE, "only") is None
    registry.put_link(Link(app="one", setting="only", service="gone"))
    with pytest.raises(UnknownService, match="wanted at"):
        addresses.get(ONE, "only")


def test_the_physical_name_is_remembered_not_computed() -> None:
    addresses, registry = book()
    registry.put_store(StoreEntry(app="lab", name="gages", service="kept", database="old-name"))
    assert addresses.get(LAB, "gages").database == "old-name"


def test_a_store_linked_elsewhere_gets_a_new_name_and_its_old_one_when_it_comes_back() -> None:
    addresses, registry = book()
    registry.put_store(StoreEntry(app="lab", name="gages", service="kept", database="old-name"))
    registry.put_link(Link(app="lab", setting="gages", service="filed"))
    moved = addresses.get(LAB, "gages")
    assert (moved.service, moved.database) == ("filed", "lab_gages")
    registry.put_store(moved.entry())
    registry.put_link(Link(app="lab", setting="gages", service="kept"))
    assert addresses.get(LAB, "gages").database == "old-name"


def test_what_a_file_defines_a_command_can_not_change() -> None:
    _, registry = book()
    with pytest.raises(DefinedElsewhere, match=r"penstock\.toml:3"):
        registry.put_service(Service(name="filed", url="sqlite:///x"), replace=True)
    with pytest.raises(DefinedElsewhere):
        registry.remove_service("filed")
    assert [(s.name, s.url) for s in registry.services()] == [
        ("filed", "sqlite:////file"),
        ("kept", "sqlite:////base/kept"),
    ]


def test_members_of_a_kind_follow_the_kinds_link() -> None:
    addresses, registry = book()
    registry.put_link(Link(app="lab", setting="basins", service="kept"))
    address = addresses.get(LAB, "basins.logan")
    assert (address.store, address.database) == (StoreName("basins.logan"), "lab_basins_logan")
