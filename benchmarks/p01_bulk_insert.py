"""P1, P2, P3: what it costs to store 100,000 rows, beside COPY of ready bytes."""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from p07_request import server
from sqlalchemy import Column, Double, Engine, Integer, MetaData, Table, Text, insert, text
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from penstock import App, Database, MemoryRegistry, Stores
from penstock.query import bulk_insert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 7
ROWS = 100_000

metadata = MetaData()
detection = Table(
    "detection",
    metadata,
    Column("candid", Integer, primary_key=True, autoincrement=False),
    Column("oid", Text, nullable=False),
    Column("fid", Integer, nullable=False),
    *(Column(f"value_{number}", Double) for number in range(8)),
    Column("step", Text),
)


class Lab(App):
    """An app with one store."""

    package = "lab"
    alerts = Database("Alerts.", metadata=metadata)


def rows() -> list[dict[str, Any]]:
    """Rows of twelve columns."""
    return [
        {
            "candid": number,
            "oid": f"ZTF20{number % 5000:07}",
            "fid": number % 3,
            **{f"value_{n}": number / (n + 1) for n in range(8)},
            "step": None if number % 2 else "correction",
        }
        for number in range(ROWS)
    ]


def main() -> None:
    """Run every way in turn, `ROUNDS` times or as often as the first argument says."""
    with store(Lab, "alerts") as engine:
        report(measure(engine, rounds(ROUNDS)))


@contextmanager
def store(app: type[App], name: str) -> Iterator[Engine]:
    """The engine of a store on a server of its own."""
    with server() as found:
        registry = MemoryRegistry()
        registry.put_service(found.service)
        with Stores(registry, apps=[app]) as desk:
            desk.link("main", app, name)
            assert desk.sync(app)[0].ok
            yield desk.engine(app, name)


def rounds(usual: int) -> int:
    """How often every way is run."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else usual


def measure(engine: Engine, rounds: int) -> dict[str, list[float]]:
    """Seconds of every way in every round, interleaved; a first round is not counted."""
    given = rows()
    bulk_insert(engine, detection, given)
    ready = copied_out(engine)
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, half, way in ways(engine, given, ready):
            begin(engine, half=half)
            start = time.perf_counter()
            way()
            if turn:
                times.setdefault(name, []).append(time.perf_counter() - start)
    return times


def ways(
    engine: Engine, given: list[dict[str, Any]], ready: bytes
) -> Iterator[tuple[str, bool, Callable[[], object]]]:
    """Each way: its name, whether half of the rows are there, and what it does."""
    yield "COPY of ready bytes", False, lambda: copy(engine, ready)
    yield "bulk_insert", False, lambda: bulk_insert(engine, detection, given)
    yield "Core executemany", False, lambda: execute(engine, insert(detection), given)
    for then in ("nothing", "update"):
        yield f"staged ready bytes, {then}", True, lambda then=then: stage(engine, ready, then)
        yield (
            f"bulk_insert, {then}",
            True,
            lambda then=then: bulk_insert(engine, detection, given, on_conflict=then),
        )
    skip = insert_or_skip(detection).on_conflict_do_nothing()
    yield "Core executemany, nothing", True, lambda: execute(engine, skip, given)


def begin(engine: Engine, *, half: bool) -> None:
    """Empty the table, or leave every other row."""
    with engine.begin() as connection:
        if not half:
            connection.execute(text("DELETE FROM detection"))
        else:
            connection.execute(text("DELETE FROM detection WHERE candid % 2 = 1"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM detection"))


def copied_out(engine: Engine) -> bytes:
    """What is in the table, as COPY wants it."""
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        with raw.cursor().copy("COPY detection TO STDOUT (FORMAT BINARY)") as reading:
            return b"".join(map(bytes, reading))


def copy(engine: Engine, ready: bytes, into: str = "detection") -> None:
    """Send ready bytes."""
    with engine.begin() as connection:
        send(connection.connection.driver_connection, ready, into)


def send(raw: Any, ready: bytes, into: str) -> None:
    """Send ready bytes, in pieces as long as a driver's."""
    with raw.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN (FORMAT BINARY)") as writing:
        for start in range(0, len(ready), 131_072):
            writing.write(ready[start : start + 131_072])


def stage(engine: Engine, ready: bytes, then: str) -> None:
    """Send ready bytes to a temporary table, and take them from there."""
    names = [column.name for column in detection.columns]
    new = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name != "candid")
    does = "NOTHING" if then == "nothing" else f"UPDATE SET {new}"
    with engine.begin() as connection:
        connection.execute(text("CREATE TEMP TABLE stage (LIKE detection) ON COMMIT DROP"))
        send(connection.connection.driver_connection, ready, "stage")
        connection.exec_driver_sql(
            f"INSERT INTO detection SELECT * FROM stage ORDER BY candid ON CONFLICT (candid) DO {does}"
        )


def execute(engine: Engine, statement: Any, given: list[dict[str, Any]]) -> None:
    """The way of db-plugins: Core, row by row."""
    with engine.begin() as connection:
        connection.execute(statement, given)


RATIOS = [
    ("P1", "bulk_insert", "COPY of ready bytes", 1.25),
    ("P2", "bulk_insert, nothing", "staged ready bytes, nothing", 1.1),
    ("P2", "bulk_insert, update", "staged ready bytes, update", 1.1),
    ("P3", "bulk_insert, nothing", "Core executemany, nothing", 1 / 5),
    ("", "bulk_insert", "Core executemany", 1.0),
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
    verdicts(median, RATIOS)


def verdicts(median: dict[str, float], ratios: list[tuple[str, str, str, float]]) -> None:
    """Print what one way takes in times of another, and whether that is little enough."""
    for row, one, other, limit in ratios:
        ratio = median[one] / median[other]
        verdict = "met" if ratio <= limit else "MISSED"
        said = f"{ratio:.2f}x" if limit >= 1 else f"{1 / ratio:.2f}x faster"
        target = f"<= {limit}x" if limit >= 1 else f">= {1 / limit:g}x faster"
        print(f"{row or 'also'}: {one} / {other}: {said}" + (f", target {target}: {verdict}" if row else ""))


if __name__ == "__main__":
    main()
