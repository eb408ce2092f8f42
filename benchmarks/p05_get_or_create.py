"""P5, P6: what it costs to get rows, or to make them if they are not there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy import Engine, bindparam, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Database
from penstock.query import get_or_create, get_or_create_many

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUNDS = 9
KEYS = 1000
SINGLE = 300

TARGETS = [
    Target("P5", "many, miss", "two raw statements, miss", 3.0),
    Target("P5", "many, hit", "two raw statements, hit", 3.0),
    Target("P6", "one by one, hit", "savepoint, hit", 1 / 1.5),
    Target("P6", "one by one, miss", "savepoint, miss", 1 / 2),
    Target("", "one by one, hit", "limit: one statement through the session, hit"),
]


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
    """Get the rows in every way in turn: missing, then there."""
    [rounds] = arguments(__doc__, rounds=ROUNDS)
    with server() as found, stores_of(found.service, Lab, "objects") as stores:
        times = interleaved(ways(stores.engine(Lab, "objects")), rounds, unit="us")
    report("One key", times, TARGETS, unit="us")


def ways(engine: Engine) -> Mapping[str, Way]:
    """Each way: into an empty table, then where it has just made the rows."""
    done: dict[str, tuple[int, Callable[[Engine], None]]] = {
        "many": (KEYS, many),
        "two raw statements": (KEYS, raw),
        "one by one": (SINGLE, singly),
        "savepoint": (SINGLE, classic),
    }
    found: dict[str, Way] = {}
    for name, (count, way) in done.items():
        work = partial(way, engine)
        found[f"{name}, miss"] = Way(work=work, before=partial(empty, engine), count=count)
        found[f"{name}, hit"] = Way(work=work, count=count)
    least = partial(through_the_session, engine)
    found["limit: one statement through the session, hit"] = Way(work=least, count=SINGLE)
    return found


def empty(engine: Engine) -> None:
    """Take all rows out of the table."""
    with engine.begin() as connection:
        connection.execute(delete(Object))


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


def through_the_session(engine: Engine) -> None:
    """The least that loads an object: a SELECT that was made before, by the session."""
    query = select(Object).where(Object.oid == bindparam("oid"))
    with Session(engine) as session, session.begin():
        for row in rows(SINGLE):
            session.scalars(query, {"oid": row["oid"]}).one()


if __name__ == "__main__":
    main()
