"""A figure that a page states is the code's, or one of those that are others'."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from penstock.backends import backend_for
from penstock.backends.mysql import grants
from penstock.backends.mysql import pages as mysql_pages
from penstock.backends.mysql import sending as mysql_sending
from penstock.backends.sqlite import files
from penstock.compat.db_plugins import query as db_plugins_query
from penstock.connect import credentials
from penstock.declare import naming
from penstock.embedded import ports
from penstock.engines import EngineOptions, engine, shared_transaction
from penstock.loading import delimited
from penstock.provision import rotation
from penstock.query import blocks
from penstock.registry import shape, trust
from penstock.secrets import keys, sealed

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", PROJECT / "SECURITY.md", *sorted((PROJECT / "docs").rglob("*.md"))]

SERVER = backend_for(make_url("postgresql://h/d")).max_connections
FILES = backend_for(make_url("sqlite:///d")).max_connections
OPTIONS = EngineOptions()
LETTERS = len(base64.urlsafe_b64encode(bytes(credentials._BYTES)))

FIGURES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("explanation/connections", "this process may have to it: {}, or what", (SERVER,)),
    ("explanation/connections", "share one as well, of {},", (FILES,)),
    ("explanation/connections", "`pool_timeout`, {:g} seconds by default", (OPTIONS.pool_timeout,)),
    (
        "explanation/connections",
        "8 workers each | {} connections per process | {} ",
        (SERVER, 2 * 8 * SERVER),
    ),
    ("explanation/connections", "and a budget of {},", (SERVER,)),
    ("explanation/connections", "idle for {:g} seconds is pinged", (engine._PING_AFTER,)),
    ("explanation/connections", "at most every {:g} seconds (`refresh", (OPTIONS.refresh_interval,)),
    ("explanation/connections", "`connect_timeout` gives: {:g} seconds", (OPTIONS.connect_timeout,)),
    ("explanation/names", "longer than {} bytes (the most PostgreSQL keeps)", (naming.LONGEST_NAME,)),
    ("explanation/names", "printable characters, 1 to {} of them", (naming.LONGEST_LABEL,)),
    ("explanation/passwords", "padded to multiples of {} bytes", (sealed._BLOCK,)),
    ("explanation/passwords", "makes a key, {} random bytes", (keys._SIZE,)),
    ("explanation/passwords", "generates: {} random bytes", (credentials._BYTES,)),
    ("explanation/sqlite", "for up to {:g} seconds, then", (files.BUSY_TIMEOUT,)),
    (
        "explanation/where-answers-come-from",
        "`refresh_interval` ({:g} seconds by",
        (OPTIONS.refresh_interval,),
    ),
    ("explanation/who-may-do-what", "They are {} random characters", (LETTERS,)),
    ("explanation/who-may-do-what", "than the {} characters that", (grants._PATTERN_LENGTH,)),
    ("how-to/come-from-db-plugins", "Counting ends at {:,} rows", (db_plugins_query._MOST,)),
    ("how-to/embedded-postgresql", "from {} to {}, and", (ports.FIRST, ports.FIRST + ports.COUNT - 1)),
    ("how-to/kubernetes-bindings", "within `refresh_interval` ({:g} seconds)", (OPTIONS.refresh_interval,)),
    ("how-to/load-a-file", "a row has at most {:g} MB", (delimited._BLOCK / 1_000_000,)),
    ("how-to/load-many-rows", "after each block of {:,} rows", (blocks._ROWS,)),
    ("how-to/load-many-rows", "the order of their keys, {:,} at a time", (blocks._ROWS,)),
    ("how-to/load-many-rows", "It is taken {:,} rows at a time", (blocks._ROWS,)),
    ("how-to/load-many-rows", "statements of up to {:,} rows each", (mysql_sending._ROWS,)),
    (
        "how-to/page-a-large-table",
        "by its first {} characters or {:,} bytes",
        (mysql_pages._CHARACTERS, mysql_pages._BYTES),
    ),
    ("how-to/rotate-passwords", "within `refresh_interval` ({:g} seconds)", (OPTIONS.refresh_interval,)),
    ("how-to/rotate-passwords", "the grace, {:g} seconds unless", (rotation.GRACE,)),
    ("how-to/run-behind-pgbouncer", "idle for {:g} seconds is pinged", (engine._PING_AFTER,)),
    ("how-to/run-under-gunicorn", "{} connections per server by default", (SERVER,)),
    ("how-to/run-under-gunicorn", "within {:g} seconds", (OPTIONS.refresh_interval,)),
    ("how-to/run-under-uvicorn", "by default {} connections per server", (SERVER,)),
    ("how-to/test-an-app", "waits for {:g} seconds (`rolled_back(", (shared_transaction.TURN,)),
    ("reference/configuration", "has UTF-8 text of at most {:g} MB", (trust.LARGEST / 1_000_000,)),
    ("reference/configuration", "`keep_dropped` | days, {} to {} | {} |", (0, 3650, shape.KEEP_DROPPED)),
    ("reference/configuration", "| {}; {} for SQLite |", (SERVER, FILES)),
]
"""A page, what it says, and the figures in it."""

OTHERS = {
    "README": [  # What the benchmarks do.
        "`bulk_insert` of 5,000,000 rows from a generator",
        "the first 500,000 |",
        "`to_pandas` of 200,000 rows of PostgreSQL",
    ],
    "explanation/connections": [
        "the same with `max_connections = 5` | 5 connections per process | 80 connections",
        "psycopg takes no less than 2 seconds",
    ],
    "explanation/mariadb": ["1040, 1203, and 1226 of connections"],
    "how-to/page-a-large-table": [
        "page 90,000 takes as long as page 2",  # Measured: P13.
        "MariaDB sorts by the first 1,024 bytes",
    ],
    "how-to/read-a-table-into-pandas": [
        "some 1.3 to 1.5 times as long",  # Measured: P16.
        "beyond 38 digits; computed ones have at least 38",
        "a year has 365 days, a month 30",
    ],
    "tutorial/alert-broker": ["26 s, that is 0.26 ms", "21 s, that is 0.21 ms"],  # Measured: on the page.
    "how-to/run-under-gunicorn": ["at most 32 connections to a server"],
}
"""Figures that are a server's own, measured, or worked out on the page."""

