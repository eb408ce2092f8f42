"""NaN is stored where the server has it, else refused; what is missing is NULL."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from io import StringIO
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    delete,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from fix_apps import engine_of, run_async
from penstock import App, Database
from penstock.errors import RowRefused
from penstock.query import bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fix_doors import Doors
    from fix_servers import TestServer

NAN, INFINITY = math.nan, math.inf


class Forgiving(TypeDecorator[float]):
    """A number; what is none is NULL."""

    impl = Double
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> float | None:
        return None if value is None or math.isnan(value) else value


class Base(DeclarativeBase):
    metadata = MetaData()


class Reading(Base):
    __tablename__ = "reading"

    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[Any] = mapped_column(Integer, nullable=True)
    total: Mapped[Any] = mapped_column(BigInteger, nullable=True)
    level: Mapped[Any] = mapped_column(Double, nullable=True)
    short: Mapped[Any] = mapped_column(Float(24), nullable=True)
    exact: Mapped[Any] = mapped_column(Numeric(20, 6), nullable=True)
    name: Mapped[Any] = mapped_column(String(40), nullable=True)
    moment: Mapped[datetime | None]
    sound: Mapped[Any] = mapped_column(LargeBinary, nullable=True)
    forgiven: Mapped[Any] = mapped_column(Forgiving, nullable=True)
    document: Mapped[Any] = mapped_column(JSON, nullable=True)


COLUMNS = {attribute.key: attribute.columns[0] for attribute in Reading.__mapper__.column_attrs}
NUMBERS = ("level", "short", "exact")


def as_mappings(rows: list[dict[str, Any]]) -> Any:
    return rows


def as_unlike_mappings(rows: list[dict[str, Any]]) -> Any:
    return [*rows, {"id": 10_000}]


def as_objects(rows: list[dict[str, Any]]) -> Any:
    return [Reading(**row) for row in rows]


def as_arrow(rows: list[dict[str, Any]]) -> Any:
    return pa.Table.from_pylist(rows)


def as_polars(rows: list[dict[str, Any]]) -> Any:
    return pl.DataFrame(rows)


FORMS = (as_mappings, as_unlike_mappings, as_objects, as_arrow, as_polars)


def inserted(session: Session, rows: Any) -> None:
    bulk_insert(session, Reading, rows)


def upserted(session: Session, rows: Any) -> None:
    upsert(session, Reading, rows)


def updated(session: Session, rows: Any) -> None:
    bulk_insert(session, Reading, [{"id": number} for number in (*range(5), 10_000)])
    bulk_update(session, Reading, rows)


def got(session: Session, rows: Any) -> None:
    get_or_create_many(session, Reading, rows)


def rows_with(name: str, value: Any) -> list[dict[str, Any]]:
    """Some rows, of which the third has the value."""
    fine: Any = {"name": "a"}.get(name, 1.5 if isinstance(value, float) else value)
    return [{"id": number, name: value if number == 2 else fine} for number in range(4)]


def stored(session: Session, name: str, where: int = 2) -> Any:
    """What the server has, or the reason for which there is nothing."""
    return session.execute(
        select(literal_column(f"{COLUMNS[name].name}")).select_from(Reading).where(Reading.id == where)
    ).scalar_one()


def kept(session: Session) -> tuple[bool, bool]:
    """Whether the server has NaN, and infinite numbers."""
    dialect = session.get_bind().dialect.name
    return dialect == "postgresql", dialect in ("postgresql", "sqlite")


WAYS = (inserted, upserted, updated, got)


def test_nan_and_infinity_are_kept_where_the_server_has_them_and_else_refused_by_name(door_to: Doors) -> None:
    def work(session: Session) -> None:
        nan, infinity = kept(session)
        for way, form in product(WAYS, FORMS):
            if way is got and form in (as_objects, as_unlike_mappings):
                continue
            for name in ("level", "short", "count", "total", "name"):
                if name == "name" and form in (as_arrow, as_polars):  # A column of theirs has one type.
                    continue
                held = name in NUMBERS
                attempt(session, way, form(rows_with(name, NAN)), name, "NaN", held and nan)
                attempt(session, way, form(rows_with(name, INFINITY)), name, "Infinity", held and infinity)
                attempt(session, way, form(rows_with(name, -INFINITY)), name, "-Infinity", held and infinity)

    door_to(Base.metadata).do(work)


def attempt(
    session: Session, way: Callable[[Session, Any], None], rows: Any, name: str, called: str, held: bool
) -> None:
    if held:
        way(session, rows)
        assert str(float(stored(session, name))) == str(float(called))
    else:
        with pytest.raises(RowRefused) as refused:
            way(session, rows)
        assert refused.value.what.startswith(
            f"Row 2 of Reading can't be stored: {called} is no value for {name} ("
        )
        assert ('nan="null"' in refused.value.hint) == (called == "NaN")
    session.execute(delete(Reading))


MISSING = [
    (NAN, "NaN"),
    (np.float32("nan"), "NaN"),
    (np.float64("nan"), "NaN"),
    (Decimal("NaN"), "NaN"),
    (pd.NaT, "NaT"),
    (np.datetime64("NaT"), "NaT"),
    (pd.NA, "NA"),
]


def test_what_is_missing_is_refused_by_name_or_null_if_the_caller_says_so(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for value, called in MISSING:
            for name in ("level", "count", "exact", "name", "moment"):
                check(session, name, value, called)
                session.execute(delete(Reading))
                session.expunge_all()

    def check(session: Session, name: str, value: Any, called: str) -> None:
        rows = [{"id": 1, name: None}, {"id": 2, name: value}]
        if called != "NaN" or name not in NUMBERS or not kept(session)[0]:
            for way in WAYS:
                with pytest.raises(RowRefused, match=f"Row 1 of .*: {called} is no value for {name} "):
                    way(session, rows)
                session.execute(delete(Reading))
        assert bulk_insert(session, Reading, rows, nan="null").inserted == 2
        assert stored(session, name) is None
        assert upsert(session, Reading, [{"id": 2, "total": 5, name: value}], nan="null").updated == 1
        assert (stored(session, name), stored(session, "total")) == (None, 5)
        assert bulk_update(session, Reading, [{"id": 2, "total": value}], nan="null").updated == 1
        assert stored(session, "total") is None
        [(_, new)] = get_or_create_many(session, Reading, [{"id": 3, name: value}], nan="null")
        assert (new, stored(session, name, 3)) == (True, None)

    door_to(Base.metadata).do(work)


def test_one_row_is_not_made_of_nan_that_would_be_null(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for on in (session, session.connection()):
            if kept(session)[0]:
                assert get_or_create(on, Reading, {"id": 1}, {"level": NAN})[0].level != 0
                session.execute(delete(Reading))
            else:
                with pytest.raises(RowRefused, match="NaN is no value for level"):
                    get_or_create(on, Reading, {"id": 1}, {"level": NAN})
            with pytest.raises(RowRefused, match="NaN is no value for count"):
                get_or_create(on, Reading, {"id": 1}, {"count": NAN})

    door_to(Base.metadata).do(work)


def test_a_type_that_knows_what_to_do_with_nan_is_asked(door_to: Doors) -> None:
    rows = [{"id": 1, "forgiven": 1.5}, {"id": 2, "forgiven": NAN}]

    def work(session: Session) -> None:
        for way in WAYS:
            way(session, rows)
            assert stored(session, "forgiven") is None
            session.execute(delete(Reading))

    door_to(Base.metadata).do(work)


def test_nan_in_a_document_is_refused_by_name_where_it_is_no_json(door_to: Doors) -> None:
    rows = [{"id": 1, "document": {"a": [1.5]}}, {"id": 2, "document": {"a": [1, {"b": NAN}]}}]

    def work(session: Session) -> None:
        if session.get_bind().dialect.name == "sqlite":  # There it is a text, as SQLAlchemy writes it.
            bulk_insert(session, Reading, rows)
            assert stored(session, "document") == '{"a": [1, {"b": NaN}]}'
            session.execute(delete(Reading))
        else:
            for way in (inserted, upserted, updated):
                with pytest.raises(RowRefused, match=r"Row 1 of .*: NaN in a dict is no value for doc"):
                    way(session, rows)
                session.execute(delete(Reading))
        bulk_insert(session, Reading, [*rows, {"id": 3, "document": NAN}], nan="null")
        assert session.get_one(Reading, 2).document == {"a": [1, {"b": None}]}
        assert stored(session, "document", 3) is None  # It is NULL, not the null of JSON.

    door_to(Base.metadata).do(work)


def test_what_pandas_calls_missing_is_null_in_every_column(door_to: Doors) -> None:
    missing = pd.DataFrame(
        {
            "id": [1, 2],
            "count": [1.0, np.nan],
            "total": pd.array([1, None], dtype="Int64"),
            "level": [1.5, np.nan],
            "short": pd.array([1.5, None], dtype="Float32"),
            "exact": pd.Series([Decimal("1.5"), Decimal("NaN")], dtype=object),
            "name": ["a", np.nan],
            "moment": pd.to_datetime(["2026-05-04", None]),
            "sound": pd.Series([b"a", pd.NA], dtype=object),
            "forgiven": pd.Series([1.5, np.nan], dtype=object),
            "document": pd.Series([{"a": 1}, np.nan], dtype=object),
        }
    )

    def work(session: Session) -> None:
        for way in WAYS:
            way(session, missing)
            for name in missing.columns[1:]:
                assert stored(session, name) is None, name
                assert stored(session, name, 1) is not None, name
            session.execute(delete(Reading))

    door_to(Base.metadata).do(work)


def test_an_empty_cell_of_a_file_is_null_and_infinity_is_not(door_to: Doors) -> None:
    frame = pd.read_csv(StringIO("id,count,level,name\n1,1,1.5,a\n2,,,\n"))

    def work(session: Session) -> None:
        bulk_insert(session, Reading, frame)
        assert [stored(session, name) for name in ("count", "level", "name")] == [None] * 3
        infinite = pd.DataFrame({"id": [3, 4], "level": [None, INFINITY]})
        if kept(session)[1]:
            bulk_insert(session, Reading, infinite, nan="null")
            assert stored(session, "level", 4) == INFINITY
        else:
            with pytest.raises(RowRefused, match=r"Row 1 of .*: Infinity is no value for level"):
                bulk_insert(session, Reading, infinite, nan="null")

    door_to(Base.metadata).do(work)


def test_a_refusal_means_the_column_that_is_to_blame(door_to: Doors) -> None:
    """NaN that the server holds is not what it refuses."""

    def work(session: Session) -> None:
        level = NAN if kept(session)[0] else 1.5
        rows = [{"id": 1, "level": level, "exact": 1}, {"id": 2, "level": level, "exact": Decimal(10) ** 16}]
        if session.get_bind().dialect.name == "sqlite":
            rows[1]["id"] = 1
        with pytest.raises(RowRefused, match="Row 1 of Reading") as refused:
            bulk_insert(session, Reading, rows)
        assert "NaN" not in str(refused.value)

    door_to(Base.metadata).do(work)


def test_another_word_for_nan_is_an_error(door_to: Doors) -> None:
    def work(session: Session) -> None:
        for call in (bulk_insert, upsert, bulk_update, get_or_create_many):
            with pytest.raises(ValueError, match="nan='zero' is neither"):
                call(session, Reading, [], nan="zero")  # type: ignore[operator]
            with pytest.raises(TypeError, match="unexpected keyword argument 'none'"):
                call(session, Reading, [], none="null")  # type: ignore[operator]

    door_to(Base.metadata).do(work)


# --- arrays, on PostgreSQL ------------------------------------------------------------------------


class Peculiar(DeclarativeBase):
    metadata = MetaData()


class Series(Peculiar):
    __tablename__ = "series"

    id: Mapped[int] = mapped_column(primary_key=True)
    levels: Mapped[Any] = mapped_column(postgresql.ARRAY(Double), nullable=True)
    counts: Mapped[Any] = mapped_column(postgresql.ARRAY(Integer), nullable=True)
    document: Mapped[Any] = mapped_column(postgresql.JSONB, nullable=True)
    loose: Mapped[Any] = mapped_column(Numeric, nullable=True)
    exact: Mapped[Any] = mapped_column(Numeric(20, 6), nullable=True)


class Lab(App):
    package = "lab"
    series = Database("Series.", metadata=Peculiar.metadata)


def check_arrays(connection: Connection) -> None:
    rows = [{"id": 1, "levels": [1.5, NAN, INFINITY]}]
    bulk_insert(connection, Series, rows)
    as_text = select(literal_column("levels::text")).select_from(Series)
    assert connection.scalar(as_text) == "{1.5,NaN,Infinity}"
    upsert(connection, Series, rows, nan="null")
    assert connection.scalar(as_text) == "{1.5,NULL,Infinity}"
    for value in (Decimal("NaN"), NAN, Decimal("Infinity"), -INFINITY):
        upsert(connection, Series, [{"id": 1, "loose": value}])
        found = connection.scalar(select(literal_column("loose::text")).select_from(Series))
        assert found == str(Decimal(value))
    upsert(connection, Series, [{"id": 1, "exact": NAN}])
    for name, value, called in (
        ("counts", [1, NAN], "NaN in a list"),
        ("document", {"a": NAN}, "NaN in a dict"),
        ("document", NAN, "NaN"),
        ("exact", INFINITY, "Infinity"),
    ):
        with pytest.raises(RowRefused, match=f"Row 1 of Series .*: {called} is no value for {name} "):
            bulk_insert(connection, Series, [{"id": 2, name: None}, {"id": 3, name: value}])


def test_nan_in_an_array_is_kept_where_its_numbers_are_floating(postgresql_ground: TestServer) -> None:
    with engine_of(postgresql_ground, Lab, "series") as engine, engine.begin() as connection:
        check_arrays(connection)


def test_nan_in_an_array_is_kept_by_every_driver(async_server: TestServer) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.begin() as connection:
            await connection.run_sync(check_arrays)

    run_async(async_server, Lab, "series", work)
