"""P7: what a request through the desk costs beside one through SQLAlchemy alone."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Database, MemoryRegistry, Service, Stores
from penstock.embedded import Cluster
from penstock.secrets import SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 9
REQUESTS = 400
MAX_RATIO = 1.05

DESK, SAME, PLAIN = "through the desk", "Session, same engine", "Session, create_engine"


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


class Server(NamedTuple):
    """A server, and a service on it."""

    cluster: Cluster
    service: Service


def main() -> None:
    """Run the three in turn, `ROUNDS` times or as often as the first argument says."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with server() as found, desk_on(found) as desk:
        plain = create_engine(desk.url(Lab, "gages"))
        report(measure(requests(desk, plain), rounds))
        plain.dispose()


@contextmanager
def server() -> Iterator[Server]:
    """A PostgreSQL server in a folder of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        cluster = Cluster(folder / "home", secrets=folder / "secrets")
        try:
            made = cluster.configure()
            url = f"postgresql://penstock@127.0.0.1:{made.port}"
            password = SecretRef("file", str(made.owner_password_file))
            yield Server(cluster, Service(name="main", url=url, password=password))
        finally:
            cluster.remove()


@contextmanager
def desk_on(found: Server) -> Iterator[Stores]:
    """A desk with the store made, and one gage in it."""
    registry = MemoryRegistry()
    registry.put_service(found.service)
    with Stores(registry, apps=[Lab]) as desk:
        desk.link("main", Lab, "gages")
        assert desk.sync(Lab)[0].ok
        with desk.begin(Lab, "gages") as session:
            session.add(Gage(number="1", altitude=838.4))
        yield desk


def requests(desk: Stores, plain: object) -> dict[str, Callable[[], None]]:
    """One request in each way: a session, one get, release."""

    def through_the_desk() -> None:
        with desk.session(Lab, "gages") as session:
            assert session.get(Gage, "1") is not None

    def on_the_same_engine() -> None:
        with Session(same) as session:
            assert session.get(Gage, "1") is not None

    def on_a_plain_engine() -> None:
        with Session(plain) as session:
            assert session.get(Gage, "1") is not None

    same = desk.engine(Lab, "gages")
    return {DESK: through_the_desk, SAME: on_the_same_engine, PLAIN: on_a_plain_engine}


def measure(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Microseconds of a request in every round, interleaved; a first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, request in ways.items():
            start = time.perf_counter()
            for _ in range(REQUESTS):
                request()
            if turn:
                times[name].append((time.perf_counter() - start) / REQUESTS * 1e6)
    return times


def report(times: dict[str, list[float]]) -> None:
    """Print the table, the ratios and the verdict."""
    print(f"{'request':<24}{'median us':>10}{'min us':>10}{'rounds':>8}")
    for name, values in times.items():
        print(f"{name:<24}{statistics.median(values):>10.1f}{min(values):>10.1f}{len(values):>8}")
    ratio = paired(times, DESK, SAME)
    verdict = "met" if ratio <= MAX_RATIO else "MISSED"
    print(f"{DESK} / {SAME}: {ratio:.2f}x, target <= {MAX_RATIO}x: {verdict}")
    print(f"{DESK} / {PLAIN}: {paired(times, DESK, PLAIN):.2f}x")


def paired(times: dict[str, list[float]], one: str, other: str) -> float:
    """The ratio between medians."""
    return statistics.median(times[one]) / statistics.median(times[other])


if __name__ == "__main__":
    main()
