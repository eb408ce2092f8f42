"""What sync does: exists, first time, failures, changed declarations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from fix_apps import Gage, all_ok, count, make_lab, seed
from penstock import (
    App,
    Database,
    PersistentStoreDatabaseSetting,
    Store,
    Stores,
    SyncOptions,
    use,
)
from penstock.backends import portable
from penstock.errors import (
    InitializerError,
    ServerError,
)
from penstock.provision.status import Health

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_servers import TestServer


def test_t1_exists_asks_the_server(stores: Stores, lab: type[App], ground: TestServer) -> None:
    assert not lab.persistent_store_exists("gages")
    all_ok(stores, lab)
    assert lab.persistent_store_exists("gages")
    ground.drop_database("lab_gages")
    assert not lab.persistent_store_exists("gages")


def test_t1_exists_is_false_for_a_database_of_somebody_else(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("lab_gages")
    ground.run_sql("lab_gages", "CREATE TABLE theirs (id integer)")
    assert not lab.persistent_store_exists("gages")


def test_t1_exists_raises_when_the_server_can_not_be_asked(
    lab: type[App], ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    away = replace(ground, service=replace(ground.service, url=ground.nowhere))
    with use(stores_on(away, lab)), pytest.raises(ServerError):
        lab.persistent_store_exists("gages")


def test_t2_first_time_is_true_again_after_a_drop_outside(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    stores.close()
    ground.drop_database("lab_gages")
    all_ok(stores, lab)
    assert count(Store(lab, "gages")) == 2


def test_t2_first_time_is_true_on_another_server_and_false_when_plugged_back(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    stores.registry.put_service(ground.new_service("other"))
    engine = lab.gages.engine
    stores.links.add("other", lab, "gages")
    assert [s.service for s in stores.status() if s.health is Health.ORPHAN] == ["main"]
    all_ok(stores, lab)
    assert count(lab.gages) == 2
    assert lab.gages.engine is engine
    stores.links.add("main", lab, "gages")
    with lab.gages.begin() as session:
        session.add(Gage(number="only on main", altitude=1))
    all_ok(stores, lab)
    assert count(lab.gages) == 3
    left = [s for s in stores.status() if s.health is Health.ORPHAN]
    assert [(s.service, s.database) for s in left] == [("other", "lab_gages")]


def test_t19_a_store_that_is_plugged_back_in_is_no_orphan(
    stores: Stores, lab: type[App], ground: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def orphans() -> list[tuple[str, str]]:
        return [(s.service, s.database) for s in stores.status() if s.health is Health.ORPHAN]

    all_ok(stores, lab)
    stores.registry.put_service(ground.new_service("other"))
    stores.links.add("other", lab, "gages")
    assert orphans() == [("main", "lab_gages")]
    all_ok(stores, lab)
    assert orphans() == [("main", "lab_gages")]
    stores.links.add("main", lab, "gages")
    assert orphans() == [("other", "lab_gages")]
    all_ok(stores, lab)
    assert orphans() == [("other", "lab_gages")]

    monkeypatch.setenv("PENSTOCK_STORE__LAB__GAGES", portable(stores.url(lab, "gages")))
    assert orphans() == [("other", "lab_gages")]
    all_ok(stores, lab)
    assert orphans() == [("other", "lab_gages")]
    monkeypatch.delenv("PENSTOCK_STORE__LAB__GAGES")
    assert orphans() == [("other", "lab_gages")]


def test_t2_reinstalling_an_app_over_live_data_does_not_seed_again(
    lab: type[App], ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    with use(stores_on(ground, lab)) as first:
        all_ok(first, lab)
    again = make_lab()
    with use(stores_on(ground, again)) as second:
        all_ok(second, again)
        assert count(again.gages) == 2


def test_t2_an_initializer_added_later_is_told_that_it_is_the_first_time(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    class Bare(App):
        package = "lab"
        gages = Database("No initializer yet.", metadata=Gage.metadata)

    class LazyRows(App):
        package = "lab"
        gages = Database("Now with one.", metadata=Gage.metadata, initializer=seed)

    with use(stores_on(ground, Bare)) as stores:
        all_ok(stores, Bare)
        all_ok(stores, Bare)
    with use(stores_on(ground, LazyRows)) as stores:
        all_ok(stores, LazyRows)
        assert count(LazyRows.gages) == 2
        all_ok(stores, LazyRows)
        assert count(LazyRows.gages) == 2


def test_t6_a_missing_module_or_function_is_named_and_nothing_is_created(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    def problem(path: str) -> str:
        class Lab(App):
            package = "lab"
            gages = Database(initializer=path)

        (result,) = stores_on(ground, Lab).sync(Lab)
        assert result.error is not None
        assert result.error.code == "initializer-not-found"
        return str(result.error)

    assert "no module 'no_such_module'" in problem("no_such_module.seed")
    assert "no function 'sow'" in problem("fix_apps.sow")
    assert "something else named 'Base'" not in problem("fix_apps.sow")
    assert ground.databases() == set()


def test_t6_an_error_inside_the_initializers_module_is_chained(
    ground: TestServer, stores_on: Callable[..., Stores], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_model.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Lab(App):
        package = "lab"
        gages = Database(initializer="broken_model.seed")

    (result,) = stores_on(ground, Lab).sync(Lab)
    assert isinstance(result.error.__cause__, ModuleNotFoundError)
    assert "no_such_dependency" in str(result.error)


def test_t7_getting_and_dropping_on_one_object_works(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    all_ok(stores, lab)
    assert count(lab.gages) == 2
    assert lab.drop_persistent_store("gages") is True
    assert ground.databases() == set()
    all_ok(stores, lab)
    assert count(lab.gages) == 2


def test_t8_a_failed_store_is_half_made_with_the_reason_and_is_resumed(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    broken = [True]

    class Lab(App):
        package = "lab"
        gages = Database(metadata=Gage.metadata)

    @Lab.gages.initializer
    def sow(session, first_time):
        session.add(Gage(number=f"first time {first_time}", altitude=1))
        if broken:
            raise RuntimeError("the well is dry")

    with use(stores_on(ground, Lab)) as stores:
        (result,) = stores.sync(Lab)
        assert isinstance(result.error, InitializerError)
        (status,) = stores.status(Lab)
        assert status.health is Health.HALF_MADE
        assert "the well is dry" in status.problem
        assert not Lab.gages.exists()
        assert count(Lab.gages) == 0
        broken.clear()
        all_ok(stores, Lab)
        assert stores.status(Lab)[0].health is Health.READY
        assert stores.status(Lab)[0].problem == ""
        assert count(Lab.gages) == 1


def test_t9_an_edited_declaration_takes_effect_at_the_next_sync(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    class Before(App):
        package = "lab"

        def persistent_store_settings(self):
            return (PersistentStoreDatabaseSetting(name="gages", initializer="fix_apps.seed_nothing"),)

    class After(App):
        package = "lab"

        def persistent_store_settings(self):
            return [PersistentStoreDatabaseSetting(name="gages", metadata=Gage.metadata, initializer=seed)]

    import fix_apps

    fix_apps.seed_nothing = lambda engine, first_time: None
    stores = stores_on(ground, Before)
    assert all(r.ok for r in stores.sync(Before))
    with use(stores):
        assert all(r.ok for r in stores.sync(After))
        with After.get_persistent_store_database("gages").connect() as connection:
            assert connection.execute(select(func.count()).select_from(Gage)).scalar() == 0
        assert all(r.ok for r in stores.sync(After, options=SyncOptions(force_first_time=True)))
        with After.get_persistent_store_database("gages").connect() as connection:
            assert connection.execute(select(func.count()).select_from(Gage)).scalar() == 2
