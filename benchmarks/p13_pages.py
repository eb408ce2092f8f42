"""P13: what a page costs at the beginning and near the end of a long table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from measure import Target, Way, arguments, interleaved, progress, report, server, stores_of
from sqlalchemy import Column, Double, Index, Integer, MetaData, Table, Text, desc, text
from sqlalchemy.orm import DeclarativeBase, Session

from penstock import App, Database
from penstock.query import bulk_insert, paginate, paginate_keyset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

ROUNDS, ROWS = 41, 1_000_000
PER_PAGE = 10
REQUESTS = 50  # In a round: short rounds, and many, so that what else the machine does hits all alike.
STRIDE = 20_000


class Base(DeclarativeBase):
    """The tables."""

    metadata = MetaData()


observation = Table(
    "observation",
    Base.metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("mjd", Double, nullable=False),
    Column("oid", Text, nullable=False),
)
newest = Index("observation_newest", desc(observation.c.mjd), observation.c.id)


class Observation(Base):
    """What is paged through, as objects."""

    __table__ = observation


class Lab(App):
    """An app with one store."""

    package = "lab"
    observations = Database("Observations.", metadata=Base.metadata)


ORDERS: dict[str, list[Any]] = {"by key": [], "newest first": [observation.c.mjd.desc()]}
"""The primary key; and two directions, of which the first has each value as often as a page has rows."""


def main() -> None:
    """Ask for both pages in both orders, in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    last = count // PER_PAGE * 9 // 10
    with server() as found, stores_of(found.service, Lab, "observations") as stores:
        engine = stores.engine(Lab, "observations")
        fill(engine, count)
        ways: dict[str, Way] = {}
        for name, order in ORDERS.items():
            for page in (1, 2, last):
                progress(f"{name}: to page {page:,}")
                ask = partial(keyset, order=order, after=cursor_before(engine, order, page))
                ways[called(name, page)] = Way(work=asking(engine, ask), times=REQUESTS)
        ways["OFFSET, page 1"] = Way(work=asking(engine, partial(numbered, page=1)), times=REQUESTS)
        ways[f"OFFSET, page {last:,}"] = Way(work=asking(engine, partial(numbered, page=last)))
        times = interleaved(ways, rounds, unit="us")
    targets = [Target("P13", called(name, last), called(name, 1), 1.2) for name in ORDERS]
    targets += [Target("", called(name, last), called(name, 2)) for name in ORDERS]
    targets.append(Target("", f"OFFSET, page {last:,}", called("by key", last)))
    report(f"{count:,} rows, {PER_PAGE} on a page, as objects, a session each", times, targets, unit="us")


def called(order: str, page: int) -> str:
    """What the way is called that asks for that page."""
    return f"keyset {order}, page {page:,}"


def rows(count: int) -> Iterator[tuple[int, float, str]]:
    """Rows in the order of their keys, which is not that of their days."""
    days = max(count // PER_PAGE, 1)
    return ((number, number * 7919 % days / 8, f"ZTF20{number % 5000:07}") for number in range(count))


def fill(engine: Engine, count: int) -> None:
    """Store the rows, and let the planner know of them."""
    progress(f"storing {count:,} rows")
    bulk_insert(engine, Observation, rows(count), columns=("id", "mjd", "oid"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE observation"))


def cursor_before(engine: Engine, order: list[Any], page: int) -> str | None:
    """The cursor with which a page is asked for; it is gone to in long strides."""
    after, left = None, (page - 1) * PER_PAGE
    while left:
        step = min(left, STRIDE)
        with Session(engine) as session:
            found = paginate_keyset(session, observation, order_by=order, per_page=step, after=after)
        after, left = found.next_cursor, left - step
    return after


def asking(engine: Engine, ask: Callable[[Session], Sequence[Any]]) -> Callable[[], None]:
    """A request that needs a page."""

    def request() -> None:
        with Session(engine) as session:
            assert len(ask(session)) == PER_PAGE

    return request


def keyset(session: Session, *, order: list[Any], after: str | None = None) -> Sequence[Any]:
    """A page from where another one ended."""
    return paginate_keyset(session, Observation, order_by=order, per_page=PER_PAGE, after=after).items


def numbered(session: Session, *, page: int) -> Sequence[Any]:
    """A page by its number, by key; rows are not counted."""
    return paginate(session, Observation, page=page, per_page=PER_PAGE, count=False).items


if __name__ == "__main__":
    main()
