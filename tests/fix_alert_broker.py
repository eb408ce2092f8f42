"""The alert broker of the examples, on a store of every kind of server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from acceptance.conftest import add_service
from penstock import Stores
from penstock.compat.db_plugins.models import Base

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from acceptance.terminal import Terminal
    from fix_servers import TestServer

EXAMPLES = Path(__file__).parents[1] / "examples"

if str(EXAMPLES) not in sys.path:  # As it is in the folder it is run from.
    sys.path.append(str(EXAMPLES))

Contents = dict[str, list[tuple[Any, ...]]]
"""The rows of every table, in order."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Broker:
    """A folder in which the broker's commands are run, and its store."""

    folder: Path
    engine: Engine

    def __call__(self, *words: object) -> Ended:
        """Run a command to its end."""
        process = self.start(*words)
        out, err = process.communicate(timeout=240)
        return Ended(process.returncode, out, err)

    def start(self, *words: object) -> subprocess.Popen[str]:
        """Run a command, in a session of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "alert_broker", *map(str, words)],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def json(self, *words: object) -> Any:
        """What a command prints as JSON; it ends well."""
        ended = self(*words, "--json")
        assert (ended.code, ended.err) == (0, "")
        return json.loads(ended.out)

    def contents(self) -> Contents:
        """The rows of every table that alerts touch."""
        return contents(self.engine)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        with self.engine.connect() as connection:
            counted = select(func.count()).select_from(Base.metadata.tables[table])
            return connection.scalar(counted) or 0


@pytest.fixture
def broker(site: Terminal, ground: TestServer) -> Iterator[Broker]:
    """The broker, with an empty store."""
    from alert_broker.app import AlertBroker

    (site.folder / "alert_broker").symlink_to(EXAMPLES / "alert_broker")
    add_service(site, ground)
    site.ok("link", "main", "alert_broker:alerts")
    site.ok("syncstores", "alert_broker")
    with Stores.from_config(site.folder / "penstock.toml") as stores:
        yield Broker(site.folder, stores.engine(AlertBroker, "alerts"))


@pytest.fixture
def real_packet(shared_data: Path) -> Path:
    """A packet that ZTF sent."""
    return shared_data / "ztf-alert-472263571115115000.avro"


def contents(engine: Engine) -> Contents:
    """The rows of every table that alerts touch, in the order of their keys."""
    from alert_broker.ingest import TABLES

    with engine.connect() as connection:
        tables = [model.__table__ for model in TABLES]
        return {
            table.name: [*map(tuple, connection.execute(select(table).order_by(*table.primary_key)))]
            for table in tables
        }


def stored_at_once(*batches: Sequence[Any]) -> Contents:
    """What a store has when nothing disturbs: alerts, batch by batch, in one process."""
    from alert_broker.ingest import store

    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        Base.metadata.create_all(engine)
        for batch in batches:
            with Session(engine) as session, session.begin():
                store(session, batch)
        return contents(engine)
    finally:
        engine.dispose()
