"""Test cases as Tethys has them: copies of stores, made and destroyed by hand."""

from __future__ import annotations

import threading
import unittest
from typing import TYPE_CHECKING

import pytest

from fix_apps import Base, Gage, all_ok, count, seed
from penstock import Stores, current_stores
from penstock.compat import tethys
from penstock.compat.tethys import TethysAppBase, TethysTestCase, testing
from penstock.declare import run_of_copy
from penstock.errors import InitializerError, NotLinked, RealStoreUnderTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from fix_servers import TestServer
    from penstock import App

create = TethysTestCase.create_test_persistent_stores_for_app
destroy = TethysTestCase.destroy_test_persistent_stores_for_app


@pytest.fixture(autouse=True)
def _no_copies_afterwards() -> Iterator[None]:
    yield
    testing._copies._close()


def run(case: type[unittest.TestCase]) -> list[str]:
    """Run a test case; what went wrong."""
    suite, result = unittest.defaultTestLoader.loadTestsFromTestCase(case), unittest.TestResult()
    suite.run(result)
    assert result.testsRun > 0
    return [text for _, text in (*result.errors, *result.failures)]


def test_a_test_case_writes_to_copies_that_are_made_anew_for_each_test(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    all_ok(stores, lab)

    class LabCase(TethysTestCase):
        def set_up(self) -> None:
            self.create_test_persistent_stores_for_app(lab)

        def tear_down(self) -> None:
            self.destroy_test_persistent_stores_for_app(lab)

        def check(self) -> None:
            assert count(lab.gages) == 2
            with lab.gages.begin() as session:
                session.add(Gage(number="a test's", altitude=1))
            assert count(lab.gages) == 3

        test_first = test_second = check

    assert run(LabCase) == []
    assert count(lab.gages) == 2
    assert current_stores() is stores


def test_other_threads_use_the_copies_too(ground: TestServer, stores: Stores, lab: type[App]) -> None:
    create(lab)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(count(lab.gages)))
    thread.start()
    thread.join()
    assert found == [2]
    destroy(lab)
    assert not stores.exists(lab, "gages")


def test_the_real_stores_of_an_app_stay_shut_while_its_copies_are_there(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    all_ok(stores, lab)
    real = stores.engine(lab, "gages")
    create(lab)
    with pytest.raises(RealStoreUnderTest, match="lab:gages"):
        real.connect()
    assert count(lab.gages) == 2
    destroy(lab)
    real.connect().close()


def test_an_app_that_is_copied_later_shuts_its_real_stores_too(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    class Other(TethysAppBase):
        package = "other"

        def persistent_store_settings(self) -> list[tethys.PersistentStoreDatabaseSetting]:
            return [
                tethys.PersistentStoreDatabaseSetting(name="db", initializer=seed, metadata=Base.metadata)
            ]

    stores.register(Other)
    stores.links.add("main", Other, "db")
    all_ok(stores, lab)
    create(Other)
    stores.engine(lab, "gages").connect().close()
    create(lab)
    with pytest.raises(RealStoreUnderTest, match="lab:gages"):
        stores.engine(lab, "gages").connect()
    destroy(Other)
    destroy(lab)


def test_t11_copies_of_run_time_stores_are_destroyed_too(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    lab.create_persistent_store("scratch", "servers", initializer="fix_apps:seed_with_tables")
    create(lab)
    assert lab.list_persistent_store_databases() == ["gages"]
    assert lab.create_persistent_store("scratch", None)
    assert lab.create_persistent_store("other", "servers")
    with lab.get_persistent_store_database("scratch").connect() as connection:
        assert len(connection.execute(Gage.__table__.select()).all()) == 2
    destroy(lab)
    testing._copies._close()
    assert ground.databases() == {"lab_scratch"}


def test_a_copy_made_anew_calls_the_initializer_as_for_the_first_time(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    calls: list[bool] = []

    @lab.gages.initializer
    def seed(session: Session, first_time: bool) -> None:
        calls.append(first_time)
        if first_time:
            session.add(Gage(number="first", altitude=1))

    create(lab)
    calls.clear()
    assert lab.create_persistent_store("gages", None, refresh=True, force_first_time=True)
    assert (calls, count(lab.gages)) == ([True], 1)
    assert lab.create_persistent_store("gages", None, refresh=True)
    assert (calls, count(lab.gages)) == ([True], 1)
    destroy(lab)


def test_a_copy_of_a_run_time_store_is_made_with_what_is_asked_for(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    lab.create_persistent_store("scratch", "servers")
    create(lab)
    lab.create_persistent_store("scratch", None, initializer="fix_apps.seed_with_tables", refresh=True)
    with lab.get_persistent_store_database("scratch").connect() as connection:
        assert len(connection.execute(Gage.__table__.select()).all()) == 2
    destroy(lab)


def test_t11_an_unlinked_optional_store_stops_nothing_else(
    ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    from penstock import use

    with use(stores_on(ground, lab, links=("gages",))):
        create(lab)
        assert count(lab.gages) == 2
        destroy(lab)


def test_copies_of_several_apps_are_there_at_the_same_time(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    class Other(TethysAppBase):
        package = "other"

        def persistent_store_settings(self) -> list[tethys.PersistentStoreDatabaseSetting]:
            return [
                tethys.PersistentStoreDatabaseSetting(name="db", metadata=Base.metadata, initializer=seed)
            ]

    stores.register(Other)
    stores.links.add("main", Other, "db")
    create(lab)
    create(Other)
    destroy(lab)
    with Other.get_persistent_store_database("db", as_sessionmaker=True)() as session:
        assert session.query(Gage).count() == 2
    assert run_of_copy(str(Other.get_persistent_store_engine("db").url.database).rpartition("/")[2])
    destroy(Other)
    assert current_stores() is stores


def test_creating_twice_begins_anew_and_destroying_twice_is_no_error(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    create(lab)
    with lab.gages.begin() as session:
        session.add(Gage(number="1", altitude=1))
    create(lab)
    assert count(lab.gages) == 2
    destroy(lab)
    destroy(lab)


def test_what_is_no_app_is_refused(lab: type[App]) -> None:
    for wrong in ("lab", lab(), object):
        with pytest.raises(TypeError, match="is no app's class"):
            create(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="is no app's class"):
            destroy(wrong)  # type: ignore[arg-type]


def test_copies_that_cannot_be_made_leave_the_stores_object_as_it_was(
    ground: TestServer, stores_on: Callable[..., Stores], lab: type[App]
) -> None:
    from penstock import use

    with use(stores_on(ground, lab, links=("basins",))) as stores:
        with pytest.raises(NotLinked, match="gages"):
            create(lab)
        assert current_stores() is stores
    testing._copies._close()
    assert ground.databases() == set()


def test_without_a_connection_a_store_that_nobody_knows_is_an_error(
    ground: TestServer, stores: Stores, lab: type[App]
) -> None:
    with pytest.raises(ValueError, match="needs the name of a connection"):
        lab.create_persistent_store("scratch", None)
    create(lab)
    with pytest.raises(ValueError, match="needs the name of a connection"):
        lab.create_persistent_store("scratch", None)
    destroy(lab)


def test_the_old_names_of_errors_are_those_of_ours(lab: type[App], stores: Stores) -> None:
    with pytest.raises(tethys.TethysAppSettingDoesNotExist):
        lab.get_persistent_store_database("nothing")
    assert tethys.PersistentStoreInitializerError is InitializerError
    assert tethys.TethysAppSettingNotAssigned is NotLinked
