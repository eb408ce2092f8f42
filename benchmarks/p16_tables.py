"""P16, P17: what it costs to read 200,000 rows into a table, beside bare COPY."""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from p07_request import server
from sqlalchemy import Column, DateTime, Double, Engine, Integer, MetaData, Table, Text, select

from penstock import App, Database, MemoryRegistry, Stores
from penstock.query import bulk_insert, to_arrow, to_pandas, to_polars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 7
ROWS = 200_000

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


def rows() -> pa.Table:
    """Rows of twelve columns."""
    numbers = range(ROWS)
    columns: dict[str, Any] = {
        "candid": list(numbers),
        "oid": [f"ZTF20{number % 5000:07}" for number in numbers],
        "fid": [number % 3 for number in numbers],
        "seen": pd.date_range("2026-01-01", periods=ROWS, freq="s", tz="UTC"),
        **{f"value_{n}": [number / (n + 1) for number in numbers] for n in range(7)},
        "step": [None if number % 2 else "correction" for number in numbers],
    }
    return pa.table(columns)


def main() -> None:
    """Run every way in turn, `ROUNDS` times or as often as the first argument says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with server() as found:
        registry = MemoryRegistry()
        registry.put_service(found.service)
        with Stores(registry, apps=[Lab]) as desk:
            desk.link("main", Lab, "alerts")
            assert desk.sync(Lab)[0].ok
            engine = desk.engine(Lab, "alerts")
            bulk_insert(engine, detection, rows())
            report(measure(engine, rounds))


def measure(engine: Engine, rounds: int) -> dict[str, list[float]]:
    """Seconds of every way in every round, interleaved; a first round is not counted."""
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, way in ways(engine):
            start = time.perf_counter()
            found = way()
            took = time.perf_counter() - start
            assert len(found) in (ROWS, 0), name
            if turn:
                times.setdefault(name, []).append(took)
    return times


def ways(engine: Engine) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each way: its name, and what it does."""
    yield "COPY, bytes thrown away", lambda: copy(engine)
    yield "to_arrow", lambda: to_arrow(engine, everything)
    yield "to_pandas", lambda: to_pandas(engine, everything)
    yield "to_polars", lambda: to_polars(engine, everything)
    yield "to_arrow, in a transaction", lambda: within(engine)
    yield "Core rows", lambda: execute(engine)
    yield "pandas.read_sql", lambda: pd.read_sql(everything, engine)


def copy(engine: Engine) -> list[None]:
    """What the server sends, read and forgotten."""
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        with raw.cursor().copy("COPY detection TO STDOUT (FORMAT BINARY)") as reading:
            for _ in reading:
                pass
    return []


def within(engine: Engine) -> pa.Table:
    """On a connection that is in a transaction."""
    with engine.connect() as connection:
        return to_arrow(connection, everything)


def execute(engine: Engine) -> Any:
    """Rows as SQLAlchemy gives them."""
    with engine.connect() as connection:
        return connection.execute(everything).all()


RATIOS = [
    ("P16", "to_arrow", "COPY, bytes thrown away", 1.25),
    ("P16", "to_pandas", "COPY, bytes thrown away", 2.0),
    ("P16", "to_polars", "COPY, bytes thrown away", 2.0),
    ("P17", "to_arrow", "Core rows", 1 / 5),
    ("P17", "to_pandas", "pandas.read_sql", 1 / 5),
    ("", "to_arrow, in a transaction", "COPY, bytes thrown away", 2.5),
]


def report(times: dict[str, list[float]]) -> None:
    """Print the table, the ratios and the verdicts."""
    print(f"{ROWS} rows of {len(detection.columns)} columns")
    print(f"{'way':<32}{'median s':>10}{'min s':>10}{'rows/s':>10}{'rounds':>8}")
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(
            f"{name:<32}{median[name]:>10.3f}{min(values):>10.3f}{ROWS / median[name]:>10.0f}{len(values):>8}"
        )
    for row, one, other, limit in RATIOS:
        ratio = median[one] / median[other]
        verdict = "met" if ratio <= limit else "MISSED"
        said = f"{ratio:.2f}x" if limit >= 1 else f"{1 / ratio:.1f}x faster"
        target = f"<= {limit}x" if limit >= 1 else f">= {1 / limit:.0f}x faster"
        print(f"{row or 'also'}: {one} / {other}: {said}" + (f", target {target}: {verdict}" if row else ""))


if __name__ == "__main__":
    main()
