"""Stores made at run time: of a kind, and through a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, select, text

from fix_apps import count
from penstock import App, Connection, Store, Stores
from penstock.errors import (
    DeclarationError,
    InitializerError,
    NotSupported,
    StoreNotCreated,
    StoreNotOurs,
    UnknownStore,
    WrongSetting,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer


def test_t8_a_store_of_which_nothing_could_be_made_is_not_remembered(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    with pytest.raises(InitializerError):
        lab.create_persistent_store("extra", "servers", initializer="nowhere.seed")
    assert lab.list_persistent_store_databases() == ["gages"]
    assert ground.databases() == set()


def test_stores_of_a_kind_are_made_listed_and_dropped(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    logan = lab.basins.create("logan")
    assert logan.engine is lab.basins["logan"].engine
    assert lab.basins.create("logan").exists()
    lab.basins.create("New River")
    assert lab.basins.names() == ["New River", "logan"]
    assert lab.list_persistent_store_databases(dynamic_only=True) == ["basins.New River", "basins.logan"]
    assert ground.databases() == {"lab_basins_logan", "lab_basins_new_river"}
    assert [lab.basins.drop("logan").existed for _ in range(2)] == [True, False]
    assert lab.basins.names() == ["New River"]


def test_creating_an_existing_store_keeps_what_it_is_not_told_to_change(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    assert lab.create_persistent_store("extra", "servers", initializer="fix_apps.seed_with_tables")
    assert lab.create_persistent_store("extra", "servers")
    entry = stores.registry.find_store("lab", "extra")
    assert entry is not None
    assert entry.initializer == "fix_apps.seed_with_tables"
    assert count(Store(lab, "extra")) == 2
    assert lab.create_persistent_store("extra", None)
    assert lab.drop_persistent_store("extra")
    with pytest.raises(ValueError, match="connection"):
        lab.create_persistent_store("extra", None)


def test_a_declared_store_can_not_be_redefined_at_run_time(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    assert lab.create_persistent_store("gages", "servers")
    assert count(lab.gages) == 2
    with pytest.raises(DeclarationError, match="declared by app lab"):
        lab.create_persistent_store("gages", "servers", initializer="fix_apps.seed_with_tables")
    with pytest.raises(WrongSetting):
        lab.create_persistent_store("servers", "servers")


def test_t8_a_store_over_somebodys_database_is_refused_and_not_remembered(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("lab_extra")
    ground.run_sql("lab_extra", "CREATE TABLE theirs (id integer)")
    with pytest.raises(StoreNotOurs):
        lab.create_persistent_store("extra", "servers")
    assert lab.list_persistent_store_databases() == ["gages"]
    assert ground.databases() == {"lab_extra"}


# --- adopted --------------------------------------------------------------------------------------


def make_old(ground: TestServer, name: str) -> None:
    """A database of somebody's, with one gage in it."""
    ground.make_database(name)
    ground.run_sql(name, "CREATE TABLE gage (number varchar(20) PRIMARY KEY, altitude float NOT NULL)")
    ground.run_sql(name, "INSERT INTO gage VALUES ('1', 2.5)")
    if ground.server is not None:
        ground.run_sql(name, "GRANT ALL ON gage TO penstock")


def test_a_database_is_adopted_as_a_store_that_no_declaration_names(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    make_old(ground, "old-extra")
    address = stores.adopt(lab, "extra", "old-extra", connection="servers")
    assert (address.service, address.database) == ("main", "old-extra")
    assert lab.list_persistent_store_databases(dynamic_only=True) == ["extra"]
    assert count(Store(lab, "extra")) == 1
    [result] = stores.sync(lab, ["extra"])
    assert result.ok, result.error
    assert lab.create_persistent_store("extra", None)
    assert count(Store(lab, "extra")) == 1
    assert lab.drop_persistent_store("extra")
    assert ground.databases() == set()


def test_a_database_is_adopted_as_a_store_of_a_kind_and_listed_as_one(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    make_old(ground, "old-logan")
    stores.adopt(lab, "basins.logan", "old-logan")
    assert lab.basins.names() == ["logan"]
    assert count(lab.basins["logan"]) == 1


def test_adopting_needs_a_connection_for_what_is_not_declared_and_none_for_what_is(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    with pytest.raises(DeclarationError, match="declared by app lab"):
        stores.adopt(lab, "gages", "old", connection="servers")
    with pytest.raises(WrongSetting):
        stores.adopt(lab, "extra", "old", connection="gages")
    with pytest.raises(StoreNotCreated, match="no database") as caught:
        stores.adopt(lab, "extra", "not_there")
    assert "penstock stores create lab:extra --connection servers" in caught.value.hint
    assert lab.list_persistent_store_databases() == ["gages"]

    class Two(App):
        package = "two"
        one = Connection("One.", required=False)
        other = Connection("Other.", required=False)

    with pytest.raises(UnknownStore, match="--connection"):
        stores.adopt(Two, "extra", "old")


# --- names and addresses --------------------------------------------------------------------------


def test_the_name_of_a_dropped_store_hands_out_no_engine_even_to_who_still_has_the_old_one(
    stores: Stores, lab: type[App]
) -> None:
    lab.create_persistent_store("extra", "servers")
    kept = lab.get_persistent_store_database("extra")
    lab.drop_persistent_store("extra")
    for ask in (stores.engine, stores.sessionmaker, stores.session, stores.url):
        with pytest.raises(UnknownStore):
            ask(lab, "extra")
    lab.create_persistent_store("extra", "servers")
    assert lab.get_persistent_store_database("extra") is kept
    with kept.connect() as connection:
        assert connection.scalar(select(1)) == 1


def test_the_address_of_a_connection_opens_what_its_engine_opens(
    server_ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    stores = stores_on(server_ground, lab)
    url = stores.connections.url(lab, "servers")
    opened = stores.connections.engine(lab, "servers").url
    assert (url.host, url.port, url.username, url.database) == (
        opened.host, opened.port, opened.username, opened.database
    )  # fmt: skip
    current = "SELECT DATABASE()" if server_ground.kind == "mariadb" else "SELECT current_database()"
    engine = create_engine(url)
    with engine.connect() as ours, stores.connections.engine(lab, "servers").connect() as theirs:
        assert ours.scalar(text(current)) == theirs.scalar(text(current))
    engine.dispose()


def test_where_a_connection_opens_nothing_its_address_is_refused_as_its_engine_is(
    sqlite_ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    stores = stores_on(sqlite_ground, lab)
    for ask in (stores.connections.url, stores.connections.engine):
        with pytest.raises(NotSupported, match="get_persistent_store_database"):
            ask(lab, "servers")
