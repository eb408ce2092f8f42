"""Connections and sessions are made, shared and ended by the names of db-plugins."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker

from fix_brokers import config_of
from penstock.backends.columns import KEY
from penstock.compat.db_plugins import (
    MAP_KEYS,
    SQLConnection,
    SQLDatabaseCreator,
    SQLQuery,
    new_DBConnection,
    satisfy_keys,
    settings_map,
)
from penstock.compat.db_plugins.generic import BaseQuery, DatabaseConnection, DatabaseCreator
from penstock.compat.db_plugins.models import Base, Object
from penstock.errors import ConfigError, NotSupported, PenstockError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer

SIX = {"ENGINE": "postgresql", "HOST": "h", "USER": "u", "PASSWORD": "s3cret", "PORT": 5432, "DB_NAME": "d"}


class UserBase(DeclarativeBase):
    """The base of another program's tables."""


class User(UserBase):
    __tablename__ = "users"

    name: Mapped[str] = mapped_column(KEY, primary_key=True)


# --- configurations -------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [5432, "5432"], ids=["number", "text"])
def test_six_keys_are_an_address(port: Any) -> None:
    url = settings_map({**SIX, "PORT": port, "PASSWORD": "p@ss/w:rd%"})
    assert (url.host, url.port, url.username, url.password, url.database) == (
        "h",
        5432,
        "u",
        "p@ss/w:rd%",
        "d",
    )
    assert url.drivername == "postgresql+psycopg"
    assert "p@ss" not in f"{url} {url!r}"


@pytest.mark.parametrize("kind", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_an_address_is_taken_as_it_is_and_gets_our_driver(kind: str) -> None:
    url = settings_map({"SQLALCHEMY_DATABASE_URL": f"{kind}://u:pw@h/d?sslmode=disable"})
    assert (url.drivername, url.query["sslmode"]) == ("postgresql+psycopg", "disable")


@pytest.mark.parametrize("missing", sorted(MAP_KEYS))
def test_d10_a_missing_key_is_named(missing: str) -> None:
    config = {key: value for key, value in SIX.items() if key != missing}
    assert satisfy_keys(config) == {missing}
    with pytest.raises(ConfigError, match=f"lacks {missing}") as caught:
        SQLConnection().connect(config)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (None, "no mapping"),
        ({}, "lacks DB_NAME, ENGINE, HOST, PASSWORD, PORT, USER"),
        ({"SQL": SIX}, "Hand over what is in SQL"),
        ({**SIX, "PORT": "s3cret"}, "PORT of a connection is no number"),
        ({"SQLALCHEMY_DATABASE_URL": "s3cret"}, "is not a database address"),
        ({"SQLALCHEMY_DATABASE_URL": "postgresql://u:s3cret@h"}, "names no database"),
        ({**SIX, "ENGINE": "dbase"}, "no backend for 'dbase'"),
        ({**SIX, "DB_NAME": ""}, "names no database"),
    ],
)
def test_a_wrong_configuration_is_told_without_what_it_holds(config: Any, said: str) -> None:
    with pytest.raises(PenstockError, match=f"(?s){said}") as caught:
        SQLConnection().connect(config)
    assert "s3cret" not in str(caught.value)


def test_d10_a_configuration_and_options_stay_as_they_were(
    config: dict[str, Any], connections: Callable[..., SQLConnection]
) -> None:
    given, options = dict(config), {"autoflush": False, "autocommit": False}
    connection = connections(given, session_options=options)
    assert given == config
    assert options == {"autoflush": False, "autocommit": False}
    assert connection.session.autoflush is False
    assert connection.config is given


def test_autocommit_is_refused(config: dict[str, Any], connections: Callable[..., SQLConnection]) -> None:
    with pytest.raises(NotSupported, match="no autocommit"):
        connections(config, session_options={"autocommit": True})


# --- connecting -----------------------------------------------------------------------------------


