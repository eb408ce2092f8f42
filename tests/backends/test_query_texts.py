"""Texts are what they were, and so is NULL, whatever ends a value or a row."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session

from fix_tables import samples_on
from penstock.errors import NotSupported
from penstock.query import bulk_insert, bulk_update, to_arrow, to_arrow_batches, to_pandas, to_polars, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer
    from penstock import Stores

Values = list[tuple[Any, ...]]

SPECIAL = (
    "", " ", "NULL", "null", "\\N", "\\.", "\\", "\\\\", "'", '"', '""', '"\n"', "\n", "\r", "\r\n",
    "\t", ",", ";", "\x01", "\x1a", "\x7f", "\ufeff", "\ufeffa", "\ufeff\"", "\\x00", "\\0", "a\\'b", "%",
    "%s", "%%", ":a", "{}", "ß", "Ω", "𝄞", "\u2028", "e\u0301", "a\n\\.\nb", "x" * 70_000,
)  # fmt: skip
"""What some text form or other takes for something else."""

TEXTS = (
    st.none()
    | st.sampled_from(SPECIAL)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
    | st.text("\\'\"\n\r\t,.N%\ufeffx", max_size=6)
)


METADATA = sa.MetaData()


def table_of(width: int) -> sa.Table:
    """A table of so many texts, none of them in its key, which need not be read."""
    wide = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    key = sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
    return sa.Table(f"texts_{width}", METADATA, key, *(sa.Column(f"t{n}", wide) for n in range(width)))


TABLES = {width: table_of(width) for width in (1, 2, 3)}


@pytest.fixture
def engine(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[sa.Engine]:
    """The engine of a store with tables of one, two and three texts."""
    for made in samples_on(ground, stores_on):
        METADATA.create_all(made)
        yield made


def texts_of(table: sa.Table) -> sa.Select[Any]:
    """Its texts, in the order of the key."""
    return sa.select(*[column for column in table.c if not column.primary_key]).order_by(table.c.id)


def as_tuples(table: Any) -> Values:
    """The rows of a table of Arrow, which is sound."""
    table.validate(full=True)
    return [tuple(row.values()) for row in table.to_pylist()]


def check(engine: sa.Engine, rows: Values) -> None:
    """Store texts, and read them in every way."""
    table = TABLES[len(rows[0])]
    with engine.begin() as connection:
        connection.execute(table.delete())
    given = [(number, *row) for number, row in enumerate(rows)]
    bulk_insert(engine, table, given, columns=tuple(table.c.keys()))
    statement = texts_of(table)
    with Session(engine) as session:
        assert [tuple(row) for row in session.execute(statement)] == rows
        assert as_tuples(to_arrow(session, statement)) == rows
        assert as_tuples(to_arrow(session.connection(), statement)) == rows
        with to_arrow_batches(session, statement, batch_size=2) as reader:
            assert as_tuples(reader.read_all()) == rows
    assert as_tuples(to_arrow(engine, statement)) == rows


@pytest.mark.parametrize("width", [1, 2, 3])
def test_texts_that_mean_something_in_a_file_or_a_statement_are_texts(engine: sa.Engine, width: int) -> None:
    check(engine, [(*[None] * (width - 1), text) for text in (*SPECIAL, None)])
    check(engine, [(text, *[""] * (width - 1)) for text in (None, *SPECIAL)])
    check(engine, list(product(["", None], repeat=width)))


def test_a_column_of_nothing_but_null_has_as_many_rows_as_the_select(engine: sa.Engine) -> None:
    for width in (1, 2, 3):
        check(engine, [(None,) * width] * 3)
        check(engine, [(None,) * width] * 700)
    with Session(engine) as session:
        none = sa.select(sa.func.max(TABLES[1].c.t0).label("none")).where(sa.false())
        assert to_arrow(session, none).to_pylist() == [{"none": None}]
        assert len(to_pandas(session, none)) == len(to_polars(session, none)) == 1


def test_a_select_of_no_columns_is_refused_since_a_table_could_not_say_how_many_rows(
    engine: sa.Engine,
) -> None:
    nothing = sa.select().select_from(TABLES[1])
    for on in (engine, Session(engine)):
        with pytest.raises(NotSupported, match="no columns"):
            to_arrow(on, nothing)


@settings(max_examples=40)
@given_by(rows=st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[TEXTS] * n), min_size=1, max_size=6)))
def test_any_texts_are_stored_and_read_as_they_are(engine: sa.Engine, rows: Values) -> None:
    check(engine, rows)


@settings(max_examples=10)
@given_by(
    rows=st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[TEXTS] * n), min_size=1, max_size=6)),
    way=st.sampled_from(["insert", "nothing", "upsert", "update"]),
)
def test_and_so_are_many_by_any_way(engine: sa.Engine, rows: Values, way: str) -> None:
    short = [tuple(value and value[:100] for value in row) for row in rows]
    many = (short * 600)[:600]
    table = TABLES[len(many[0])]
    given = [dict(zip(table.c.keys(), (number, *row), strict=True)) for number, row in enumerate(many)]
    with engine.begin() as connection:
        connection.execute(table.delete())
        if way in ("upsert", "update"):
            bulk_insert(connection, table, [{"id": row["id"]} for row in given])
        if way in ("insert", "nothing"):
            bulk_insert(connection, table, given, on_conflict="error" if way == "insert" else "nothing")
        else:
            (upsert if way == "upsert" else bulk_update)(connection, table, given)
        assert [tuple(row) for row in connection.execute(texts_of(table))] == many
        assert as_tuples(to_arrow(connection, texts_of(table))) == many
    assert as_tuples(to_arrow(engine, texts_of(table))) == many


def test_a_large_value_and_many_rows_are_read_in_several_pieces(postgresql_samples: sa.Engine) -> None:
    numbers = sa.func.generate_series(1, 50_001).table_valued("n").render_derived()
    text = sa.case(
        (numbers.c.n % 20_000 == 0, sa.func.repeat("é", 20_000_000)), (numbers.c.n % 3 == 0, None), else_="a"
    )
    query = sa.select(sa.cast(numbers.c.n, sa.Integer).label("n"), sa.cast(text, sa.Text).label("text"))
    with postgresql_samples.connect() as connection:
        table = to_arrow(connection, query)
    assert table["n"].to_pylist() == list(range(1, 50_002))
    sizes = [value and len(value) for value in table["text"].to_pylist()]
    assert sizes == [20_000_000 if n % 20_000 == 0 else None if n % 3 == 0 else 1 for n in range(1, 50_002)]


# --- values of which servers and drivers have a text -------------------------------------------------

LONG = "1234567890123456789012345678.0123456789"
SPAN = "'1 year 2 mons 3 days 04:05:06.000007'::interval"
VALUES = {
    "real": (sa.REAL, "'0.1'::real", 0.10000000149011612),
    "least": (sa.REAL, "'1e-45'::real", 1.401298464324817e-45),
    "double": (sa.Double, "0.1::float8 + 0.2", 0.1 + 0.2),
    "tiny": (sa.Double, "'5e-324'::float8", 5e-324),
    "infinite": (sa.Double, "'-Infinity'::float8", float("-inf")),
    "infinite_real": (sa.REAL, "'Infinity'::real", float("inf")),
    "zero": (sa.Double, "'-0'::float8", -0.0),
    "nan": (sa.Numeric, "'NaN'::numeric", "NaN"),
    "exact": (sa.Numeric(38, 10), LONG, Decimal(LONG)),
    "inexact": (sa.Numeric(20, 4, asdecimal=False), "'1.25'::numeric", 1.25),
    "sum": (sa.Integer, "(SELECT sum(n) FROM generate_series(1::bigint, 3) n)", 6),
    "small": (sa.Integer, "'-32768'::smallint", -32768),
    "day": (sa.Date, "'9999-12-31'::date", date(9999, 12, 31)),
    "span": (sa.Interval, SPAN, timedelta(days=365 + 60 + 3, seconds=14706, microseconds=7)),
    "back": (sa.Interval, "'-1 day +02:00'::interval", timedelta(days=-1, hours=2)),
    "bytes": (sa.LargeBinary, "'\\x005c27ff'::bytea", b"\x00\\'\xff"),
    "fixed": (sa.CHAR(4), "'a'::char(4)", "a   "),
    "name": (sa.String, "'a'::name", "a"),
    "truth": (sa.Boolean, "false", False),
}  # fmt: skip


def test_a_value_is_the_same_from_an_engine_and_in_a_transaction(postgresql_samples: sa.Engine) -> None:
    found: dict[str, Any] = {}
    with postgresql_samples.connect() as connection:
        for name, (kind, text, _) in VALUES.items():
            one = sa.select(sa.literal_column(text, kind).label("one"))
            within, beside = (to_arrow(on, one) for on in (connection, postgresql_samples))
            assert within.schema == beside.schema
            found[name] = (repr(within["one"].to_pylist()), repr(beside["one"].to_pylist()))
    assert found == {name: (f"[{expected!r}]",) * 2 for name, (_, _, expected) in VALUES.items()}


def test_infinity_is_no_day(postgresql_samples: sa.Engine) -> None:
    kinds = (sa.Date(), sa.DateTime(), sa.DateTime(timezone=True))
    with postgresql_samples.connect() as connection:
        for on, kind, sign in product((connection, postgresql_samples), kinds, ("", "-")):
            day = sa.cast(sa.literal_column(f"'{sign}infinity'"), kind)
            with pytest.raises(NotSupported, match="Column 'day'"):
                to_arrow(on, sa.select(day.label("day")))


def test_days_before_the_first_year_are_days_of_arrow(postgresql_samples: sa.Engine) -> None:
    query = sa.select(sa.literal_column("'0044-03-15 BC'::date", sa.Date).label("day"))
    with postgresql_samples.connect() as connection:
        made = [
            to_arrow(on, query)["day"].cast("int32").to_pylist() for on in (connection, postgresql_samples)
        ]
    assert made == [[-735_160], [-735_160]]