P1, P4, P7, P16 = "p01_bulk_insert.py", "p04_peers.py", "p07_request.py", "p16_tables.py"
FILES_USED, DATABASES_USED = "p12_stores.py 10,000 SQLite files", "p12_stores.py 300 PostgreSQL databases"
MOST, USED, PLAIN = "most connections", "bytes for each used store", "create_engine each"
OF_STORES = (
    "at most {} connections, their budget; {} kB for each store, where an engine of `create_engine` takes {}"
)

MEASURED: list[tuple[str, str, tuple[tuple[str, str, float], ...]]] = [
    ("README", "{}x the time of a plain", ((P7, "through Penstock / Session, same engine", 1),)),
    (
        "README",
        f"{OF_STORES} kB | `p12` | | 300",
        ((FILES_USED, MOST, 1), (FILES_USED, USED, 1000), (FILES_USED, PLAIN, 1000)),
    ),
    (
        "README",
        f"{OF_STORES} kB | `p12` | | `bulk",
        ((DATABASES_USED, MOST, 1), (DATABASES_USED, USED, 1000), (DATABASES_USED, PLAIN, 1000)),
    ),
    ("README", "{}x the time of a bare", ((P1, "bulk_insert / COPY of ready bytes", 1),)),
    ("README", "{}x the time of a `COPY`", ((P1, "bulk_insert, update / staged ready bytes, update", 1),)),
    ("README", "{}x faster than `Session.add_all`", ((P4, "bulk_insert / ORM add_all", 1),)),
    ("README", "{}x faster than Advanced", ((P4, "bulk_insert / Advanced Alchemy add_many", 1),)),
    ("README", "{}x faster than Django", ((P4, "bulk_insert / Django bulk_create", 1),)),
    ("README", "is {}x that after", (("bulk_generator.py", "peak at the end / at first", 1),)),
    ("README", "{}x faster than `pandas", ((P16, "to_pandas / pandas.read_sql", 1),)),
    (
        "index",
        "takes {}x the time of one with a plain",
        ((P7, "through Penstock / Session, same engine", 1),),
    ),
    (
        "index",
        "at most {} connections and take {} kB each",
        ((FILES_USED, MOST, 1), (FILES_USED, USED, 1000)),
    ),
    ("index", "at most {} connections and {} kB", ((DATABASES_USED, MOST, 1), (DATABASES_USED, USED, 1000))),
    ("index", "takes {}x the time of a bare", ((P1, "bulk_insert / COPY of ready bytes", 1),)),
    ("index", "{}x faster than `Session.add_all`", ((P4, "bulk_insert / ORM add_all", 1),)),
    ("index", "{}x faster than Django", ((P4, "bulk_insert / Django bulk_create", 1),)),
    (
        "explanation/connections",
        "takes {} kB for SQLite and {} kB for PostgreSQL",
        ((FILES_USED, PLAIN, 1000), (DATABASES_USED, PLAIN, 1000)),
    ),
    (
        "explanation/connections",
        "a used store takes {} kB and {} kB",
        ((FILES_USED, USED, 1000), (DATABASES_USED, USED, 1000)),
    ),
]
"""A page, what it says, and for each figure: the section of RESULTS.md, its row, and what to divide by."""

