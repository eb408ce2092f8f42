"""Registries to test with: in memory, in a SQLite file, in a PostgreSQL database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, NullPool, create_engine

from penstock import MemoryRegistry
from penstock.registry import DatabaseRegistry
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from pathlib import Path

    from fix_servers import TestServer
    from penstock.registry import Registry


@dataclass(frozen=True)
class RegistryHome:
    """Where a registry in a database is, and ways in that do not go through Penstock."""

    kind: str
    url: str
    plain_url: str
    load: Callable[[str], None]
    password: SecretRef | None = None

    def open(self) -> DatabaseRegistry:
        """A registry object of its own, as another process would have it."""
        return DatabaseRegistry(self.url, password=self.password)

    @contextmanager
    def opened(self) -> Iterator[DatabaseRegistry]:
        """The same, closed after use."""
        registry = self.open()
        yield registry
        registry.close()

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine on the registry's database."""
        engine = create_engine(self.plain_url, poolclass=NullPool)
        yield engine
        engine.dispose()

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """What a statement finds, if it finds anything."""
        with self.engine() as engine, engine.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []


@pytest.fixture
def sqlite_registry(tmp_path: Path) -> RegistryHome:
    """A registry in a file that is not there yet."""
    path = tmp_path / ".penstock" / "registry.sqlite3"

    def load(dump: str) -> None:
        path.parent.mkdir(mode=0o700)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(dump)

    return RegistryHome("sqlite", f"sqlite:///{path}", f"sqlite:///{path}", load)


@pytest.fixture
def postgresql_registry(postgresql_ground: TestServer) -> RegistryHome:
    """A registry in a database that is not there yet."""
    server = postgresql_ground.server
    assert server is not None
    password = server.owner_password_file.read_text().strip()
    address = f"127.0.0.1:{server.port}/registry"

    def load(dump: str) -> None:
        postgresql_ground.make_database("registry")
        with server.connect("registry") as connection:
            connection.execute("SET ROLE penstock")
            connection.execute(dump)

    return RegistryHome(
        "postgresql",
        f"{server.url}/registry",
        f"postgresql+psycopg://penstock:{password}@{address}",
        load,
        SecretRef("file", str(server.owner_password_file)),
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def registry_home(request: pytest.FixtureRequest) -> RegistryHome:
    """Each kind of database that a registry may be in, before there is one."""
    found: RegistryHome = request.getfixturevalue(f"{request.param}_registry")
    return found


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """Each kind of registry, empty."""
    if request.param == "memory":
        yield MemoryRegistry()
        return
    home: RegistryHome = request.getfixturevalue(f"{request.param}_registry")
    with home.opened() as opened:
        yield opened
