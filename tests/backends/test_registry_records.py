"""The registry remembers which database a store is, by the record in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fix_apps import all_ok

if TYPE_CHECKING:
    from fix_servers import TestServer
    from penstock import App, Stores


def test_the_registry_remembers_which_database_a_sync_made(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    def ids(name: str = "gages") -> tuple[str, str]:
        entry = stores.registry.find_store("lab", name)
        assert entry is not None
        ((found,),) = ground.run_sql(entry.database, "SELECT store_id FROM penstock_store")
        return entry.record_id, found

    all_ok(stores, lab)
    first, found = ids()
    assert first == found != ""
    all_ok(stores, lab)
    assert ids() == (first, first)
    all_ok(stores, lab, refresh=True)
    second, found = ids()
    assert second == found != first
    stores.create(lab, "basins.logan")
    logan = stores.registry.find_store("lab", "basins.logan")
    assert logan is not None
    assert (logan.kind, *ids("basins.logan")) == ("basins", logan.record_id, logan.record_id)


def test_an_adopted_database_is_remembered_by_its_record(
    stores: Stores, lab: type[App], ground: TestServer
) -> None:
    ground.make_database("old_gages")
    stores.adopt(lab, "gages", "old_gages")
    entry = stores.registry.find_store("lab", "gages")
    assert entry is not None
    assert [(entry.record_id,)] == ground.run_sql("old_gages", "SELECT store_id FROM penstock_store")