RESULTS = (PROJECT / "benchmarks" / "RESULTS.md").read_text("utf-8")

UNITS = (
    r"(?:\s?(?:%|MB|kB|GB)|\s(?:\w+ )?(?:bytes|characters|connections|days|digits|hours|keys|minutes|ms|rows"
    r"|seconds|times|tries|attempts))\b"
)
_FIGURE = re.compile(rf"(?<![\w.,`-])\d[\d,.]*{UNITS}")


def words(page: str) -> str:
    """The prose of a page, on one line: no code blocks, no comments."""
    path = PROJECT / "docs" / f"{page}.md"
    text = (path if path.exists() else PROJECT / f"{page}.md").read_text("utf-8")
    text = re.sub(r"^```.*?^```|<!--.*?-->", " ", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(("page", "said", "figures"), FIGURES)
def test_a_figure_on_a_page_is_that_of_the_code(page: str, said: str, figures: tuple[Any, ...]) -> None:
    assert said.format(*figures) in words(page)


def row_of(section: str, label: str) -> list[str]:
    """The cells beside a label in RESULTS.md; the section is a script, or a script and a title in it."""
    script, _, title = section.partition(" ")
    text = RESULTS.split(f"## `{script}`\n", 1)[1].split("\n## ", 1)[0]
    text = text.split(f"\n{title}\n", 1)[1] if title else text
    rows = ([cell.strip() for cell in line.split("|")] for line in text.splitlines())
    found = (row[row.index(label) + 1 :] for row in rows if label in row)
    return next(cells for cells in found if re.search(r"\d", cells[0]))  # A heading may be called the same.


def range_of(section: str, label: str) -> tuple[float, float]:
    """The least and the most of single rounds; a tenth about the median, where RESULTS.md has no rounds."""
    found, rounds, *_ = row_of(section, label)
    median = float(re.sub(r"[^\d.]", "", found))
    singles = [float(each) for each in re.findall(r"[\d.]+(?=x)", rounds)] if "…" in rounds else []
    return (min(singles), max(singles)) if singles else (0.9 * median, 1.1 * median)


def said_in(page: str, said: str) -> re.Match[str] | None:
    """Where a page says this, with whatever figures."""
    return re.search(re.escape(said).replace(r"\{\}", r"([\d.,]*\d)"), words(page))


@pytest.mark.parametrize(("page", "said", "measured"), MEASURED)
def test_a_measured_figure_is_one_of_the_benchmarks(
    page: str, said: str, measured: tuple[tuple[str, str, float], ...]
) -> None:
    found = said_in(page, said)
    assert found, said
    for figure, (section, label, unit) in zip(found.groups(), measured, strict=True):
        low, high = range_of(section, label)
        assert low <= float(figure.replace(",", "")) * unit <= high, (said, label)


def test_no_page_states_another_figure() -> None:
    unknown: list[str] = []
    for path in PAGES:
        page = path.relative_to(PROJECT).as_posix().removeprefix("docs/").removesuffix(".md")
        text = words(page)
        known = [said.format(*figures) for each, said, figures in FIGURES if each == page]
        known += [found[0] for each, said, _ in MEASURED if each == page and (found := said_in(page, said))]
        for said in (*known, *OTHERS.get(page, ())):
            assert said in text, (page, said)
            text = text.replace(said, "")
        unknown += [f"{page}: {text[m.start() - 40 : m.end() + 10]}" for m in _FIGURE.finditer(text)]
    assert unknown == []
