"""P17: what it costs to read rows of SQLite and MariaDB, beside pandas."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from measure import Target, Way, arguments, files, interleaved, mariadb, report, stores_of
from p16_tables import Lab, detection, everything, execute, rows

from penstock.query import bulk_insert, to_pandas

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Engine

    from penstock import Service

ROUNDS, ROWS = 5, 200_000

OURS, PEER, CORE = "to_pandas", "pandas.read_sql", "Core rows"
SESSION = "to_pandas, in a transaction"
TARGETS = [
    Target("P17", OURS, PEER, 1.0),
    Target("P17", SESSION, PEER, 1.0),
    Target("", OURS, CORE),
]


def main() -> None:
    """Read the rows in every way in turn, from a file and from a server."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    measured("SQLite", files(), rounds, count)
    measured("MariaDB", mariadb(), rounds, count)


def measured(name: str, where: AbstractContextManager[Service], rounds: int, count: int) -> None:
    """One of them."""
    with where as service, stores_of(service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        bulk_insert(engine, detection, rows(count))
        ways = {
            OURS: Way(work=partial(to_pandas, engine, everything)),
            SESSION: Way(work=partial(within, engine)),
            PEER: Way(work=partial(pd.read_sql, everything, engine)),
            CORE: Way(work=partial(execute, engine)),
        }
        times = interleaved(ways, rounds, unit="ms")
    title = f"{name}: {count:,} rows of {len(detection.columns)} columns"
    report(title, times, TARGETS, unit="ms", rows=count)


def within(engine: Engine) -> pd.DataFrame:
    """On a connection that is in a transaction."""
    with engine.connect() as connection:
        return to_pandas(connection, everything)


if __name__ == "__main__":
    main()
