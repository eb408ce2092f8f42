"""P1, P2, P3: what it costs to store 100,000 rows, beside COPY of ready bytes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from alerts import Lab, detection, empty, generated
from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy import Engine, insert, text
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from penstock.query import bulk_insert

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS, ROWS = 7, 100_000

TARGETS = [
    Target("P1", "bulk_insert", "COPY of ready bytes", 1.25),
    Target("P2", "bulk_insert, nothing", "staged ready bytes, nothing", 1.1),
    Target("P2", "bulk_insert, update", "staged ready bytes, update", 1.1),
    Target("P3", "bulk_insert, nothing", "Core executemany, nothing", 1 / 5),
    Target("", "bulk_insert", "Core executemany"),
]


def main() -> None:
    """Store the rows in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    given = list(generated(count))
    with server() as found, stores_of(found.service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        bulk_insert(engine, detection, given)
        times = interleaved(ways(engine, given, copied_out(engine)), rounds, unit="ms")
    title = f"{count:,} mappings of {len(detection.columns)} columns, one transaction"
    report(title, times, TARGETS, unit="ms", rows=count)


def ways(engine: Engine, given: list[dict[str, Any]], ready: bytes) -> Mapping[str, Way]:
    """Each way: into an empty table, or where half of the rows are there."""
    before, half = partial(empty, engine), partial(halve, engine)
    found = {
        "COPY of ready bytes": Way(work=partial(copy, engine, ready), before=before),
        "bulk_insert": Way(work=partial(bulk_insert, engine, detection, given), before=before),
        "Core executemany": Way(work=partial(execute, engine, insert(detection), given), before=before),
    }
    for then in ("nothing", "update"):
        staged, ours = f"staged ready bytes, {then}", f"bulk_insert, {then}"
        found[staged] = Way(work=partial(stage, engine, ready, then), before=half)
        work = partial(bulk_insert, engine, detection, given, on_conflict=then)
        found[ours] = Way(work=work, before=half)
    skip = insert_or_skip(detection).on_conflict_do_nothing()
    found["Core executemany, nothing"] = Way(work=partial(execute, engine, skip, given), before=half)
    return found


def halve(engine: Engine) -> None:
    """Leave every other row in the table."""
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM detection WHERE candid % 2 = 1"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM detection"))


def copied_out(engine: Engine) -> bytes:
    """What is in the table, as COPY wants it."""
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        with raw.cursor().copy("COPY detection TO STDOUT (FORMAT BINARY)") as reading:
            return b"".join(map(bytes, reading))


def copy(engine: Engine, ready: bytes) -> None:
    """Send ready bytes."""
    with engine.begin() as connection:
        send(connection.connection.driver_connection, ready, "detection")


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


if __name__ == "__main__":
    main()
