"""A connection of db-plugins on a store of an app, and in programs with a hook."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from fix_apps import all_ok
from fix_brokers import DETECTION, detections
from penstock import App, Database, use
from penstock.compat.db_plugins import SQLConnection
from penstock.compat.db_plugins.models import Base, Detection, Object, Step
from penstock.errors import NotLinked, UnknownApp, UnknownStore
from penstock.testing import stores_for_tests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import Stores


class Broker(App):
    """An app with a store of alerts."""

    package = "broker"
    alerts = Database("Alerts.", metadata=Base.metadata)
    other = Database("Others.", metadata=Base.metadata, required=False)


@pytest.fixture
def stores(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """The app's stores, in use; that of alerts is made."""
    stores = stores_on(ground, Broker, links=("alerts",))
    all_ok(stores, Broker)
    with use(stores):
        yield stores


@pytest.mark.parametrize("name", ["handle", "name"])
def test_a_connection_leads_to_a_store(stores: Stores, name: str) -> None:
    connection = SQLConnection.of(Broker.alerts if name == "handle" else "broker:alerts", use_scoped=True)
    assert connection.engine is stores.engine(Broker, "alerts")
    connection.create_db()  # All is there.
    assert connection.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1]
    assert Object.query.bulk_insert([{"oid": "ZTF2"}, {"oid": "ZTF1"}]).skipped == 1
    connection.end_session()
    with Broker.alerts.session() as session:
        assert session.scalars(select(Object.oid).order_by(Object.oid)).all() == ["ZTF1", "ZTF2"]


def test_a_connection_to_a_store_has_the_rights_of_its_role(
    role_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    with use(role_stores_on(role_ground, Broker)) as stores:
        all_ok(stores, Broker)
        connection = SQLConnection.of(Broker.alerts)
        assert connection.query(Object).bulk_insert([{"oid": "ZTF1"}]).inserted == 1
        with pytest.raises(DBAPIError):
            connection.drop_db()
        assert connection.query(Object).count() == 1
        connection.end_session()


@pytest.mark.parametrize(
    ("name", "error"),
    [("broker:others", UnknownStore), ("nobody:alerts", UnknownApp), ("broker:other", NotLinked)],
)
def test_what_is_no_store_is_told(stores: Stores, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        SQLConnection.of(name)


def test_one_connection_of_the_budget_is_enough(ground: TestServer, stores_on: Callable[..., Stores]) -> None:
    from penstock import EngineOptions

    options = EngineOptions(max_connections=4, pool_timeout=5)
    stores = stores_on(ground, Broker, links=("alerts",), options=options)
    all_ok(stores, Broker)
    with use(stores):
        connections = [SQLConnection.of(Broker.alerts) for _ in range(12)]
        for number, connection in enumerate(connections):
            found, _ = connection.query(Object).get_or_create(filter_by={"oid": f"ZTF{number}"})
            found.ndet = number
            connection.query(Object).bulk_insert([{"oid": "ZTF"}])
        for connection in connections:
            connection.session.commit()
            connection.end_session()
        with Broker.alerts.session() as session:
            assert session.scalar(select(func.sum(Object.ndet))) == sum(range(12))


def test_what_tests_store_in_copies_is_rolled_back(ground: TestServer) -> None:
    with stores_for_tests([Broker], service=ground.service) as copies, use(copies):
        for _ in range(2):
            with copies.rolled_back():
                connection = SQLConnection.of(Broker.alerts)
                assert connection.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1]
                connection.session.add(Step(step_id="s"))
                with connection.session.no_autoflush:
                    assert connection.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1] is False
                connection.session.rollback()
                assert connection.query(Detection).bulk_insert(detections(1, 2)).inserted == 2
                connection.query(Detection).get_or_create(filter_by={"candid": 3, "oid": "ZTF1"}, **DETECTION)
                connection.session.commit()
                assert connection.query(Detection).count() == 3
                connection.end_session()
        with Broker.alerts.session() as session:
            assert session.scalar(select(func.count()).select_from(Object)) == 0


# --- a hook ---------------------------------------------------------------------------------------

HOOK = """
import os
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import Insert

@compiles(Insert)
def prefix_inserts(insert, compiler, **kw):
    return compiler.visit_insert(insert, **kw) + " ON CONFLICT DO NOTHING"

from penstock.compat.db_plugins import SQLConnection
from penstock.compat.db_plugins.models import Object, Step

db = SQLConnection()
db.connect({"SQLALCHEMY_DATABASE_URL": os.environ["ADDRESS"]})
db.create_db()
for _ in range(2):
    found, new = db.session.query().get_or_create(Object, filter_by={"oid": "ZTF1"}, ndet=1)
    print(found, new, db.session.query().bulk_insert([{"oid": "ZTF2"}, {"oid": "ZTF1"}], Object).inserted)
    db.session.add(Object(oid="ZTF3"))
    db.session.commit()
    db.session.expunge_all()
print([each.oid for each in db.query(Object).order_by(Object.oid)])
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])  # Elsewhere, those words are a mistake.
def test_a_program_may_add_words_to_every_insert(kind: str, request: pytest.FixtureRequest) -> None:
    ground: TestServer = request.getfixturevalue(f"{kind}_ground")
    if kind != "sqlite":
        ground.make_database("alerts")
    environment = {**os.environ, "ADDRESS": ground.address_of("alerts")}
    done = subprocess.run(
        [sys.executable, "-c", HOOK], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "<Object(oid='ZTF1')> True 1",
        "<Object(oid='ZTF1')> False 0",
        "['ZTF1', 'ZTF2', 'ZTF3']",
    ]
