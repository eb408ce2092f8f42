"""What only some servers have for keys, and columns declared as something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from fix_apps import all_ok
from penstock import App, Database
from penstock.query import bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from fix_servers import TestServer
    from penstock import Stores

METADATA = sa.MetaData()
PAIR = sa.Table(
    "pair",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("a", sa.String),
    sa.Column("b", sa.Integer),
    sa.Column("name", sa.String(9)),
)
LOOSE = sa.Table(
    "loose",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("word", sa.String(20), unique=True),
    sa.Column("number", sa.Float, unique=True),
    sa.Column("name", sa.String(9)),
)


def make(connection: Connection, first_time: bool) -> None:
    """NULL is the same as NULL; and columns of the server's are not what is declared."""
    METADATA.create_all(connection)
    connection.exec_driver_sql("CREATE UNIQUE INDEX pair_key ON pair (b, a) NULLS NOT DISTINCT")
    connection.exec_driver_sql("CREATE EXTENSION citext")
    connection.exec_driver_sql("ALTER TABLE loose ALTER word TYPE citext, ALTER number TYPE real")


class Lab(App):
    """An app with one store."""

    package = "lab"
    pairs = Database("Pairs.", initializer=make)


@pytest.fixture
def engine(postgresql_ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Engine]:
    stores = stores_on(postgresql_ground, Lab, links=("pairs",))
    all_ok(stores, Lab)
    yield stores.engine(Lab, "pairs")
    stores.close()


def names(engine: Engine, table: sa.Table) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(table.c.name).order_by(table.c.name)))


def test_null_is_the_same_as_null_where_an_index_says_so(engine: Engine) -> None:
    given = [{"a": "x", "b": None, "name": name} for name in "pq"] + [{"a": None, "b": None, "name": "r"}] * 2
    done = upsert(engine, PAIR, given, key=("a", "b"))
    assert (done.inserted, done.updated, done.skipped) == (2, 0, 2)
    done = upsert(engine, PAIR, given, key=("a", "b"))
    assert (done.inserted, done.updated, done.skipped) == (0, 2, 2)
    done = bulk_insert(engine, PAIR, given, key=("a", "b"), on_conflict="nothing")
    assert (done.inserted, done.skipped) == (0, 4)
    assert names(engine, PAIR) == ["q", "r"]
    assert [get_or_create(engine, PAIR, {"a": a, "b": None})[1] for a in ("x", None, "y")] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("name", "values"), [("word", ["Weber", "WEBER", "weber"]), ("number", [0.1, 0.1 + 1e-12, 0.1])]
)
def test_a_column_is_what_the_server_has_and_not_what_is_declared(
    engine: Engine, name: str, values: list[Any]
) -> None:
    with Session(engine) as session:
        assert [get_or_create(session, LOOSE, {name: each})[1] for each in values] == [True, False, False]
        session.execute(sa.delete(LOOSE))
        given = [{name: each, "name": str(n)} for n, each in enumerate(values)]
        many = get_or_create_many(session, LOOSE, given, key=(name,))
        assert [(row.name, new) for row, new in many] == [("0", True), ("0", False), ("0", False)]
        done = upsert(session, LOOSE, given, key=(name,))
        assert (done.inserted, done.updated, done.skipped) == (0, 1, 2)
        assert bulk_update(session, LOOSE, given, key=(name,)).updated == 1
        session.commit()
    assert names(engine, LOOSE) == ["2"]


def test_keys_are_compared_in_the_schema_that_the_caller_means(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
        connection.exec_driver_sql("CREATE TABLE other.loose (LIKE loose INCLUDING ALL)")
    there = engine.execution_options(schema_translate_map={None: "other"})
    given = [{"word": word} for word in ("Weber", "WEBER")]
    assert [new for _, new in get_or_create_many(there, LOOSE, given, key=("word",))] == [True, False]
    assert [get_or_create(there, LOOSE, each)[1] for each in given] == [False, False]
    assert names(engine, LOOSE) == []
