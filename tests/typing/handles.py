"""What type checkers make of the handles; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import Any, assert_type

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session, sessionmaker

from penstock import App, Connection, Database, Kind, OneStore, Store, Stores


class Lab(App):
    """An app with one of each."""

    gages = Database("Every gage.")
    basins = Database("One store per basin.", many=True)
    servers = Connection("Where new stores are made.")


assert_type(Lab.gages, OneStore)
assert_type(Lab.basins, Kind)
assert_type(Lab.servers, Connection)

assert_type(Lab.gages.engine, Engine)
assert_type(Lab.gages.url, URL)
assert_type(Lab.gages.sessionmaker, sessionmaker[Session])
assert_type(Lab.gages.exists(), bool)
with Lab.gages.session() as plain:
    assert_type(plain, Session)
with Lab.gages.begin() as begun:
    assert_type(begun, Session)

assert_type(Lab.basins["logan"], Store)
assert_type(Lab.basins.create("logan"), Store)
assert_type(Lab.basins.names(), list[str])
assert_type(Lab.servers.engine, Engine)

Lab.gages.engin  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a typo is a type error
Lab.basins.engine  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a kind is not one store


@Lab.gages.initializer
def seed(session: Session, first_time: bool) -> None:
    """Keeps its own type."""


assert_type(seed(Session(), True), None)


def use_stores(stores: Stores) -> None:
    """An app's class is what `Stores` takes."""
    assert_type(stores.engine(Lab, "gages"), Engine)
    assert_type(stores.engine("lab", "gages"), Engine)
    assert_type(Lab.get_persistent_store_database("gages"), Any)


class Named(App):
    """An app that says what its databases begin with."""

    package = "named"
    gages = Database("Every gage.")


Stores.from_config().links.add("main", Named, "gages")
