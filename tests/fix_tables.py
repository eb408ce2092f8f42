"""A table with a column of every type, rows for it, and what is read of them."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Double,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    Time,
    Unicode,
    select,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from fix_apps import all_ok
from penstock import App, Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from fix_servers import TestServer
    from penstock import Stores


class Kind(enum.Enum):
    """A kind of water."""

    STREAM = "stream"
    LAKE = "lake"


class Shouted(TypeDecorator[str]):
    """A text that is stored in capitals."""

    impl = Unicode(40)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> str | None:
        return None if value is None else value.upper()


MARIADB = ("mariadb", "mysql")
"""Where some types have to say how exact they are."""


class TableBase(DeclarativeBase):
    """The tables."""

    metadata = MetaData()


class Sample(TableBase):
    """A sample of every type."""

    __tablename__ = "sample"

    number: Mapped[int] = mapped_column("id", primary_key=True)
    small: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    text: Mapped[str | None] = mapped_column(Text)
    real: Mapped[float | None] = mapped_column(Double)
    exact: Mapped[Decimal | None] = mapped_column(Numeric(20, 6))
    loose: Mapped[Decimal | None] = mapped_column(Numeric().with_variant(Numeric(20, 8), *MARIADB))
    truth: Mapped[bool | None]
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    day: Mapped[date | None]
    moment: Mapped[datetime | None] = mapped_column(DateTime().with_variant(mysql.DATETIME(fsp=6), *MARIADB))
    zoned: Mapped[datetime | None] = mapped_column(
        DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), *MARIADB)
    )
    clock: Mapped[time | None] = mapped_column(Time().with_variant(mysql.TIME(fsp=6), *MARIADB))
    span: Mapped[timedelta | None]
    uuid: Mapped[UUID | None]
    kind: Mapped[Kind | None]
    document: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class Laboratory(App):
    """An app with a store of samples."""

    package = "laboratory"
    samples = Database("Samples.", metadata=TableBase.metadata)


@pytest.fixture
def samples(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Engine]:
    """The engine of a store whose table of samples is empty."""
    yield from samples_on(ground, stores_on)


@pytest.fixture
def postgresql_samples(postgresql_ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Engine]:
    """The same, on PostgreSQL."""
    yield from samples_on(postgresql_ground, stores_on)


def samples_on(ground: TestServer, stores_on: Callable[..., Stores]) -> Iterator[Engine]:
    stores = stores_on(ground, Laboratory, links=("samples",))
    all_ok(stores, Laboratory)
    yield stores.engine(Laboratory, "samples")
    stores.close()


EARLY, LATE = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  (of any time zone)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "text": TEXTS,
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "exact": st.decimals(-(10**8), 10**8, places=6),
    "loose": st.decimals(-(10**4), 10**4, places=8),
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
SAMPLES = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, with their keys."""
    return [{"number": number, **row} for number, row in enumerate(rows)]


def in_order() -> Any:
    """The SELECT of all samples."""
    return select(Sample).order_by(Sample.number)


def as_read(connection: Any) -> list[dict[str, Any]]:
    """What SQLAlchemy reads, as a table has it."""
    names = ("number", *VALUES)
    rows = connection.execute(select(*(getattr(Sample, name) for name in names)).order_by(Sample.number))
    return [{name: _told(name, value) for name, value in zip(names, row, strict=True)} for row in rows]


def as_kept(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a table, with texts that stand for something as that."""
    made = dict(row)
    if made["document"] is not None:
        made["document"] = json.loads(made["document"])
    if made["loose"] is not None:
        made["loose"] = Decimal(made["loose"])
    return made


def _told(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "kind":
        return value.name
    return str(value) if name == "uuid" else value
