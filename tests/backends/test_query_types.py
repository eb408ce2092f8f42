"""What is stored in bulk is what SQLAlchemy would have stored."""

from __future__ import annotations

import enum
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, reject, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy import JSON, DateTime, LargeBinary, MetaData, Numeric, SmallInteger, String, insert, select
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, Unicode

from fix_apps import all_ok
from penstock import App, Database
from penstock.query import OnConflict, bulk_insert, bulk_update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from fix_servers import Ground
    from penstock import Stores


class Shouted(TypeDecorator[str]):
    """A text that is stored in capitals."""

    impl = Unicode(100)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> str | None:
        return None if value is None else value.upper()


class Kind(enum.Enum):
    STREAM = "stream"
    LAKE = "lake"


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
def engine(ground: Ground, desk_on: Callable[..., Stores]) -> Iterator[Engine]:
    """The engine of a store with an empty table."""
    desk = desk_on(ground, Lab, links=("samples",))
    all_ok(desk, Lab)
    yield desk.engine(Lab, "samples")
    desk.close()


EARLY, LATE = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  (of any time zone)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
EVERYTHING = st.fixed_dictionaries(
    {
        "small": st.integers(-(2**15), 2**15 - 1),
        "text": TEXTS,
        "shouted": TEXTS,
        "real": st.floats(allow_nan=False) | st.integers(-(2**50), 2**50),
        "exact": st.decimals(-(10**13), 10**13, places=6)
        | st.integers(-(10**9), 10**9)
        | st.sampled_from([0.1 + 0.2]),
        "truth": st.booleans(),
        "data": st.binary(max_size=20),
        "day": st.dates(),
        "moment": st.datetimes(),
        "zoned": st.datetimes(timezones=st.just(UTC), min_value=EARLY, max_value=LATE),
        "clock": st.times(),
        "span": st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
        "uuid": st.uuids(version=4),
        "kind": st.sampled_from(Kind),
        "document": st.recursive(
            st.booleans() | st.integers(-(2**31), 2**31) | TEXTS,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
            max_leaves=5,
        ),
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


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
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


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
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
