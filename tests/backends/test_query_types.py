"""What is stored in bulk is what SQLAlchemy would have stored."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given as given_by
from hypothesis import reject, settings
from hypothesis import strategies as st
from sqlalchemy import (
    CHAR,
    JSON,
    REAL,
    BigInteger,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Uuid,
    insert,
    select,
)
from sqlalchemy import __version__ as sqlalchemy_version
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, Unicode

from fix_apps import engine_of, run_async
from fix_tables import TEXTS, VALUES, Kind
from penstock import App, Database
from penstock.errors import RowRefused
from penstock.query import OnConflict, bulk_insert, bulk_update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fix_servers import TestServer


class Shouted(TypeDecorator[str]):
    """A text that is stored in capitals."""

    impl = Unicode(100)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> str | None:
        return None if value is None else value.upper()


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(100)}  # noqa: RUF012


class Everything(Base):
    __tablename__ = "everything"

    id: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    text: Mapped[str | None]
    shouted: Mapped[str | None] = mapped_column(Shouted)
    real: Mapped[float | None]
    exact: Mapped[Decimal | None] = mapped_column(Numeric(20, 6))
    truth: Mapped[bool | None]
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    day: Mapped[date | None]
    moment: Mapped[datetime | None]
    zoned: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    clock: Mapped[time | None]
    span: Mapped[timedelta | None]
    uuid: Mapped[UUID | None]
    kind: Mapped[Kind | None]
    document: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class Lab(App):
    package = "lab"
    samples = Database("Samples.", metadata=Base.metadata)


@pytest.fixture
def engine(ground: TestServer) -> Iterator[Engine]:
    """The engine of a store with an empty table."""
    with engine_of(ground, Lab, "samples") as engine:
        yield engine


_ALIKE = ("small", "truth", "data", "day", "moment", "zoned", "clock", "span", "uuid", "kind", "document")
EVERYTHING = st.fixed_dictionaries(
    {
        **{name: VALUES[name] for name in _ALIKE},
        "text": TEXTS,
        "shouted": TEXTS,
        "real": st.floats(allow_nan=False) | st.integers(-(2**50), 2**50),
        "exact": st.decimals(-(10**13), 10**13, places=6)
        | st.integers(-(10**9), 10**9)
        | st.sampled_from([0.1 + 0.2]),
    }
)


def nullable(row: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.sets(st.sampled_from(sorted(row))).map(
        lambda names: {name: None if name in names else value for name, value in row.items()}
    )


def insert_by_sqlalchemy(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Store rows; the example is no good if they have infinite numbers, and the server has not."""
    try:
        connection.execute(insert(Everything.__table__), rows)
    except ProgrammingError:
        if not any(math.isinf(row["real"] or 0) for row in rows):
            raise
        reject()


@settings(max_examples=40)
@given_by(
    given=st.lists(EVERYTHING.flatmap(nullable), min_size=1, max_size=4),
    on_conflict=st.sampled_from(OnConflict),
)
def test_what_is_stored_is_what_sqlalchemy_stores(
    engine: Engine, given: list[dict[str, Any]], on_conflict: OnConflict
) -> None:
    with engine.connect() as connection:
        table = Everything.__table__
        ours = [{"id": number, **row} for number, row in enumerate(given)]
        insert_by_sqlalchemy(connection, [{**row, "id": row["id"] + 100} for row in ours])
        bulk_insert(connection, Everything, ours, on_conflict=on_conflict)
        stored = connection.execute(select(table).order_by(table.c.id)).mappings().all()
        raw = [{name: value for name, value in row.items() if name != "id"} for row in stored]
        assert raw[: len(given)] == raw[len(given) :]
        connection.rollback()


@settings(max_examples=20)
@given_by(given=st.lists(EVERYTHING.flatmap(nullable), min_size=1, max_size=4))
def test_what_is_updated_is_what_sqlalchemy_stores(engine: Engine, given: list[dict[str, Any]]) -> None:
    with engine.connect() as connection:
        table = Everything.__table__
        ours = [{"id": number, **row} for number, row in enumerate(given)]
        insert_by_sqlalchemy(connection, [{**row, "id": row["id"] + 100} for row in ours])
        bulk_insert(connection, Everything, [{"id": row["id"]} for row in ours])
        assert bulk_update(connection, Everything, ours).updated == len(given)
        stored = connection.execute(select(table).order_by(table.c.id)).mappings().all()
        raw = [{name: value for name, value in row.items() if name != "id"} for row in stored]
        assert raw[: len(given)] == raw[len(given) :]
        connection.rollback()


# --- on PostgreSQL alone ----------------------------------------------------------------------------


class Peculiar(DeclarativeBase):
    metadata = MetaData()


