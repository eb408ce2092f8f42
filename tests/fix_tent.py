"""Configurations of pytentd for every kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from penstock.compat.tent import dbm
from penstock.compat.tent.dbm import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from fix_servers import TestServer

DRIVERS = {"postgresql": "postgresql", "mariadb": "mysql"}


@pytest.fixture
def tent_config(ground: TestServer) -> dict[str, Any]:
    """Leads to a database that is there, or to a file that is not."""
    if ground.directory is not None:
        return {"driver": "sqlite", "path": str(ground.directory / "tent.db")}
    ground.make_database("tent")
    url = make_url(ground.address_of("tent"))
    login = {"user": url.username, "password": url.password, "database": url.database}
    return {"driver": DRIVERS[ground.kind], "host": url.host, "port": url.port, **login}


@pytest.fixture
def connected() -> Iterator[Callable[[Any], Engine]]:
    """Connects; what was opened is closed after the test."""
    made: list[Engine] = []

    def connect(tent_config: Any) -> Engine:
        made.append(dbm.connect(tent_config))
        return made[-1]

    yield connect
    for engine in made:
        engine.dispose()


@pytest.fixture
def models() -> Iterator[None]:
    """What a test declares beside `user.User` is forgotten."""
    import penstock.compat.tent.user  # noqa: F401  (whose table is there before)

    kept = dict(Base.metadata.tables)
    yield
    for table in [table for name, table in Base.metadata.tables.items() if name not in kept]:
        Base.metadata.remove(table)
