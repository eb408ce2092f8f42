"""What code of an app means by its own stores, while work is done on them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from fix_apps import Base, Gage, all_ok, count
from penstock import (
    App,
    Connection,
    Database,
    MemoryRegistry,
    NewStore,
    Stores,
    SyncOptions,
    current_stores,
    use,
)
from penstock.aio import AsyncStores
from penstock.errors import RealStoreUnderTest
from penstock.testing import real_stores, stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer


class Rivers(App):
    """An app whose initializers ask for its stores as the rest of it does."""

    package = "rivers"
    gages = Database("Gages.", metadata=Base.metadata)
    basins = Database("A store per basin.", metadata=Base.metadata, many=True, required=False)
    servers = Connection("Where more are made.", required=False)


@Rivers.gages.initializer
def seed(engine: object, first_time: bool) -> None:
    """Writes through the class, not through what it is given."""
    if first_time:
        with Rivers.gages.begin() as session:
            session.add(Gage(number="typed", altitude=1))
        with Rivers.get_persistent_store_database("gages", as_sessionmaker=True).begin() as session:
            session.add(Gage(number="documented", altitude=2))


def seed_run_time(engine: object, first_time: bool) -> None:
    """The same, for a store made at run time."""
    Base.metadata.create_all(engine)  # type: ignore[arg-type]
    with Rivers.get_persistent_store_database("scratch", as_sessionmaker=True)() as session:
        assert session.query(Gage).count() == 0


@pytest.fixture
def stores(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """Stores that are not the current ones."""
    with use(Stores(MemoryRegistry())):  # What is current knows no server at all.
        yield stores_on(ground, Rivers)


def written(stores: Stores) -> int:
    with use(stores):
        return count(Rivers.gages)


@pytest.mark.parametrize("jobs", [1, 4])
def test_an_initializer_reaches_the_store_that_is_synced(stores: Stores, jobs: int) -> None:
    for result in stores.sync(Rivers, options=SyncOptions(jobs=jobs)):
        assert result.error is None
    assert written(stores) == 2


def test_an_initializer_reaches_it_from_a_task(stores: Stores) -> None:
    asyncio.run(AsyncStores(stores).sync(Rivers))
    assert written(stores) == 2


def test_an_initializer_reaches_a_store_that_is_made_at_run_time(stores: Stores) -> None:
    stores.create(Rivers, "scratch", NewStore(connection="servers", initializer=seed_run_time))
    assert stores.exists(Rivers, "scratch")


def test_listeners_and_callbacks_have_them_too(stores: Stores) -> None:
    seen: list[Any] = []

    def listen(*args: object, **options: object) -> None:
        seen.append(Rivers.get_persistent_store_database("gages"))

    event.listen(Gage.__table__, "after_create", listen)
    try:
        for result in stores.sync(Rivers, on_event=listen):
            assert result.ok, result.error
    finally:
        event.remove(Gage.__table__, "after_create", listen)
    assert len(seen) > 2
    assert set(map(id, seen)) == {id(stores.engine(Rivers, "gages"))}


def test_the_current_stores_are_what_they_were_afterwards(stores: Stores) -> None:
    before = current_stores()
    stores.sync(Rivers)
    stores.drop(Rivers, "gages", now=True)
    assert current_stores() is before is not stores


def test_templates_and_copies_are_seeded_not_the_real_store(ground: TestServer, stores: Stores) -> None:
    all_ok(stores, Rivers)
    with use(stores), Rivers.gages.begin() as session:
        session.query(Gage).delete()
    with use(stores), stores_for_tests([Rivers], like=stores) as copies:
        with use(copies):
            assert count(Rivers.gages) == 2
        assert count(Rivers.gages) == 0
    with stores_for_tests([Rivers], service=ground.service) as copies, use(copies):
        assert count(Rivers.gages) == 2
        with copies.fresh("own") as own, use(own):
            assert count(Rivers.gages) == 2


# --- the guard ------------------------------------------------------------------------------------


def test_a_real_store_is_not_opened_while_copies_stand_in_for_it(stores: Stores) -> None:
    all_ok(stores, Rivers)
    kept = stores.engine(Rivers, "gages")  # As a module has it that took it when it was imported.
    with kept.connect():
        pass
    with stores_for_tests([Rivers], like=stores) as copies, use(copies):
        for attempt in (
            kept.connect,
            lambda: stores.engine(Rivers, "gages").connect(),
            lambda: stores.plan(Rivers, "gages"),
            lambda: stores.drop(Rivers, "gages"),
            lambda: Stores(stores.registry, apps=[Rivers]).engine(Rivers, "gages"),
        ):
            with pytest.raises(RealStoreUnderTest, match="rivers:gages"):
                attempt()
        assert [result.error.code for result in stores.sync(Rivers) if result.error] == [
            "real-store-under-test"
        ]
        assert count(Rivers.gages) == 2
        with real_stores(), kept.connect():
            pass
        with pytest.raises(RealStoreUnderTest):
            kept.connect()
    with kept.connect():
        pass


def test_stores_of_other_apps_are_left_to_them(ground: TestServer, stores: Stores, lab: type[App]) -> None:
    stores.register(lab)
    for setting in ("gages", "basins", "servers"):
        stores.links.add(ground.service.name, lab, setting)
    all_ok(stores, lab)
    with stores_for_tests([Rivers], like=stores) as copies, use(copies), use(stores):
        assert count(lab.gages) == 2
