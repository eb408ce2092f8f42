"""Every asynchronous driver as a ground to test on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from penstock import use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import App, Stores

KINDS = {
    "aiosqlite": "sqlite", "psycopg": "postgresql", "asyncpg": "postgresql", "asyncmy": "mariadb",
}  # fmt: skip


def for_asyncpg(ground: TestServer) -> TestServer:
    """The same ground, whose service's address prefers asyncpg."""
    url = ground.service.url.replace("postgresql://", "postgresql+asyncpg://")
    return replace(ground, service=replace(ground.service, url=url))


def async_ground_of(request: pytest.FixtureRequest, driver: str) -> TestServer:
    """The ground for an asynchronous driver."""
    found: TestServer = request.getfixturevalue(f"{KINDS[driver]}_ground")
    return for_asyncpg(found) if driver == "asyncpg" else found


@pytest.fixture(params=list(KINDS))
def async_ground(request: pytest.FixtureRequest) -> TestServer:
    """A ground for every asynchronous driver, one after the other."""
    return async_ground_of(request, request.param)


@pytest.fixture(params=["psycopg", "asyncpg"])
def async_server(request: pytest.FixtureRequest) -> TestServer:
    """A PostgreSQL server, for either driver."""
    return async_ground_of(request, request.param)


@pytest.fixture
def async_stores(
    async_ground: TestServer, lab: type[App], stores_on: Callable[..., Stores]
) -> Iterator[Stores]:
    """`Stores` in use whose store `gages` is there."""
    with use(stores_on(async_ground, lab)) as stores:
        assert stores.sync(lab, ["gages"])[0].error is None
        yield stores
