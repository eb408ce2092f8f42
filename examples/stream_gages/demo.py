"""The tour: an app, its stores, a server of its own; then the same on SQLite.

Run `python -m stream_gages.demo` in the folder `examples` for the eight gages that are built in;
the environment variable GAGES names a site file of the US Geological Survey to take instead.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from penstock import PenstockError
from stream_gages.app import StreamGages
from stream_gages.model import Gage
from stream_gages.rdb import RdbError
from stream_gages.sites import gages_file, read_gages
from stream_gages.stage import (
    Stage,
    Stopped,
    Unexpected,
    check,
    endings,
    forget_outer_configuration,
    say,
)

HIGH = 1000.0


# --- what the file says, so that there is something to compare with ---------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What the stores must answer, worked out without a database.

    Args:
        gages: The gages of the file.
    """

    gages: Sequence[Gage]

    @classmethod
    def from_file(cls, path: Path) -> Known:
        """Read the file once, before anything is made.

        Raises:
            Unexpected: It can't be read, or not understood.
        """
        try:
            return cls(list(read_gages(path)))
        except (RdbError, OSError) as error:
            raise Unexpected(f"the gages: {error}") from error

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every gage as plain values, by number."""
        names = [column.key for column in Gage.__table__.columns]
        rows = [{name: getattr(gage, name) for name in names} for gage in self.gages]
        return sorted(rows, key=lambda row: str(row["number"]))

    @property
    def by_altitude(self) -> list[str]:
        """The numbers of the gages whose altitude is known, the highest first."""
        found = [(-gage.altitude, gage.number) for gage in self.gages if gage.altitude is not None]
        return [number for _, number in sorted(found)]

    @property
    def high(self) -> set[str]:
        """The numbers of the gages above 1000 ft."""
        return {g.number for g in self.gages if g.altitude is not None and g.altitude > HIGH}

    @property
    def basins(self) -> Counter[str]:
        """How many gages each river basin has."""
        return Counter(sorted(g.basin for g in self.gages if g.basin is not None))


# --- the tour -----------------------------------------------------------------------------------------


def tour(stage: Stage, known: Known) -> None:
    """The project, then a round on PostgreSQL, then one on SQLite."""
    with stage.part("A project"):
        stage.penstock("init")
    with stage.part("PostgreSQL: a server of our own"):
        stage.penstock("db", "configure")
        stage.remember_server()
        stage.penstock("services", "list")
    go_round(stage, known, "PostgreSQL", "postgres")
    with stage.part("PostgreSQL: the server goes"):
        stage.penstock("db", "remove", "--yes", "--force")
    go_round(stage, known, "SQLite", "local")


def go_round(stage: Stage, known: Known, title: str, service: str) -> None:
    """Link the app to a service, sync, use what is there, take it away again."""
    with stage.part(f"{title}: link and sync"):
        stage.penstock("link", service, "stream_gages:gages")
        stage.penstock("link", service, "stream_gages:basins")
        stage.penstock("syncstores", "stream_gages")
        stage.penstock("stores", "status", "stream_gages")
    with stage.part(f"{title}: read the gages back"), stage.app():
        read_back(known)
    with stage.part(f"{title}: a store for every river basin"), stage.app():
        make_basins(known)
        drop_basins(known)
    with stage.part(f"{title}: sync again, then drop"):
        stage.penstock("syncstores", "stream_gages")
        say()
        with stage.app():
            check("the gages were not put in a second time", count(), len(known.gages))
        stage.penstock("stores", "drop", "stream_gages:gages", "--now", "--yes")
        say()
        with stage.app():
            check("the store is gone", StreamGages.gages.exists(), False)


def read_back(known: Known) -> None:
    """Ask the store what the file can answer too."""
    by_altitude = select(Gage).order_by(Gage.altitude.desc(), Gage.number)
    with StreamGages.gages.session() as session:
        rows = [dict(row) for row in session.execute(select(Gage.__table__).order_by(Gage.number)).mappings()]
        high = session.scalars(by_altitude.where(Gage.altitude > HIGH)).all()
        highest = session.scalars(by_altitude.where(Gage.altitude.is_not(None)).limit(1)).all()
    say("\n  select(Gage).where(Gage.altitude > 1000).order_by(Gage.altitude.desc(), Gage.number)\n")
    show_table(high, most=5)
    say()
    check(f"{len(rows)} gages are in the store, each as in the file", rows, known.rows)
    check(f"{len(high)} gages are above 1000 ft", {gage.number for gage in high}, known.high)
    named = f"{highest[0].name}, {highest[0].altitude:.2f} ft" if highest else "not known"
    check(f"the highest gage is {named}", [gage.number for gage in highest], known.by_altitude[:1])


def make_basins(known: Known) -> None:
    """Make a store per river basin, and fill each from the store of all gages."""
    for basin in known.basins:
        fill(basin)
    found = {basin: count(basin) for basin in StreamGages.basins.names()}
    say("\n  StreamGages.basins.create(basin)\n")
    show_counts(found)
    say()
    check(f"{len(found)} stores are made, each with the gages of its basin", found, dict(known.basins))
    check(f"together they have {sum(found.values())} gages", sum(found.values()), known.basins.total())


def fill(basin: str) -> None:
    """Make the store of one basin and copy its gages there."""
    with StreamGages.gages.session() as session:
        gages = session.execute(select(Gage.__table__).where(Gage.basin == basin)).mappings().all()
    with StreamGages.basins.create(basin).begin() as session:
        session.execute(insert(Gage), [dict(gage) for gage in gages])


def drop_basins(known: Known) -> None:
    """Drop the store of every basin."""
    for basin in known.basins:
        StreamGages.basins.drop(basin, now=True)
    check("all of them are dropped", StreamGages.basins.names(), [])


def count(basin: str = "") -> int:
    """How many gages there are: in the store of a basin, or in that of all."""
    store = StreamGages.basins[basin] if basin else StreamGages.gages
    with store.session() as session:
        return session.scalars(select(func.count()).select_from(Gage)).one()


# --- showing ------------------------------------------------------------------------------------------


def show_table(gages: Sequence[Gage], most: int) -> None:
    """The first gages of a list, one per line."""
    for gage in gages[:most]:
        say(f"  {gage.number:15}  {gage.name:50}  {gage.altitude or 0:9.2f} ft")
    if len(gages) > most:
        say(f"  and {len(gages) - most} more")


def show_counts(counts: dict[str, int], columns: int = 4) -> None:
    """How many gages each store has, several stores to a line."""
    cells = [f"{basin:16} {number:4}" for basin, number in counts.items()]
    for start in range(0, len(cells), columns):
        say("  " + "     ".join(cells[start : start + columns]))


def show_seconds(seconds: dict[str, float]) -> None:
    """How long each part took."""
    say("\n\nSeconds\n-------")
    for title, value in [*seconds.items(), ("together", sum(seconds.values()))]:
        say(f"  {title:45} {value:5.1f}")


# --- from the start to the end --------------------------------------------------------------------------


def main() -> int:
    """Give the tour; 0 if everything was as expected and nothing is left."""
    endings.become_exceptions()
    forget_outer_configuration()
    problems: list[str] = []
    seconds: dict[str, float] = {}
    try:
        known = Known.from_file(gages_file())
        with Stage() as stage:
            seconds = stage.seconds
            greet(stage, known)
            tour(stage, known)
    except (Unexpected, PenstockError) as error:
        problems.append(str(error))
    except Stopped as error:
        problems.append(f"stopped by {error}")
    except BrokenPipeError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  (the interpreter closes it)
        problems.append("nobody reads what it prints")
    return take_leave(seconds, problems)


def greet(stage: Stage, known: Known) -> None:
    """Say what will be done, with what, where."""
    title = "Stream gages: a tour of Penstock"
    say(f"{title}\n{'=' * len(title)}\n")
    say(f"  gages    {len(known.gages)} in {len(known.basins)} river basins, from {gages_file()}")
    say(f"  folder   {stage.folder}, removed at the end")


def take_leave(seconds: dict[str, float], problems: list[str]) -> int:
    """Say how it went, and give the exit code."""
    if problems:
        print("\n".join(["", *(f"The demo failed: {problem}" for problem in problems)]), file=sys.stderr)
        return 1
    show_seconds(seconds)
    say("\nEverything was as expected. No process and no file is left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
