"""P16, P17: what it costs to read 200,000 rows into a table, beside bare COPY."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import adbc_driver_postgresql
import pandas as pd
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement
from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy import Column, DateTime, Double, Engine, Integer, MetaData, Table, Text, select

from penstock import App, Database
from penstock.query import bulk_insert, to_arrow, to_pandas, to_polars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adbc_driver_manager import AdbcDatabase

ROUNDS, ROWS = 7, 200_000

LIMIT, DRIVER = "COPY, bytes thrown away", "ADBC alone"
TARGETS = [
    Target("P16", "to_arrow", LIMIT, 1.25),
    Target("P16", "to_pandas", LIMIT, 2.0),
    Target("P16", "to_polars", LIMIT, 2.0),
    Target("P17", "to_arrow", "Core rows", 1 / 5),
    Target("P17", "to_pandas", "pandas.read_sql", 1 / 5),
    Target("", DRIVER, LIMIT),
    Target("", "to_arrow", DRIVER),
    Target("P16", "to_arrow, in a transaction", DRIVER, 2.0),
    Target("", "to_arrow, in a transaction", LIMIT),
]

metadata = MetaData()
detection = Table(
    "detection",
    metadata,
    Column("candid", Integer, primary_key=True, autoincrement=False),
    Column("oid", Text, nullable=False),
    Column("fid", Integer, nullable=False),
    Column("seen", DateTime(timezone=True)),
    *(Column(f"value_{number}", Double) for number in range(7)),
    Column("step", Text),
)
everything = select(detection)


class Lab(App):
    """An app with one store."""

    package = "lab"
    alerts = Database("Alerts.", metadata=metadata)


def rows(count: int) -> pa.Table:
    """Rows of twelve columns."""
    numbers = range(count)
    columns: dict[str, Any] = {
        "candid": list(numbers),
        "oid": [f"ZTF20{number % 5000:07}" for number in numbers],
        "fid": [number % 3 for number in numbers],
        "seen": pd.date_range("2026-01-01", periods=count, freq="s", tz="UTC"),
        **{f"value_{n}": [number / (n + 1) for number in numbers] for n in range(7)},
        "step": [None if number % 2 else "correction" for number in numbers],
    }
    return pa.table(columns)


def main() -> None:
    """Read the rows in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    with server() as found, stores_of(found.service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        bulk_insert(engine, detection, rows(count))
        url = stores.url(Lab, "alerts").set(drivername="postgresql")
        with adbc_driver_postgresql.connect(url.render_as_string(hide_password=False)) as driver:
            times = interleaved(ways(engine, driver), rounds, unit="ms")
    report(f"{count:,} rows of {len(detection.columns)} columns", times, TARGETS, unit="ms", rows=count)


def ways(engine: Engine, driver: AdbcDatabase) -> Mapping[str, Way]:
    """Each way."""
    return {
        LIMIT: Way(work=partial(copy, engine)),
        DRIVER: Way(work=partial(read, driver)),
        "to_arrow": Way(work=partial(to_arrow, engine, everything)),
        "to_pandas": Way(work=partial(to_pandas, engine, everything)),
        "to_polars": Way(work=partial(to_polars, engine, everything)),
        "to_arrow, in a transaction": Way(work=partial(within, engine)),
        "Core rows": Way(work=partial(execute, engine)),
        "pandas.read_sql": Way(work=partial(pd.read_sql, everything, engine)),
    }


def copy(engine: Engine) -> None:
    """What the server sends, read and forgotten."""
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        with raw.cursor().copy("COPY detection TO STDOUT (FORMAT BINARY)") as reading:
            for _ in reading:
                pass


def read(driver: AdbcDatabase) -> pa.Table:
    """By a new connection of the driver."""
    with AdbcConnection(driver) as connection, AdbcStatement(connection) as statement:
        statement.set_sql_query("SELECT * FROM detection")
        stream, _ = statement.execute_query()
        with pa.RecordBatchReader.from_stream(stream) as reader:
            return reader.read_all()


def within(engine: Engine) -> pa.Table:
    """On a connection that is in a transaction."""
    with engine.connect() as connection:
        return to_arrow(connection, everything)


def execute(engine: Engine) -> Any:
    """Rows as SQLAlchemy gives them."""
    with engine.connect() as connection:
        return connection.execute(everything).all()


if __name__ == "__main__":
    main()