def test_nobody_is_asked_before_the_first_query(
    server_ground: TestServer, connections: Callable[..., SQLConnection]
) -> None:
    config = {**config_of(server_ground, "alerts"), "PORT": 1}
    connection = connections(config)
    with pytest.raises(OperationalError):
        connection.query(Object).all()


def test_tables_are_made_and_dropped_and_the_database_stays(
    config: dict[str, Any], connections: Callable[..., SQLConnection], ground: TestServer
) -> None:
    connection = connections(config)
    connection.create_db()
    connection.create_db()
    assert len(inspect(connection.engine).get_table_names()) == 17
    connection.drop_db()
    assert inspect(connection.engine).get_table_names() == []
    assert ground.databases() == {"alerts"}


def test_a_file_is_made_with_its_folder_and_foreign_keys_count(
    tmp_path: Path, connections: Callable[..., SQLConnection]
) -> None:
    connection = connections({"SQLALCHEMY_DATABASE_URL": f"sqlite:///{tmp_path}/new/alerts.db"})
    with pytest.raises((OperationalError, StorageUnavailable)):
        connection.query(Object).all()
    connection.create_db()
    assert (tmp_path / "new" / "alerts.db").is_file()
    assert connection.session.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_database_in_memory_is_seen_by_all_threads(connections: Callable[..., SQLConnection]) -> None:
    connection = connections({"SQLALCHEMY_DATABASE_URL": "sqlite:///:memory:"}, use_scoped=True)
    connection.create_db()
    assert connection.query(Object).get_or_create(filter_by={"oid": "ZTF1"})[1]
    connection.session.remove()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(lambda: connection.query(Object).get_or_create(filter_by={"oid": "ZTF1"}))
        assert found.result()[1] is False


def test_d10_a_second_configuration_counts(
    ground: TestServer, config: dict[str, Any], connections: Callable[..., SQLConnection]
) -> None:
    connection = connections(config)
    connection.create_db()
    connection.query(Object).bulk_insert([{"oid": "ZTF1"}])
    engine = connection.engine
    connection.connect(config)
    assert connection.engine is engine
    if ground.kind != "sqlite":
        ground.make_database("users")
    connection.connect(config_of(ground, "users"))
    connection.create_db()
    assert connection.query(Object).count() == 0
    connection.connect(config)
    assert connection.query(Object).count() == 1


def test_two_connections_lead_to_two_databases_at_once(
    ground: TestServer, config: dict[str, Any], connections: Callable[..., SQLConnection]
) -> None:
    if ground.kind != "sqlite":
        ground.make_database("users")
    alerts = connections(config, use_scoped=True)
    users = connections(config_of(ground, "users"), base=UserBase, use_scoped=True)
    for each in (alerts, users):
        each.create_db()
    Object.query.get_or_create(filter_by={"oid": "ZTF1"})
    User.query.bulk_insert([{"name": "Bear"}])
    assert (Object.query.count(), User.query.one().name) == (1, "Bear")
    assert ground.run_sql("users", "SELECT name FROM users") == ground.run_sql("users", "SELECT 'Bear'")
    assert ground.run_sql("alerts", "SELECT oid FROM object") == ground.run_sql("alerts", "SELECT 'ZTF1'")
    assert "users" not in inspect(alerts.engine).get_table_names()


def test_two_connections_of_one_base_are_told_apart_or_asked_which(
    ground: TestServer, config: dict[str, Any], connections: Callable[..., SQLConnection]
) -> None:
    if ground.kind != "sqlite":
        ground.make_database("other")
    one, other = (
        connections(config, use_scoped=True),
        connections(config_of(ground, "other"), use_scoped=True),
    )
    one.create_db()
    other.create_db()
    one.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    assert (one.query(Object).count(), other.query(Object).count()) == (1, 0)
    with pytest.raises(NotSupported, match=r"Object.query is of 2 connections"):
        Object.query.count()
    other.end_session()
    assert Object.query.count() == 1
    one.end_session()
    assert not hasattr(Base, "query")


# --- what is given --------------------------------------------------------------------------------


