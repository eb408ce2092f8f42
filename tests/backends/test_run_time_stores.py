"""Stores made at run time: of a kind, and through a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fix_apps import count
from penstock import App, Store, Stores
from penstock.errors import DeclarationError, InitializerError, StoreNotOurs, WrongSetting

if TYPE_CHECKING:
    from fix_servers import Ground


def test_t8_a_store_of_which_nothing_could_be_made_is_not_remembered(
    desk: Stores, lab: type[App], ground: Ground
) -> None:
    with pytest.raises(InitializerError):
        lab.create_persistent_store("extra", "servers", initializer="nowhere.seed")
    assert lab.list_persistent_store_databases() == ["gages"]
    assert ground.databases() == set()


def test_stores_of_a_kind_are_made_listed_and_dropped(desk: Stores, lab: type[App], ground: Ground) -> None:
    logan = lab.basins.create("logan")
    assert logan.engine is lab.basins["logan"].engine
    assert lab.basins.create("logan").exists()
    lab.basins.create("New River")
    assert lab.basins.names() == ["New River", "logan"]
    assert lab.list_persistent_store_databases(dynamic_only=True) == ["basins.New River", "basins.logan"]
    assert ground.databases() == {"lab_basins_logan", "lab_basins_new_river"}
    assert lab.basins.drop("logan") is True
    assert lab.basins.drop("logan") is True
    assert lab.basins.names() == ["New River"]


def test_creating_an_existing_store_keeps_what_it_is_not_told_to_change(
    desk: Stores, lab: type[App], ground: Ground
) -> None:
    assert lab.create_persistent_store("extra", "servers", initializer="fix_apps.seed_with_tables")
    assert lab.create_persistent_store("extra", "servers")
    entry = desk.registry.find_store("lab", "extra")
    assert entry is not None
    assert entry.initializer == "fix_apps.seed_with_tables"
    assert count(Store(lab, "extra")) == 2
    assert lab.create_persistent_store("extra", None)
    assert lab.drop_persistent_store("extra")
    with pytest.raises(ValueError, match="connection"):
        lab.create_persistent_store("extra", None)


def test_a_declared_store_can_not_be_redefined_at_run_time(
    desk: Stores, lab: type[App], ground: Ground
) -> None:
    assert lab.create_persistent_store("gages", "servers")
    assert count(lab.gages) == 2
    with pytest.raises(DeclarationError, match="declared by app lab"):
        lab.create_persistent_store("gages", "servers", initializer="fix_apps.seed_with_tables")
    with pytest.raises(WrongSetting):
        lab.create_persistent_store("servers", "servers")


def test_t8_a_store_over_somebodys_database_is_refused_and_not_remembered(
    desk: Stores, lab: type[App], ground: Ground
) -> None:
    ground.make_database("lab_extra")
    ground.run_sql("lab_extra", "CREATE TABLE theirs (id integer)")
    with pytest.raises(StoreNotOurs):
        lab.create_persistent_store("extra", "servers")
    assert lab.list_persistent_store_databases() == ["gages"]
    assert ground.databases() == {"lab_extra"}
