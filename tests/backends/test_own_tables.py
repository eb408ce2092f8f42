"""A store whose tables the app makes itself: what its login may do, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, text

from fix_apps import Base, Gage
from fix_roles import denied, log_in, steps_of
from penstock import App, Connection, Database, NewStore, Stores, use
from penstock.backends import StoreRole
from penstock.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_roles import LoggedIn
    from fix_servers import TestServer

later = Table("later", MetaData(), Column("id", Integer, primary_key=True), Column("word", Text))


class Mine(App):
    """An app that makes tables in one store, and leaves them to Penstock in the others."""

    package = "mine"
    own = Database("Its tables come and go.")
    kept = Database("Rows only.", metadata=Base.metadata)
    both = Database("Tables of both.", metadata=Base.metadata, tables="app")
    none = Database("No tables of the app's.", tables="penstock")
    boxes = Database("A store per box.", many=True, required=False)
    servers = Connection("Where more are made.", required=False)


@Mine.own.initializer
def make_first(engine: object, first_time: bool) -> None:
    """Makes a table as whoever syncs."""
    if first_time:
        Base.metadata.create_all(engine)  # type: ignore[arg-type]


@pytest.fixture
def stores(role_ground: TestServer, role_stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """Stores with roles of their own."""
    with use(role_stores_on(role_ground, Mine)) as stores:
        assert [result.error for result in stores.sync(Mine)] == [None] * 4
        yield stores


def make_tables(stores: Stores, name: str) -> None:
    """What apps do at run time: create, alter, fill, write a frame, drop."""
    engine = stores.engine(Mine, name)
    later.metadata.create_all(engine)
    pd.DataFrame({"a": [1, 2]}).to_sql("frame", engine, index=False)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE later ADD COLUMN more integer"))
        connection.execute(later.insert(), [{"id": 1, "word": "wet"}])
        connection.execute(text("CREATE INDEX later_word ON later (id)"))
        connection.execute(text("CREATE VIEW seen AS SELECT id FROM later"))
        connection.execute(text("DROP VIEW seen"))
        connection.execute(text("DROP TABLE frame"))


def refused(session: LoggedIn, statement: str) -> None:
    with denied():
        session.execute(statement)


def test_the_app_makes_tables_and_changes_those_of_its_initializer(stores: Stores) -> None:
    make_tables(stores, "own")
    with stores.begin(Mine, "own") as session:
        session.add(Gage(number="1", altitude=1))
        session.execute(text("ALTER TABLE gage ADD COLUMN more integer"))
    assert (stores.store_status(Mine, "own").tables, stores.store_status(Mine, "own").roles) == (
        "app",
        "store",
    )
    assert [result.error for result in stores.sync(Mine, ["own"])] == [None]


@pytest.mark.parametrize("name", ["both", "boxes.north", "scratch"])
def test_stores_that_say_so_and_those_made_at_run_time_may_too(stores: Stores, name: str) -> None:
    if name != "both":
        stores.create(Mine, name, NewStore(connection="servers") if name == "scratch" else None)
    make_tables(stores, name)


@pytest.mark.parametrize("name", ["kept", "none"])
def test_where_penstock_makes_the_tables_the_app_has_rows_only(stores: Stores, name: str) -> None:
    with log_in(stores, Mine, name) as app:
        refused(app, "CREATE TABLE mine (id integer)")
        if name == "kept":
            refused(app, "ALTER TABLE gage ADD COLUMN more integer")
            refused(app, "DROP TABLE gage")
    assert stores.store_status(Mine, name).tables == "penstock"


def test_it_may_do_so_nowhere_else(stores: Stores, role_ground: TestServer) -> None:
    with log_in(stores, Mine, "own") as app:
        if role_ground.kind == "mariadb":
            for other in ("mine_kept", "mine_both"):
                refused(app, f"CREATE TABLE {other}.mine (id integer)")
                refused(app, f"SELECT * FROM {other}.gage")
        refused(app, "CREATE DATABASE elsewhere")
        refused(app, "CREATE ROLE somebody")


def test_readers_see_what_the_app_made_and_change_nothing(stores: Stores, role_ground: TestServer) -> None:
    make_tables(stores, "own")
    with log_in(stores, Mine, "own", StoreRole.READER) as reader:
        assert reader.execute("SELECT word FROM later").fetchall() == [("wet",)]
        if role_ground.kind == "postgresql":  # Not only by how its sessions begin.
            reader.execute("SET default_transaction_read_only = off")
        refused(reader, "CREATE TABLE mine (id integer)")
        refused(reader, "DELETE FROM later")


def test_tables_outlive_the_login_that_made_them(stores: Stores) -> None:
    make_tables(stores, "own")
    assert [each.error for each in stores.logins.rotate(Mine, ["own"], grace=0)] == [None]
    with stores.begin(Mine, "own") as session:
        session.execute(text("ALTER TABLE later ADD COLUMN again integer"))
        assert session.execute(text("SELECT word FROM later")).all() == [("wet",)]


def test_a_changed_declaration_takes_effect_at_the_next_sync(stores: Stores) -> None:
    class Changed(App):
        package = "mine"
        own = Database("Its tables come and go.", tables="penstock")
        kept = Database("Rows only.", metadata=Base.metadata, tables="app")

    make_tables(stores, "own")
    stores.register(Changed)
    for _ in range(2):
        assert [result.error for result in stores.sync(Changed)] == [None] * 2
        assert not [step for step in steps_of(stores, Changed, "kept") if "roles" in step]
        with log_in(stores, Changed, "own") as app:
            refused(app, "ALTER TABLE later ADD COLUMN nothing integer")
            assert app.execute("SELECT word FROM later").fetchall() == [("wet",)]
        with log_in(stores, Changed, "kept") as app:
            app.execute("ALTER TABLE gage ADD COLUMN more integer")
            app.execute("ALTER TABLE gage DROP COLUMN more")


def test_it_goes_as_any_other_does(stores: Stores, role_ground: TestServer) -> None:
    make_tables(stores, "own")
    for name in ("own", "kept", "both", "none"):
        stores.drop(Mine, name, now=True)
    assert role_ground.databases() == set()


def test_another_word_is_refused_where_it_is_said() -> None:
    with pytest.raises(DeclarationError, match="tables='mine'"):
        Database("Who?", tables="mine")  # type: ignore[call-overload]
