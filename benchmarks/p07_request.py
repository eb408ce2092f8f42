"""P7: what a request through Penstock costs beside one through SQLAlchemy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Database, Stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

ROUNDS = 9
REQUESTS = 400

THROUGH, SAME, PLAIN = "through Penstock", "Session, same engine", "Session, create_engine"


class Base(DeclarativeBase):
    """The tables."""


class Gage(Base):
    """What a request reads."""

    __tablename__ = "gage"

    number: Mapped[str] = mapped_column(primary_key=True)
    altitude: Mapped[float]


class Lab(App):
    """An app with one store."""

    package = "lab"
    gages = Database("Every gage.", metadata=Base.metadata)


def main() -> None:
    """Run the three in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, requests=REQUESTS)
    with server() as found, stores_of(found.service, Lab, "gages") as stores:
        with stores.begin(Lab, "gages") as session:
            session.add(Gage(number="1", altitude=838.4))
        plain = create_engine(stores.url(Lab, "gages"))
        ways = {name: Way(work=work, times=count) for name, work in requests(stores, plain).items()}
        times = interleaved(ways, rounds, unit="us")
        plain.dispose()
    targets = [Target("P7", THROUGH, SAME, 1.05), Target("", THROUGH, PLAIN)]
    report(f"A session, one get, release; {count} in a round", times, targets, unit="us")


def requests(stores: Stores, plain: Engine) -> dict[str, Callable[[], None]]:
    """One request in each way: a session, one get, release."""

    def through_the_stores_object() -> None:
        with stores.session(Lab, "gages") as session:
            assert session.get(Gage, "1") is not None

    def on_the_same_engine() -> None:
        with Session(same) as session:
            assert session.get(Gage, "1") is not None

    def on_a_plain_engine() -> None:
        with Session(plain) as session:
            assert session.get(Gage, "1") is not None

    same = stores.engine(Lab, "gages")
    return {THROUGH: through_the_stores_object, SAME: on_the_same_engine, PLAIN: on_a_plain_engine}


if __name__ == "__main__":
    main()
