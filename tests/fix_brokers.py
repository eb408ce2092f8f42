"""Databases of an alert broker, and connections to them as db-plugins has them."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from penstock.compat.db_plugins import SQLConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer

DETECTION = {
    "mjd": 59000.5,
    "fid": 1,
    "pid": 1.0,
    "isdiffpos": 1,
    "ra": 10.0,
    "dec": -20.0,
    "magpsf": 18.5,
    "sigmapsf": 0.1,
    "corrected": False,
    "dubious": False,
    "has_stamp": True,
    "step_id_corr": "v1",
}
"""What a detection can't be without, but for its key."""


DATE = datetime(2026, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001  (as it is stored)
STEP: dict[str, Any] = {"step_id": "s", "name": "n", "version": "1", "comments": "", "date": DATE}
"""A step of a pipeline."""


def detections(*candids: int, oid: str = "ZTF1", **values: Any) -> list[dict[str, Any]]:
    """Detections of one object."""
    return [{"candid": candid, "oid": oid, **DETECTION, **values} for candid in candids]


def in_threads(work: Callable[[], object], count: int) -> None:
    """Do something in several threads at once; none may fail."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def config_of(ground: TestServer, database: str) -> dict[str, Any]:
    """The six keys that mean a database of the ground."""
    url = make_url(ground.address_of(database))
    return {
        "ENGINE": url.drivername,
        "HOST": url.host or "",
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "PORT": url.port or "",
        "DB_NAME": url.database,
    }


@pytest.fixture
def connections() -> Iterator[Callable[..., SQLConnection]]:
    """Makes connections, ended after the test."""
    made: list[SQLConnection] = []

    def make(config: Any, **options: Any) -> SQLConnection:
        connection = SQLConnection()
        made.append(connection)
        connection.connect(config, **options)
        return connection

    yield make
    for connection in made:
        connection.end_session()
        connection.dispose()


@pytest.fixture
def config(ground: TestServer) -> dict[str, Any]:
    """What means an empty database, on every kind of server."""
    if ground.kind != "sqlite":
        ground.make_database("alerts")
    return config_of(ground, "alerts")


@pytest.fixture
def db(config: dict[str, Any], connections: Callable[..., SQLConnection]) -> SQLConnection:
    """A connection to a database with the broker's tables, with a session."""
    connection = connections(config)
    connection.create_db()
    return connection


@pytest.fixture
def asked(ground: TestServer) -> Callable[[str], list[tuple[Any, ...]]]:
    """Asks the database past Penstock: what is stored for good."""
    return lambda statement: [tuple(row) for row in ground.run_sql("alerts", statement)]
