"""Tables are read by the logins that engines have, whatever leads to the server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, Text, cast, func, select

from fix_apps import Gage, all_ok
from fix_tables import Laboratory, Sample
from penstock import App, Database, EngineOptions, MemoryRegistry, SecretRef, Service, Stores, use
from penstock.query import bulk_insert, to_arrow
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer

WHO = select(
    cast(func.current_user(), Text).label("user"),
    cast(func.current_setting("role"), Text).label("role"),
    cast(func.current_setting("search_path"), Text).label("path"),
    cast(func.current_setting("statement_timeout"), Text).label("timeout"),
    cast(func.current_setting("application_name"), Text).label("name"),
)
ALL = select(Gage.number).order_by(Gage.number)


def test_a_table_is_read_by_the_user_path_timeout_and_name_of_the_engine(
    postgresql_ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    options = EngineOptions(statement_timeout=77)
    stores = stores_on(postgresql_ground, Laboratory, links=("samples",), options=options)
    all_ok(stores, Laboratory)
    engine = stores.engine(Laboratory, "samples")
    with engine.connect() as connection:
        expected = dict(connection.execute(WHO).mappings().one())
    assert to_arrow(engine, WHO).to_pylist() == [expected]
    assert (expected["timeout"], expected["path"]) == ("77s", "public")
    assert expected["name"] == "penstock laboratory:samples"


def test_a_table_is_read_by_the_role_of_the_store(role_stores: Stores, lab: type[App]) -> None:
    engine = role_stores.engine(lab, "gages")
    who = select(cast(func.current_user(), Text).label("user"))
    with engine.connect() as connection:
        expected = dict(connection.execute(who).mappings().one())
    assert to_arrow(engine, who).to_pylist() == [expected]
    assert not expected["user"].startswith("penstock")


def test_a_password_that_has_changed_is_looked_up_again(
    postgresql_ground: TestServer, stores_on: Callable[..., Stores], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("old")
    server = postgresql_ground.server
    assert server is not None
    url = server.url.replace("penstock@", "maker@")
    service = Service(name="main", url=url, password=SecretRef("file", str(file)))
    postgresql_ground.run_sql("postgres", "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'old'")
    stores = stores_on(replace(postgresql_ground, service=service), Laboratory, links=("samples",))
    all_ok(stores, Laboratory)
    engine = stores.engine(Laboratory, "samples")
    assert to_arrow(engine, select(Sample)).num_rows == 0
    postgresql_ground.run_sql("postgres", "ALTER ROLE maker PASSWORD 'new'")
    file.write_text("new")
    assert to_arrow(engine, select(Sample)).num_rows == 0
    stores.close()


def test_a_table_is_read_through_a_pooler(pooled_service: Service, lab: type[App]) -> None:
    registry = MemoryRegistry()
    registry.put_service(pooled_service)
    with Stores(registry, apps=[lab]) as stores, use(stores):
        stores.links.add("main", lab, "gages")
        assert stores.sync(lab, ["gages"])[0].error is None
        for _ in range(3):
            assert to_arrow(lab.gages.engine, ALL)["number"].to_pylist() == ["03185400", "03186000"]


def test_what_a_test_has_written_and_will_undo_is_in_a_table(ground: TestServer, lab: type[App]) -> None:
    with stores_for_tests([lab], service=ground.service) as stores, use(stores), stores.rolled_back():
        bulk_insert(lab.gages.engine, Gage, [{"number": "1", "altitude": 1.0}])
        assert to_arrow(lab.gages.engine, ALL).num_rows == 3
        with lab.gages.session() as session:
            assert to_arrow(session, ALL).num_rows == 3


def test_an_initializer_reads_tables_by_the_connections_that_its_sync_has(
    ground: TestServer, stores_on: Callable[..., Stores]
) -> None:
    seen: list[Any] = []

    def seed(engine: Engine, first_time: bool) -> None:
        bulk_insert(engine, Sample, [{"number": 1}])
        seen.extend(to_arrow(engine, select(Sample))["number"].to_pylist())

    class Wells(App):
        package = "wells"
        store = Database("Wells.", metadata=Sample.metadata, initializer=seed)

    all_ok(stores_on(ground, Wells, links=("store",)), Wells)
    assert seen == [1]
