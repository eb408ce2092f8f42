"""P15: what it costs to store many rows in SQLite and MariaDB, beside ready ones."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from datetime import datetime
from functools import partial
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from alerts import Lab, detection, empty, generated
from measure import Target, Way, arguments, files, interleaved, mariadb, report, stores_of
from sqlalchemy import insert

from penstock.query import bulk_insert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

ROUNDS, ROWS = 7, 100_000


def main() -> None:
    """Store the rows in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    given = list(generated(count))
    sqlite(given, rounds)
    other(given, rounds)


def sqlite(given: list[dict[str, Any]], rounds: int) -> None:
    """A file, through Penstock and through the library alone."""
    limit, ours, core = "executemany of ready tuples", "bulk_insert", "Core executemany"
    with files() as service, stores_of(service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        done: dict[str, Callable[[], object]] = {
            limit: partial(library, str(engine.url.database), [tuple(row.values()) for row in given]),
            ours: partial(bulk_insert, engine, detection, given),
            core: partial(execute, engine, given),
        }
        before = partial(empty, engine, "PRAGMA wal_checkpoint(TRUNCATE)")
        ways = {name: Way(work=work, before=before) for name, work in done.items()}
        times = interleaved(ways, rounds, unit="ms")
    targets = [Target("P15", ours, limit, 1.7), Target("", ours, core, 1 / 2)]
    title = f"SQLite: {len(given):,} mappings of {len(detection.columns)} columns, one transaction"
    report(title, times, targets, unit="ms", rows=len(given))


def other(given: list[dict[str, Any]], rounds: int) -> None:
    """A server of MariaDB, whose own way is to load a ready file."""
    limit, ours, core = "LOAD DATA LOCAL of a ready file", "bulk_insert", "Core executemany"
    with (
        mariadb("?local_infile=1") as service,
        stores_of(service, Lab, "alerts") as stores,
        NamedTemporaryFile("w") as file,
    ):
        engine = stores.engine(Lab, "alerts")
        csv.writer(file, "excel-tab").writerows(map(_ready, given))
        file.flush()
        done: dict[str, Callable[[], object]] = {
            limit: partial(load, engine, file.name),
            ours: partial(bulk_insert, engine, detection, given),
            core: partial(execute, engine, given),
        }
        ways = {name: Way(work=work, before=partial(empty, engine, "DO 0")) for name, work in done.items()}
        times = interleaved(ways, rounds, unit="ms")
    targets = [Target("P15", ours, limit, 1.3), Target("", ours, core, 1 / 2)]
    title = f"MariaDB: {len(given):,} mappings of {len(detection.columns)} columns, one transaction"
    report(title, times, targets, unit="ms", rows=len(given))


def _ready(row: dict[str, Any]) -> list[Any]:
    """A row as a file that is loaded has it."""
    made = (value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row.values())
    return ["\\N" if value is None else int(value) if isinstance(value, bool) else value for value in made]


def load(engine: Engine, path: str) -> None:
    """The server's own way."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE detection CHARACTER SET utf8mb4"
            " FIELDS TERMINATED BY '\t' OPTIONALLY ENCLOSED BY '\"' LINES TERMINATED BY '\r\n'"
        )


def library(database: str, ready: list[tuple[Any, ...]]) -> None:
    """The library's own way, on a connection as durable as an engine's."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        with connection:
            marks = ", ".join("?" for _ in detection.columns)
            connection.executemany(f"INSERT INTO detection VALUES ({marks})", ready)


def execute(engine: Engine, given: list[dict[str, Any]]) -> None:
    """SQLAlchemy Core."""
    with engine.begin() as connection:
        connection.execute(insert(detection), given)


if __name__ == "__main__":
    main()
