"""P5, P6: what it costs to get rows, or to make them if they are not there."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from p01_bulk_insert import rounds, store, verdicts
from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Database
from penstock.query import get_or_create, get_or_create_many

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 9
KEYS = 1000
SINGLE = 300


class Base(DeclarativeBase):
    """The tables."""


class Object(Base):
    """What is observed."""

    __tablename__ = "object"

    oid: Mapped[str] = mapped_column(primary_key=True)
    ndet: Mapped[int | None]
    meanra: Mapped[float | None]
    meandec: Mapped[float | None]


class Lab(App):
    """An app with one store."""

    package = "lab"
    objects = Database("Objects.", metadata=Base.metadata)


def rows(count: int) -> list[dict[str, Any]]:
    """Objects as a pipeline sees them."""
    return [{"oid": f"ZTF{n:09}", "ndet": n, "meanra": n / 7, "meandec": n / 9} for n in range(count)]


def main() -> None:
    """Run every way in turn, `ROUNDS` times or as often as the first argument says."""
    with store(Lab, "objects") as engine:
        report(measure(engine, rounds(ROUNDS)))


def measure(engine: Engine, rounds: int) -> dict[str, list[float]]:
    """Microseconds a key of every way, missing and there, interleaved; a first round is not counted."""
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "many": (KEYS, lambda: many(engine)),
        "two raw statements": (KEYS, lambda: raw(engine)),
        "one by one": (SINGLE, lambda: singly(engine)),
        "savepoint": (SINGLE, lambda: classic(engine)),
    }
    times: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        for name, (count, way) in ways.items():
            with engine.begin() as connection:
                connection.execute(delete(Object))
            for case in ("miss", "hit"):
                start = time.perf_counter()
                way()
                if turn:
                    times.setdefault(f"{name}, {case}", []).append(
                        (time.perf_counter() - start) / count * 1e6
                    )
    return times


def many(engine: Engine) -> None:
    """All in one call, as objects."""
    with Session(engine) as session, session.begin():
        assert len(get_or_create_many(session, Object, rows(KEYS))) == KEYS


def raw(engine: Engine) -> None:
    """All in two statements of the driver's."""
    given = rows(KEYS)
    columns = [[row[name] for row in given] for name in given[0]]
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        cursor = driver.cursor()
        cursor.execute(
            "INSERT INTO object SELECT * FROM unnest(%s::text[], %s::int[], %s::float8[], %s::float8[])"
            " ON CONFLICT DO NOTHING RETURNING oid",
            columns,
        )
        cursor.fetchall()
        cursor.execute("SELECT oid, ndet, meanra, meandec FROM object WHERE oid = ANY(%s)", [columns[0]])
        assert len(cursor.fetchall()) == KEYS


def singly(engine: Engine) -> None:
    """One call a key."""
    with Session(engine) as session, session.begin():
        for row in rows(SINGLE):
            get_or_create(session, Object, {"oid": row.pop("oid")}, row)


def classic(engine: Engine) -> None:
    """One SELECT a key, and an ORM insert in a savepoint if that finds nothing."""
    with Session(engine) as session, session.begin():
        for row in rows(SINGLE):
            if session.scalars(select(Object).filter_by(oid=row["oid"])).one_or_none() is None:
                try:
                    with session.begin_nested():
                        session.add(Object(**row))
                except IntegrityError:
                    session.scalars(select(Object).filter_by(oid=row["oid"])).one()


RATIOS = [
    ("P5", "many, miss", "two raw statements, miss", 3.0),
    ("P5", "many, hit", "two raw statements, hit", 3.0),
    ("P6", "one by one, hit", "savepoint, hit", 1 / 1.5),
    ("P6", "one by one, miss", "savepoint, miss", 1 / 2),
]


def report(times: dict[str, list[float]]) -> None:
    """Print the table, the ratios and the verdicts."""
    print(f"{'way':<28}{'median us':>10}{'min us':>10}{'rounds':>8}   (a key)")
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:<28}{median[name]:>10.1f}{min(values):>10.1f}{len(values):>8}")
    verdicts(median, RATIOS)


if __name__ == "__main__":
    main()