def test_an_engine_a_factory_and_a_session_may_be_given(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/alerts.db")
    factory = sessionmaker(engine, query_cls=SQLQuery)
    connection = SQLConnection(engine=engine, Base=UserBase, Session=factory)
    connection.connect(SIX)
    assert (connection.engine, connection.Session, connection.Base) == (engine, factory, UserBase)
    connection.create_db()
    assert inspect(engine).get_table_names() == ["users"]
    assert connection.session.query().get_or_create(User, {"name": "Bear"})[1] is True
    with factory() as session:
        given = SQLConnection(session=session)
        assert given.session is session
        assert given.query(User).check_exists() is True
    connection.end_session()
    engine.dispose()


def test_a_session_on_a_connection_does_all_in_its_transaction(db: SQLConnection) -> None:
    with db.engine.connect() as connection, sessionmaker(connection, query_cls=SQLQuery)() as session:
        assert session.query().get_or_create(Object, {"oid": "ZTF1"})[1] is True
        assert session.query(Object).bulk_insert([{"oid": "ZTF2"}]).inserted == 1
    assert db.query(Object).count() == 0


def test_a_new_connection_is_made_by_its_kind() -> None:
    made = new_DBConnection(SQLDatabaseCreator)
    assert isinstance(made, SQLConnection)
    assert isinstance(made, DatabaseConnection)
    assert issubclass(SQLDatabaseCreator, DatabaseCreator)
    assert issubclass(SQLQuery, BaseQuery)


# --- sessions -------------------------------------------------------------------------------------


def test_d10_sessions_are_ended_any_number_of_times_and_made_in_either_way(db: SQLConnection) -> None:
    db.create_session(use_scoped=True)
    assert isinstance(db.session, scoped_session)
    db.end_session()
    db.end_session()
    assert (db.session, db.use_scoped) == (None, False)
    db.create_session(use_scoped=False)
    assert db.query(Object).all() == []
    db.end_session()
    db.end_session()
    with pytest.raises(NotSupported, match="no session"):
        db.query(Object)


def test_before_connecting_it_is_said_what_is_missing() -> None:
    for use in ("create_db", "drop_db", "query"):
        with pytest.raises(NotSupported):
            getattr(SQLConnection(), use)()
    with pytest.raises(NotSupported, match="connect"):
        SQLConnection().create_session(False)


def test_a_session_is_made_on_demand_and_by_scope(
    config: dict[str, Any], connections: Callable[..., SQLConnection]
) -> None:
    connection = connections(config, create_session=False)
    assert connection.session is None
    scopes = iter(range(10))
    scope = [next(scopes)]
    connection.create_session(use_scoped=True, scope_func=lambda: scope[0])
    first = connection.session()
    assert connection.session() is first
    scope[0] = next(scopes)
    assert connection.session() is not first


def test_d11_a_session_of_one_thread_is_refused_to_others(db: SQLConnection) -> None:
    db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    kept = db.session
    refused: list[str] = []

    def use() -> None:
        for ask in (lambda: db.session, lambda: db.query(Object), lambda: kept.query(Object)):
            with pytest.raises(NotSupported, match="use_scoped=True") as caught:
                ask()
            refused.append(str(caught.value))

    in_another(use)
    assert len(refused) == 3
    assert db.query(Object).count() == 1


def in_another(work: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_a_session_goes_over_to_another_thread_when_its_own_has_ended(
    config: dict[str, Any], connections: Callable[..., SQLConnection]
) -> None:
    connection = connections(config)
    in_another(connection.create_db)
    thread = threading.Thread(target=lambda: connection.query(Object).all())
    thread.start()
    thread.join()
    assert connection.query(Object).count() == 0


def test_d11_eight_threads_share_a_connection_that_is_scoped(db: SQLConnection) -> None:
    db.create_session(use_scoped=True)

    def work(thread: int) -> None:
        for number in range(25):
            found, _ = db.query(Object).get_or_create(filter_by={"oid": f"ZTF{thread}-{number}"})
            found.ndet = number
        db.session.commit()
        db.session.remove()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert db.query(Object).filter(Object.ndet.is_not(None)).count() == 200