class Oddity(Peculiar):
    __tablename__ = "oddity"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[Any] = mapped_column(CHAR(4), nullable=True)
    name: Mapped[Any] = mapped_column(Uuid(as_uuid=False), nullable=True)
    mac: Mapped[Any] = mapped_column(postgresql.MACADDR, nullable=True)
    bits: Mapped[Any] = mapped_column(postgresql.BIT(3), nullable=True)
    words: Mapped[Any] = mapped_column(postgresql.TSVECTOR, nullable=True)
    numbers: Mapped[Any] = mapped_column(postgresql.ARRAY(BigInteger), nullable=True)
    counts: Mapped[Any] = mapped_column(postgresql.ARRAY(Integer), nullable=True)
    labels: Mapped[Any] = mapped_column(postgresql.ARRAY(Unicode), nullable=True)
    within: Mapped[Any] = mapped_column(postgresql.INT4RANGE, nullable=True)
    address: Mapped[Any] = mapped_column(postgresql.INET, nullable=True)
    document: Mapped[Any] = mapped_column(postgresql.JSONB, nullable=True)
    plain: Mapped[Any] = mapped_column(JSON, nullable=True)
    real: Mapped[Any] = mapped_column(REAL, nullable=True)
    real_exact: Mapped[Any] = mapped_column(Numeric(20, 6), nullable=True)
    truth: Mapped[bool | None]
    kind: Mapped[Kind | None]
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    zoned: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    clock: Mapped[time | None]
    span: Mapped[timedelta | None]


class Museum(App):
    package = "museum"
    oddities = Database("Oddities.", metadata=Peculiar.metadata)


ODDITIES: dict[str, list[Any]] = {
    "code": ["ab", "abcd"],
    "name": ["c003fc64-cd8a-3fc0-d45f-68a3d49be305"],
    "mac": ["08:00:2b:01:02:03", "08002b010204"],
    "bits": ["101"],
    "words": ["a fat cat", "'Fat':2 cat"],
    "numbers": [[1, 2**40], [], [None, -1]],
    "counts": [[1, None], []],
    "labels": [["a", "b,c"], [""]],
    "within": [postgresql.Range(1, 5), postgresql.Range(empty=True)],
    "address": ["192.168.0.1/24", "::1"],
    "document": [{"a": [1, None]}, "text", 5, []],
    "plain": [{"a": [1, None]}, "text", None],
    "real": [0.1, 1e30],
    "real_exact": [Decimal("1.5"), 2, 0.1 + 0.2],
    "truth": [True, False],
    "kind": [Kind.STREAM, Kind.LAKE],
    "data": [b"", b"\0\1"],
    "zoned": [datetime(2020, 1, 2, tzinfo=UTC)],
    "clock": [time(1, 2, 3, 4)],
    "span": [timedelta(days=-3, microseconds=5)],
}

if sqlalchemy_version < "2.1":  # Until then it took no text for a BIT through asyncpg.
    del ODDITIES["bits"]


def are_stored_alike(connection: Connection) -> None:
    """Each type by itself, and all together."""
    table = Oddity.__table__
    sets = [{name: values[0] for name, values in ODDITIES.items()}, dict.fromkeys(ODDITIES)]
    for row in [*sets, *({name: value} for name, values in ODDITIES.items() for value in values)]:
        connection.execute(insert(table).values(id=1, **row))
        bulk_insert(connection, Oddity, [{"id": 2, **row}, {"id": 3, **dict.fromkeys(row)}])
        bulk_insert(connection, Oddity, [{"id": 4, **dict.fromkeys(row)}])
        bulk_update(connection, Oddity, [{"id": 4, **row}])
        stored = connection.execute(select(*list(table.c)[1:]).order_by(table.c.id)).all()
        assert stored[0] == stored[1] == stored[3], row
        connection.rollback()


def test_what_only_postgresql_has_is_stored_as_sqlalchemy_stores_it(postgresql_ground: TestServer) -> None:
    with engine_of(postgresql_ground, Museum, "oddities") as engine, engine.connect() as connection:
        are_stored_alike(connection)


def test_what_only_postgresql_has_is_stored_alike_by_every_driver(async_server: TestServer) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.run_sync(are_stored_alike)

    run_async(async_server, Museum, "oddities", work)


ODD: list[tuple[str, Any]] = [
    ("counts", [2**40, 1]),
    ("numbers", [2**80]),
    ("within", postgresql.Range(1, 2**40)),
    ("span", 5),
    ("span", "1 day"),
    ("clock", datetime(2020, 1, 1, 1, 2)),  # noqa: DTZ001  (a moment that is none of a day)
    ("real", 1e300),
    ("name", UUID("c003fc64-cd8a-3fc0-d45f-68a3d49be305")),
]


def are_stored_alike_or_refused(connection: Connection) -> None:
    """Each odd value, first and after one of the type's own."""
    for name, value in ODD:
        column = Oddity.__table__.c[name]
        for own in (None, ODDITIES[name][0]):
            given = [{"id": 1, name: own}, {"id": 2, name: value}]
            attempt = connection.begin_nested()
            with suppress(RowRefused):
                bulk_insert(connection, Oddity, given)
                ours = connection.scalar(select(column).where(Oddity.id == 2))
                connection.execute(insert(Oddity).values(id=3, **{name: value}))
                assert ours == connection.scalar(select(column).where(Oddity.id == 3)), (name, value)
            attempt.rollback()


def test_a_value_that_is_odd_is_refused_rather_than_changed(postgresql_ground: TestServer) -> None:
    with engine_of(postgresql_ground, Museum, "oddities") as engine, engine.connect() as connection:
        are_stored_alike_or_refused(connection)


def test_a_value_that_is_odd_is_refused_rather_than_changed_by_every_driver(async_server: TestServer) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            await connection.run_sync(are_stored_alike_or_refused)

    run_async(async_server, Museum, "oddities", work)
