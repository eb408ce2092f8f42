"""P19: what it costs to store an Arrow table of 1,000,000 rows of 12 columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement, StatementOptions
from measure import Target, Way, arguments, interleaved, progress, report, server, stores_of
from p16_tables import Lab, detection, rows
from sqlalchemy import Engine, text

from penstock.query import bulk_insert, upsert

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from adbc_driver_manager import AdbcDatabase

ROUNDS, ROWS = 5, 1_000_000

DRIVER, PANDAS, BY_ROWS = "adbc_ingest", "pandas.to_sql", "bulk_insert, rows of Python's"
TARGETS = [
    Target("P19", "bulk_insert, Arrow", DRIVER, 1.0),
    Target("P19", "bulk_insert, Arrow", PANDAS, 1 / 8),
    Target("P19", "bulk_insert, pandas", DRIVER, 1.15),
    Target("", "bulk_insert, pandas", PANDAS),
    Target("", BY_ROWS, DRIVER),
    Target("", "upsert, Arrow, all new", DRIVER),
]


def main() -> None:
    """Store the rows in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    table = rows(count)
    progress(f"{count:,} rows are made")
    with server() as found, stores_of(found.service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        url = stores.url(Lab, "alerts").set(drivername="postgresql")
        with adbc_driver_postgresql.connect(url.render_as_string(hide_password=False)) as driver:
            times = interleaved(ways(engine, driver, table), rounds, unit="ms")
    report(f"{count:,} rows of {table.num_columns} columns", times, TARGETS, unit="ms", rows=count)


def ways(engine: Engine, driver: AdbcDatabase, table: pa.Table) -> Mapping[str, Way]:
    """Each way; the table is emptied before, which is not timed."""
    empty = partial(emptied, engine)
    frame, given = table.to_pandas(), as_stored(table)
    works: dict[str, Any] = {
        DRIVER: partial(ingest, driver, given),
        "bulk_insert, Arrow": partial(bulk_insert, engine, detection, table),
        "bulk_insert, pandas": partial(bulk_insert, engine, detection, frame),
        "upsert, Arrow, all new": partial(upsert, engine, detection, table),
        BY_ROWS: partial(by_rows, engine, table),
        PANDAS: partial(to_sql, engine, frame),
    }
    return {name: Way(work=work, before=empty) for name, work in works.items()}


def as_stored(table: pa.Table) -> pa.Table:
    """The table with the types of the columns: ADBC takes no others."""
    known = {"candid": pa.int32(), "fid": pa.int32(), "seen": pa.timestamp("us", "UTC")}
    fields = [pa.field(each.name, known.get(each.name, each.type)) for each in table.schema]
    return table.cast(pa.schema(fields))


def emptied(engine: Engine) -> None:
    """Leave no row in the table."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE detection"))


def ingest(driver: AdbcDatabase, table: pa.Table) -> None:
    """By a connection of the driver's own."""
    with AdbcConnection(driver) as connection, AdbcStatement(connection) as statement:
        statement.set_options(
            **{
                StatementOptions.INGEST_MODE.value: "adbc.ingest.mode.append",
                StatementOptions.INGEST_TARGET_TABLE.value: "detection",
            }
        )
        statement.bind_stream(table.to_reader())
        statement.execute_update()


def by_rows(engine: Engine, table: pa.Table) -> None:
    """As tuples, which are made a batch at a time."""
    made = (
        row
        for batch in table.to_batches(max_chunksize=50_000)
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    )
    bulk_insert(engine, detection, made, columns=table.column_names)


def to_sql(engine: Engine, frame: pd.DataFrame) -> None:
    """By pandas itself: as statements of many rows."""
    with engine.begin() as connection:
        frame.to_sql("detection", connection, if_exists="append", index=False, chunksize=50_000)


if __name__ == "__main__":
    main()
