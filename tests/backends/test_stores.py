"""What `Stores` does with stores, the same on every kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, func, select, text

from fix_apps import Base, Gage, all_ok, count, seed
from penstock import (
    App,
    Database,
    MemoryRegistry,
    NewStore,
    Stores,
    SyncOptions,
    use,
)
from penstock.errors import (
    NameCollision,
    NotLinked,
    StoreNotOurs,
    UnknownSetting,
    UnknownStore,
    WrongSetting,
)
from penstock.provision.status import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer


def test_t10_two_settings_of_one_app_that_share_a_database_are_refused_at_declaration() -> None:
    with pytest.raises(NameCollision, match=r"'A b' and 'a_b'"):
        type("Lab", (App,), {"A b": Database(), "a_b": Database()})


def test_t10_two_apps_that_share_a_database_are_refused_when_plugged_in(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    class One(App):
        package = "a"
        b_c = Database()

    class Other(App):
        package = "a_b"
        c = Database()

    stores = stores_on(ground, One, Other)
    stores.links.add("main", One, "b_c")
    with pytest.raises(NameCollision, match=r"a:b_c and a_b:c"):
        stores.links.add("main", Other, "c")


def test_t10_a_store_made_at_run_time_can_not_take_another_ones_database(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    class One(App):
        package = "a"
        b_c = Database(many=True)

    class Other(App):
        package = "a_b"
        c = Database(many=True)

    with use(stores_on(ground, One, Other, links=("b_c", "c"))):
        One.b_c.create("x")
        with pytest.raises(NameCollision, match=r"a:b_c\.x and a_b:c\.x"):
            Other.c.create("x")
        assert ground.databases() == {"a_b_c_x"}


def test_t16_a_connection_over_sqlite_makes_stores_but_is_no_engine(
    sqlite_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    from penstock.errors import NotSupported

    with use(stores_on(sqlite_ground, lab)):
        with pytest.raises(NotSupported, match="get_persistent_store_database"):
            lab.get_persistent_store_connection("servers")
        assert lab.create_persistent_store("extra", "servers")
        assert sqlite_ground.databases() == {"lab_extra"}


def test_t19_the_stores_of_an_app_that_is_not_here_are_listed_but_no_orphans(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    without = Stores(stores.registry)
    (left,) = without.status()
    assert (left.app, left.store, left.health, left.exists) == ("lab", "gages", Health.BROKEN, True)
    assert (left.required, "drop" in left.hint) == (True, False)

    class Lab(App):
        package = "lab"
        other = Database(required=False)

    without.register(Lab)
    assert (
        "does not declare 'gages'" in next(s for s in without.status() if s.health is Health.ORPHAN).problem
    )


def test_e5_somebody_elses_database_in_database_url_is_refused(
    ground: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lab(App):
        package = "lab"
        gages = Database(metadata=Gage.metadata, initializer=seed)

    ground.make_database("theirs")
    ground.run_sql("theirs", "CREATE TABLE precious (id integer)")
    ground.run_sql("theirs", "INSERT INTO precious VALUES (1)")
    monkeypatch.setenv("DATABASE_URL", ground.address_of("theirs"))
    with use(Stores(MemoryRegistry(), apps=[Lab])) as stores:
        (result,) = stores.sync(Lab, options=SyncOptions(refresh=True))
        assert isinstance(result.error, StoreNotOurs)
        with pytest.raises(StoreNotOurs):
            Lab.drop_persistent_store("gages")
        stores.close()
    assert ground.run_sql("theirs", "SELECT id FROM precious") == [(1,)]


def test_a_database_in_the_environment_serves_the_only_store(
    ground: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lab(App):
        package = "lab"
        gages = Database(metadata=Gage.metadata, initializer=seed)

    monkeypatch.setenv("PENSTOCK_STORE__LAB__GAGES", ground.address_of("any_name"))
    with use(Stores(MemoryRegistry(), apps=[Lab])) as stores:
        all_ok(stores, Lab)
        assert count(Lab.gages) == 2
        (status,) = stores.status(Lab)
        assert status.source == "environment variable PENSTOCK_STORE__LAB__GAGES"
        stores.close()
    assert ground.databases() == {"any_name"}


def test_every_getter_of_the_documented_spelling_answers(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    engine = lab.get_persistent_store_database("gages")
    assert lab.get_persistent_store_database("gages") is engine is lab.gages.engine
    maker = lab.get_persistent_store_database("gages", as_sessionmaker=True)
    with maker() as session:
        assert session.scalar(select(func.count()).select_from(Gage)) == 2
    url = lab.get_persistent_store_database("gages", as_url=True)
    other = create_engine(url)
    with other.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Gage)) == 2
    other.dispose()
    with pytest.raises(ValueError, match="exclude"):
        lab.get_persistent_store_database("gages", as_url=True, as_sessionmaker=True)
    with pytest.raises(ValueError, match="exclude"):
        lab.list_persistent_store_databases(dynamic_only=True, static_only=True)
    assert lab.list_persistent_store_connections() == ["servers"]


def test_a_getter_of_the_wrong_kind_names_the_other(stores: Stores, lab: type[App]) -> None:
    with pytest.raises(WrongSetting, match="get_persistent_store_connection"):
        lab.get_persistent_store_database("servers")
    with pytest.raises(WrongSetting, match="get_persistent_store_database"):
        lab.get_persistent_store_connection("gages")
    with pytest.raises(WrongSetting, match=r"basins\.NAME"):
        lab.get_persistent_store_database("basins")
    with pytest.raises(UnknownSetting):
        lab.get_persistent_store_connection("nobody")
    with pytest.raises(UnknownStore):
        lab.get_persistent_store_database("nobody")


def test_an_unlinked_setting_names_the_command(lab: type[App]) -> None:
    with use(Stores(MemoryRegistry(), apps=[lab])):
        with pytest.raises(NotLinked, match=r"penstock link .* lab:gages"):
            _ = lab.gages.engine
        assert not lab.gages.exists()


def test_a_required_unlinked_store_fails_and_an_optional_one_is_skipped(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    class Lab(App):
        package = "lab"
        first = Database()
        second = Database(required=False)
        gages = Database(metadata=Gage.metadata)

    results = stores_on(ground, Lab).sync(Lab)
    assert [(r.store, r.ok, r.skipped) for r in results] == [
        ("first", False, False),
        ("second", True, True),
        ("gages", True, False),
    ]


def test_refresh_makes_a_store_anew_and_leaves_the_engine_usable(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    with lab.gages.begin() as session:
        session.add(Gage(number="added", altitude=1))
    assert count(lab.gages) == 3
    all_ok(stores, lab, refresh=True)
    assert count(lab.gages) == 2


def test_dropping_ends_the_connections_of_others(
    postgresql_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(postgresql_ground, lab)) as stores:
        all_ok(stores, lab)
        held = lab.gages.engine.connect()
        held.execute(text("SELECT 1"))
        assert lab.drop_persistent_store("gages")
        assert postgresql_ground.databases() == set()
        held.invalidate()
        held.close()


def test_a_file_that_others_have_open_is_emptied_and_their_connections_see_the_next_store(
    sqlite_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(sqlite_ground, lab)) as stores:
        all_ok(stores, lab)
        held = lab.gages.engine.connect()
        assert held.execute(select(func.count()).select_from(Gage)).scalar() == 2
        held.rollback()
        assert lab.drop_persistent_store("gages")
        assert not lab.gages.exists()
        assert not held.dialect.has_table(held, "gage")
        held.rollback()
        all_ok(stores, lab)
        held.execute(text("UPDATE gage SET altitude = 7"))
        held.commit()
        held.invalidate()
        stores.close()
        assert sqlite_ground.run_sql("lab_gages", "SELECT altitude FROM gage") == [(7.0,), (7.0,)]
        assert lab.drop_persistent_store("gages")
        assert sqlite_ground.databases() == set()


def test_an_adopted_database_keeps_its_data_and_is_not_seeded(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("old-data")
    ground.run_sql("old-data", "CREATE TABLE gage (number varchar(20) PRIMARY KEY, altitude float NOT NULL)")
    ground.run_sql("old-data", "INSERT INTO gage VALUES ('1', 2.5)")
    if ground.server is not None:
        ground.run_sql("old-data", "GRANT ALL ON gage TO penstock")
    stores.adopt(lab, "gages", "old-data")
    assert lab.gages.exists()
    all_ok(stores, lab)
    assert count(lab.gages) == 1
    stores.close()


def test_e10_a_copy_that_the_server_made_is_refused_until_it_is_adopted_and_then_has_a_record_of_its_own(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    all_ok(stores, lab)
    lab.gages.engine.dispose()
    ground.copy_database("lab_gages", "other_gages")
    read = "SELECT store_id, app, store FROM penstock_store"
    [(first, *_)] = ground.run_sql("lab_gages", read)
    assert ground.run_sql("other_gages", read) == [(first, "lab", "gages")]
    other = make_other()
    stores.register(other)
    stores.links.add("main", other, "gages")
    assert isinstance(stores.sync(other)[0].error, StoreNotOurs)
    stores.adopt(other, "gages")
    [(second, *whose)] = ground.run_sql("other_gages", read)
    assert (second != first, whose) == (True, ["other", "gages"])
    assert stores.sync(other)[0].ok
    assert stores.sync(lab)[0].ok
    stores.drop(other, "gages", now=True)
    assert count(lab.gages) == 2


def make_other() -> type[App]:
    """Another app, with the same table."""

    class Other(App):
        package = "other"
        gages = Database("Every gage.", metadata=Base.metadata)

    return Other


def test_a_plan_changes_nothing_and_says_what_would_be_done(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    plan = stores.plan(lab, "gages")
    at_once = ground.can.transactional_ddl
    assert [type(step).__name__ for step in plan.steps] == [
        "CreateDatabase",
        "PrepareDatabase",
        "WriteRecord",
        "CreateTables",
        "RunInitializer",
        *([] if at_once else ["MarkInitialised"]),
    ]
    assert ground.databases() == set()
    assert stores.registry.stores() == []


def test_the_journal_tells_who_did_what(
    stores: Stores, lab: type[App], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_ACTOR", "ada")
    all_ok(stores, lab)
    lab.drop_persistent_store("gages")
    newest, before, *_ = stores.registry.journal()
    assert (newest.who, newest.action, newest.subject, newest.result) == (
        "ada",
        "drop store",
        "lab:gages",
        "done",
    )
    assert before.action == "sync store"
    assert before.detail["database"] == "lab_gages"


def test_an_asked_for_store_that_nobody_knows_is_an_error(stores: Stores, lab: type[App]) -> None:
    with pytest.raises(UnknownStore):
        stores.sync(lab, ["nobody"])
    with pytest.raises(WrongSetting):
        stores.create(lab, "gages.x", NewStore())
