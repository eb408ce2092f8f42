"""What sync does is decided by what it finds: every row, on every kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fix_apps import Base, Gage, seed
from penstock import App, Database, NewStore, Stores, SyncOptions, use
from penstock.errors import InitializerError, PenstockError, StoreNotOurs
from penstock.provision.status import Health
from penstock.registry.bindings import store_variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from fix_servers import TestServer

NUMBERS = ["03185400", "03186000"]
RECORD = "SELECT app, store, purpose, initialised IS NOT NULL, initializer FROM penstock_store"
READY = [("lab", "gages", "store", True, "fix_apps.seed")]
REFRESH = SyncOptions(refresh=True)


def sync(stores: Stores, app: type[App], options: SyncOptions | None = None) -> PenstockError | None:
    """Sync the store `gages`; why that failed."""
    return stores.sync(app, ["gages"], options)[0].error


def record(ground: TestServer) -> list[tuple[Any, ...]]:
    """The record as it stands in the database, truth as bool on every kind of server."""
    rows = ground.run_sql("lab_gages", RECORD)
    return [(app, store, purpose, bool(done), by) for app, store, purpose, done, by in rows]


def numbers(ground: TestServer) -> list[str]:
    """The gages that are in the store."""
    return [number for (number,) in ground.run_sql("lab_gages", "SELECT number FROM gage ORDER BY number")]


def broken(session: Session, first_time: bool) -> None:
    """Writes, and then raises."""
    seed(session, first_time)
    session.flush()
    raise RuntimeError("not today")


def sealed_off(app: type[App], initializer: Callable[..., object]) -> type[App]:
    """The same app, with another initializer for its store `gages`."""

    class Lab(App):
        package = app.package
        gages = Database("Every gage.", metadata=Base.metadata, initializer=initializer)

    return Lab


# --- the rows -------------------------------------------------------------------------------------


def test_e4_where_nothing_is_the_database_is_made_recorded_and_seeded(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    assert stores.store_status(lab, "gages").health is Health.MISSING
    assert sync(stores, lab) is None
    assert record(ground) == READY
    assert numbers(ground) == NUMBERS
    assert stores.store_status(lab, "gages").health is Health.READY


def test_e4_an_empty_database_without_a_record_is_finished_as_ours(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("lab_gages")
    assert stores.store_status(lab, "gages").health is Health.HALF_MADE
    assert sync(stores, lab) is None
    assert record(ground) == READY
    assert numbers(ground) == NUMBERS
    if ground.kind == "postgresql":
        public = "SELECT has_database_privilege('public', 'lab_gages', 'CONNECT')"
        assert ground.run_sql("postgres", public) == [(False,)]
    if ground.kind == "sqlite":
        assert ground.run_sql("lab_gages", "PRAGMA journal_mode") == [("wal",)]


def test_e4_a_store_of_ours_that_is_not_initialised_is_resumed(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    assert isinstance(sync(stores, sealed_off(lab, broken)), InitializerError)
    assert record(ground) == [("lab", "gages", "store", False, None)]
    assert numbers(ground) == []
    identity = ground.run_sql("lab_gages", "SELECT store_id FROM penstock_store")
    assert stores.store_status(lab, "gages").health is Health.HALF_MADE
    assert sync(stores, lab) is None
    assert record(ground) == READY
    assert numbers(ground) == NUMBERS
    assert ground.run_sql("lab_gages", "SELECT store_id FROM penstock_store") == identity


def test_e4_a_store_of_ours_that_is_initialised_is_not_seeded_again(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    told: list[bool] = []

    def listening(session: Session, first_time: bool) -> None:
        told.append(first_time)
        seed(session, first_time)

    app = sealed_off(lab, listening)
    for _ in range(3):
        assert sync(stores, app) is None
    assert told == [True, False, False]
    assert numbers(ground) == NUMBERS
    assert sync(stores, sealed_off(lab, lambda session, first_time: told.append(first_time))) is None
    assert told == [True, False, False, False]


STRANGERS = {
    "another app": "UPDATE penstock_store SET app = 'other'",
    "another setting": "UPDATE penstock_store SET store = 'levels'",
    "a template": "UPDATE penstock_store SET purpose = 'template'",
    "no record": "DROP TABLE penstock_store",
    "an empty record": "DELETE FROM penstock_store",
}


@pytest.mark.parametrize("whose", STRANGERS)
def test_e4_a_database_of_somebody_else_is_refused_by_every_verb_and_left_untouched(
    stores: Stores, lab: type[App], ground: TestServer, whose: str
) -> None:
    assert sync(stores, lab) is None
    stores.close()
    ground.run_sql("lab_gages", STRANGERS[whose])
    before = ground.fingerprint("lab_gages")
    for options in (None, REFRESH, SyncOptions(force_first_time=True)):
        error = sync(stores, lab, options)
        assert isinstance(error, StoreNotOurs)
        assert "penstock stores adopt lab:gages --database lab_gages" in error.hint
    with pytest.raises(StoreNotOurs):
        stores.drop(lab, "gages")
    with pytest.raises(StoreNotOurs):
        stores.create(lab, "gages", options=REFRESH)
    assert stores.plan(lab, "gages").steps == ()
    assert not stores.exists(lab, "gages")
    assert stores.store_status(lab, "gages").health is Health.NOT_OURS
    stores.close()
    assert ground.fingerprint("lab_gages") == before


RELATIONS = {
    "sqlite": ["CREATE TABLE theirs (id integer)", "CREATE VIEW theirs AS SELECT 1 AS id"],
    "mariadb": [
        "CREATE TABLE theirs (id integer)",
        "CREATE VIEW theirs AS SELECT 1 AS id",
        "CREATE SEQUENCE theirs",
        "CREATE VIEW penstock_store AS SELECT 'lab' AS app, 'gages' AS store; CREATE TABLE theirs (id int)",
    ],
    "postgresql": [
        "CREATE TABLE theirs (id integer)",
        "CREATE VIEW theirs AS SELECT 1 AS id",
        "CREATE SEQUENCE theirs",
        "CREATE MATERIALIZED VIEW theirs AS SELECT 1 AS id",
        'CREATE SCHEMA "s" CREATE TABLE theirs (id integer)',
        "CREATE VIEW penstock_store AS SELECT 'lab' AS app, 'gages' AS store; CREATE TABLE theirs (id int)",
    ],
}


def test_e4_a_database_without_a_record_that_holds_anything_is_left_untouched(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    for statement in RELATIONS[ground.kind]:
        ground.make_database("lab_gages")
        for part in statement.split(";"):
            ground.run_sql("lab_gages", part)
        before = ground.fingerprint("lab_gages")
        assert isinstance(sync(stores, lab), StoreNotOurs), statement
        assert isinstance(sync(stores, lab, REFRESH), StoreNotOurs), statement
        with pytest.raises(StoreNotOurs):
            stores.drop(lab, "gages")
        assert ground.fingerprint("lab_gages") == before, statement
        ground.drop_database("lab_gages")


def test_e4_an_empty_database_that_no_sync_of_ours_made_is_not_dropped(
    lab: type[App], ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    ground.make_database("lab_gages")
    stores = stores_on(ground, lab)
    with use(stores), pytest.raises(StoreNotOurs):
        stores.drop(lab, "gages")
    assert ground.databases() == {"lab_gages"}


# --- adopt ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", STRANGERS)
def test_e4_an_adopted_database_is_restamped_keeps_its_data_and_is_not_seeded_again(
    stores: Stores, lab: type[App], ground: TestServer, whose: str
) -> None:
    assert sync(stores, lab) is None
    ground.run_sql("lab_gages", STRANGERS[whose])
    ground.run_sql("lab_gages", "DELETE FROM gage WHERE number = '03186000'")
    stores.adopt(lab, "gages")
    assert [row[:4] for row in record(ground)] == [("lab", "gages", "store", True)]
    assert stores.exists(lab, "gages")
    assert sync(stores, lab) is None
    assert numbers(ground) == NUMBERS[:1]
    assert stores.drop(lab, "gages")
    assert ground.databases() == set()


def test_e4_a_database_of_another_name_is_adopted_where_it_is(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("from_before")
    ground.run_sql("from_before", "CREATE TABLE gage (number varchar(20) PRIMARY KEY, altitude float)")
    if ground.server is not None:
        ground.run_sql("from_before", "ALTER TABLE gage OWNER TO penstock")
        ground.run_sql("from_before", "GRANT CREATE ON SCHEMA public TO penstock")
    ground.run_sql("from_before", "INSERT INTO gage VALUES ('kept', 1)")
    stores.adopt(lab, "gages", "from_before")
    assert sync(stores, lab) is None
    with lab.gages.session() as session:
        assert [gage.number for gage in session.query(Gage)] == ["kept"]
    assert ground.databases() == {"from_before"}


# --- addresses from outside -----------------------------------------------------------------------


def test_e5_somebody_elses_database_in_the_environment_survives_refresh_and_drop(
    lab: type[App], ground: TestServer, stores_on: Callable[..., Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.make_database("precious")
    ground.run_sql("precious", "CREATE TABLE theirs (id integer)")
    ground.run_sql("precious", "INSERT INTO theirs VALUES (1)")
    before = ground.fingerprint("precious")
    monkeypatch.setenv(store_variable("lab", "gages"), ground.address_of("precious"))
    stores = stores_on(ground, lab, links=())
    for options in (None, REFRESH):
        error = sync(stores, lab, options)
        assert isinstance(error, StoreNotOurs)
    with pytest.raises(StoreNotOurs):
        stores.drop(lab, "gages")
    assert ground.fingerprint("precious") == before


def test_e4_a_store_made_at_run_time_finds_what_a_declared_one_finds(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("lab_extra")
    ground.run_sql("lab_extra", "CREATE TABLE theirs (id integer)")
    before = ground.fingerprint("lab_extra")
    for options in (None, REFRESH):
        with pytest.raises(StoreNotOurs):
            stores.create(lab, "extra", NewStore(connection="servers"), options)
    assert stores.drop(lab, "extra")  # There is no such store, so there is nothing to drop.
    assert ground.fingerprint("lab_extra") == before
    ground.make_database("lab_basins_logan")
    lab.basins.create("logan")
    assert lab.basins["logan"].exists()
