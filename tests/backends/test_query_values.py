"""Whatever a value is taken from, it is stored as SQLAlchemy stores it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import Phase, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy import JSON, DateTime, Integer, MetaData, delete, insert, literal_column, select
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from fix_tables import MARIADB, VALUES, Kind, Sample
from penstock.errors import NotSupported, RowRefused
from penstock.query import bulk_insert, bulk_update, get_or_create, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_doors import Door, Doors

Rows = list[dict[str, Any]]
UUID_1 = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
EAST = timezone(timedelta(hours=5, minutes=30))
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 5, 4, 12)  # noqa: DTZ001  (of any time zone)


class InUTC(TypeDecorator[datetime]):
    """A moment that is stored without its zone, as of UTC; it must have one."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), *MARIADB)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)


class Doubled(TypeDecorator[int]):
    """Twice what is given: so it is seen how often it was done."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> int | None:
        return None if value is None else value * 2


class Base(DeclarativeBase):
    metadata = MetaData()


class Value(Base):
    """A value of every type."""

    __table__ = Sample.__table__.to_metadata(Base.metadata, name="measured")
    number = __table__.c.id


class Paper(Base):
    """A document for which the null of JSON is a value."""

    __tablename__ = "paper"

    number: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[Any] = mapped_column(JSON, nullable=True)


class Own(Base):
    __tablename__ = "own"

    number: Mapped[int] = mapped_column("id", primary_key=True)
    stamp: Mapped[Any] = mapped_column(InUTC, nullable=True)
    doubled: Mapped[Any] = mapped_column(Doubled, nullable=True)


# --- sources --------------------------------------------------------------------------------------


def as_tuples(rows: Rows) -> dict[str, Any]:
    return {"rows": [tuple(row[name] for name in rows[0]) for row in rows], "columns": tuple(rows[0])}


def as_object_frame(rows: Rows) -> dict[str, Any]:
    """A frame of pandas whose columns are objects."""
    names = list(rows[0])
    columns = {name: pd.Series([row[name] for row in rows], dtype=object) for name in names}
    return {"rows": pd.DataFrame(columns)}


def as_pandas(rows: Rows) -> dict[str, Any]:
    """A frame whose types pandas finds out."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    whole = {name: pd.array(columns[name], dtype="Int64") for name in ("small", "big") if name in columns}
    return {"rows": pd.DataFrame({**columns, **whole})}


def as_arrow(rows: Rows) -> dict[str, Any]:
    named = [{name: _for_arrow(name, value) for name, value in row.items()} for row in rows]
    return {"rows": pa.Table.from_pylist(named)}


def as_polars(rows: Rows) -> dict[str, Any]:
    return {"rows": pl.from_arrow(as_arrow(rows)["rows"])}


def _for_arrow(name: str, value: Any) -> Any:
    """A value as something that Arrow has a type for."""
    if value is None:
        return None
    if name == "document":
        return json.dumps(value)
    if isinstance(value, Kind):
        return value.name
    return str(value) if isinstance(value, UUID) else value


FORMS: dict[str, Callable[[Rows], dict[str, Any]]] = {
    "mappings": lambda rows: {"rows": rows},
    "tuples": as_tuples,
    "object frame": as_object_frame,
    "pandas": as_pandas,
    "arrow": as_arrow,
    "polars": as_polars,
}


def stores(session: Session, model: Any, rows: Rows, *, single: bool = True) -> dict[str, Callable[[], Any]]:
    """Every way in which rows can be stored, by name."""
    ways: dict[str, Callable[[], Any]] = {
        f"insert of {name}": lambda form=form: bulk_insert(session, model, **form(rows))
        for name, form in FORMS.items()
    }

    def update() -> None:
        bulk_insert(session, model, [{"number": row["number"]} for row in rows])
        bulk_update(session, model, **as_tuples(rows))

    def flush() -> None:
        session.add_all([model(**row) for row in rows])
        session.flush()

    ways["objects"] = lambda: bulk_insert(session, model, [model(**row) for row in rows])
    ways["upsert"] = lambda: upsert(session, model, rows)
    ways["update"] = update
    ways["flush"] = flush
    if single:
        ways["one"] = lambda: [get_or_create(session, model, {"number": r["number"]}, r) for r in rows]
        ways["many"] = lambda: get_or_create_many(session, model, rows)
    return ways


def done(session: Session, model: Any, work: Callable[[], Any]) -> Any:
    """What the server has after work, column by column; it is undone."""
    dialect = session.get_bind().dialect
    how = {"sqlite": "typeof({0}) || quote({0})", "postgresql": "CAST({0} AS text)"}
    said = how.get(dialect.name, "CONCAT(HEX({0}), ' ', CAST({0} AS CHAR))")
    table = model.__table__
    names = (dialect.identifier_preparer.quote(column.name) for column in table.c)
    columns = [literal_column(said.format(name)) for name in names]
    attempt = session.begin_nested()
    try:
        work()
        session.expunge_all()
        return session.execute(select(*columns).select_from(table).order_by(table.c.id)).all()
    finally:
        session.expunge_all()
        attempt.rollback()


def plainly(session: Session, model: Any, rows: Rows) -> Callable[[], Any]:
    """SQLAlchemy's own way."""
    named = [{"id" if name == "number" else name: value for name, value in row.items()} for row in rows]
    return lambda: session.execute(insert(model.__table__), named)


# --- random rows ----------------------------------------------------------------------------------

ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns")]
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1))  # noqa: DTZ001  (of any time zone)
MORE: dict[str, st.SearchStrategy[Any]] = {
    **VALUES,
    "span": st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
    "moment": MOMENTS | MOMENTS.map(lambda each: each.replace(microsecond=0)),
    "zoned": MOMENTS.map(lambda each: each.replace(tzinfo=UTC)),
    "document": st.dictionaries(st.text("abc", max_size=3), st.integers(-9, 9) | st.none(), min_size=1),
}


@st.composite
def samples_of_one_zone(draw: st.DrawFn) -> Rows:
    """Rows whose moments are all in one zone, as those of a frame."""
    zone = draw(st.sampled_from(ZONES))
    rows = draw(st.lists(st.fixed_dictionaries(dict(MORE)), min_size=1, max_size=3))
    nulls = draw(st.sets(st.sampled_from(sorted(MORE))))
    for number, row in enumerate(rows):
        row["zoned"] = row["zoned"].astimezone(zone)
        row.update(dict.fromkeys(nulls) if number % 2 else {})
    return [{"number": number, **row} for number, row in enumerate(rows)]


QUICK = settings(
    max_examples=6,
    phases=[Phase.generate],  # A row of so many columns would be made smaller for minutes.
)


@pytest.fixture
def door(door_to: Doors) -> Door:
    """A way to a table of samples, and one of types of an app's own."""
    return door_to(Base.metadata)


@QUICK
@given_by(rows=samples_of_one_zone())
def test_rows_of_every_type_are_stored_as_the_same_from_every_source(door: Door, rows: Rows) -> None:
    door.do(lambda session: are_alike(session, Value, rows))


@QUICK
@given_by(
    zone=st.sampled_from(ZONES), values=st.lists(st.tuples(MORE["zoned"], st.integers(-9, 9)), min_size=1)
)
def test_types_of_an_apps_own_are_asked_once_from_every_source(
    door: Door, zone: Any, values: list[tuple[datetime, int]]
) -> None:
    rows = [
        {"number": number, "stamp": stamp.astimezone(zone), "doubled": count}
        for number, (stamp, count) in enumerate(values)
    ]

    def work(session: Session) -> None:
        are_alike(session, Own, rows)
        bulk_insert(session, Own, rows)
        found = session.scalars(select(Own).order_by(Own.number)).all()
        assert [own.doubled for own in found] == [2 * count for _, count in values]
        assert [own.stamp.replace(tzinfo=UTC) for own in found] == [stamp for stamp, _ in values]
        session.rollback()

    door.do(work)


def are_alike(session: Session, model: Any, rows: Rows) -> None:
    plain = done(session, model, plainly(session, model, rows))
    for name, way in stores(session, model, rows).items():
        assert done(session, model, way) == plain, name


# --- odd values -----------------------------------------------------------------------------------

ODD: dict[str, list[Any]] = {
    "small": [True, 7.0, 1.5, 2.5, Decimal(3), "5", np.int64(3), np.int8(-3), np.bool_(True), np.float64(2)],
    "big": [True, np.uint32(2**32 - 1), 2.0**40, np.float32(2)],
    "text": [5, b"x", True, np.str_("q"), UUID_1, date(2026, 5, 4)],
    "real": [1, True, Decimal("1.5"), "1.5", np.float32(0.5), np.float64(0.1), np.int16(4)],
    "exact": [1, 0.1 + 0.2, "1.5", np.float64(0.1), np.float32(0.5), np.int64(7), Decimal("1E+3")],
    "loose": [1, 0.1 + 0.2, np.int64(7), Decimal("1.10")],
    "truth": [1, 0, 1.0, "true", np.bool_(True), np.bool_(False)],
    "data": [bytearray(b"ab"), memoryview(b"ab"), "ab", np.bytes_(b"z"), b""],
    "day": [NOON, NOON.replace(tzinfo=BERLIN), pd.Timestamp(NOON), np.datetime64("2026-05-04"), "2026-05-04"],
    "moment": [
        NOON,
        NOON.replace(microsecond=5),
        NOON.replace(tzinfo=UTC),
        NOON.replace(tzinfo=EAST),
        NOON.replace(tzinfo=BERLIN),
        date(2026, 5, 4),
        pd.Timestamp("2026-05-04 12:00:00.123456789"),
        pd.Timestamp("1960-05-04 12:00:00.123456789"),
        pd.Timestamp("2026-05-04 12:00", tz="Europe/Berlin"),
        np.datetime64("1960-05-04T12:00:00.123456789"),
        np.datetime64("2026-05-04"),
        "2026-05-04 12:00:00",
    ],
    "clock": [time(1, 2, 3), time(1, 2, 3, tzinfo=EAST), NOON, timedelta(hours=1), "01:02:03"],
    "span": [timedelta(-1, 2, 3), pd.Timedelta("1 day 00:00:00.000000001"), np.timedelta64(5, "s"), 5],
    "uuid": [str(UUID_1), UUID_1.hex, UUID_1.bytes],
    "kind": ["LAKE", "lake"],
    "document": [None, {"a": [1, None]}, [], 5, True],
}
ODD["zoned"] = ODD["moment"]


def test_an_odd_value_is_stored_as_by_sqlalchemy_from_every_source_or_refused(door: Door) -> None:
    def work(session: Session) -> None:
        for name, values in ODD.items():
            for value in values:
                check_odd(session, [{"number": 1, name: value}], (name, value))

    door.do(work)


def check_odd(session: Session, rows: Rows, said: Any) -> None:
    try:
        plain = done(session, Value, plainly(session, Value, rows))
    except Exception:
        plain = None
    foreign = type(said[1]).__module__.partition(".")[0] in ("numpy", "pandas")
    ways = stores(session, Value, rows, single=not isinstance(said[1], str | float))
    for unlike in ("insert of pandas", "insert of arrow", "insert of polars", "flush"):
        del ways[unlike]
    if isinstance(said[1], str | bytes):  # In a frame a text may stand for something.
        del ways["insert of object frame"]
    found = Counter[Any]()
    for way in ways.values():
        try:
            found[str(done(session, Value, way))] += 1
        except RowRefused:
            found["refused"] += 1
        except Exception:
            assert plain is None, said  # As one of SQLAlchemy's statements says it.
    stored = found.keys() - {"refused"}
    assert len(stored) <= 1, (said, found)
    # What the driver makes of numpy's is bytes, on SQLite. Of a float for another type of number, asyncpg
    # makes one by itself, and cuts off what servers round.
    by_driver = session.get_bind().dialect.driver == "asyncpg" and isinstance(said[1], float)
    assert foreign or by_driver or plain is None or stored <= {str(plain)}, (said, plain, found)


def test_numbers_of_numpy_are_numbers_on_every_server(door: Door) -> None:
    rows = [{"number": np.int64(1), "small": np.int8(3), "big": np.int64(4), "real": np.float32(0.5)}]

    def work(session: Session) -> None:
        for name, way in stores(session, Value, rows).items():
            if name != "flush":
                done(session, Value, lambda way=way: (way(), check(session)))
        get_or_create(session, Value, rows[0])
        assert not get_or_create(session, Value, {"number": np.int64(1), "big": np.int64(4)})[1]

    def check(session: Session) -> None:
        found = session.execute(select(Value.number, Value.small, Value.big, Value.real)).one()
        assert tuple(found) == (1, 3, 4, 0.5)

    door.do(work)


def test_a_number_with_more_digits_than_a_server_reads_is_stored_as_the_nearest_float(door: Door) -> None:
    ways = (
        lambda session, row: bulk_insert(session, Value, [row]),
        lambda session, row: get_or_create(session, Value, {"number": 1}, row),
        lambda session, row: get_or_create_many(session, Value, [row], key=("number",)),
    )
    numbers = (10**65, -(10**82), 10**300, Decimal("1E+90"), Decimal("-1E-90"), Decimal("1E-300"))
    for way, given in product(ways, numbers):

        def work(session: Session, way: Any = way, given: Any = given) -> float | None:
            try:
                way(session, {"number": 1, "real": given})
                return session.scalar(select(Value.real))
            finally:
                session.rollback()

        try:
            assert door.do(work) == float(given)
        except RowRefused:
            assert door.dialect.name == "sqlite" or isinstance(given, int), given


def test_nanoseconds_are_cut_off_in_frames_as_elsewhere(door: Door) -> None:
    moments = ["1969-12-31 23:59:59.999999999", "2026-05-04 12:00:00.123456789"]
    frame = pd.DataFrame({"number": [1, 2], "moment": pd.to_datetime(moments)})
    objects = frame.astype({"moment": object})

    def work(session: Session) -> None:
        for given in (frame, objects, frame.to_dict("records"), pl.from_pandas(frame)):
            upsert(session, Value, given)
            found = session.scalars(select(Value.moment).order_by(Value.number)).all()
            assert [str(moment) for moment in found] == [text[:26] for text in moments]

    door.do(work)


def test_a_moment_of_a_frame_keeps_the_zone_that_it_has(door: Door) -> None:
    moment = NOON.replace(tzinfo=EAST)
    frame = pa.table({"number": [1], "zoned": pa.array([moment], pa.timestamp("us", "+05:30"))})

    def work(session: Session) -> None:
        are_as(session, frame, plainly(session, Value, [{"number": 1, "zoned": moment}]))
        are_as(session, frame.to_pandas(), plainly(session, Value, [{"number": 1, "zoned": moment}]))

    def are_as(session: Session, given: Any, plain: Callable[[], Any]) -> None:
        ours = done(session, Value, lambda: bulk_insert(session, Value, given))
        assert ours == done(session, Value, plain)

    door.do(work)


def test_objects_of_python_in_a_frame_of_polars_are_refused(door: Door) -> None:
    frame = pl.DataFrame({"number": [1], "data": pl.Series([bytearray(b"a")], dtype=pl.Object)})

    def work(session: Session) -> None:
        with pytest.raises(NotSupported, match="The frame's data has objects of Python"):
            bulk_insert(session, Value, frame)

    door.do(work)


def test_a_uuid_of_arrow_is_the_same_in_every_column(door: Door) -> None:
    frame = pa.table({"number": [1], "uuid": pa.array([UUID_1.bytes], pa.uuid())})

    def work(session: Session) -> None:
        bulk_insert(session, Value, frame)
        assert session.scalar(select(Value.uuid)) == UUID_1

    door.do(work)


def test_a_missing_document_of_a_frame_is_null_and_the_null_of_json_is_another(door: Door) -> None:
    rows = [{"number": 1, "document": None}, {"number": 2, "document": "null"}]

    def work(session: Session) -> None:
        for given in (pd.DataFrame(rows), pl.DataFrame(rows), pa.Table.from_pylist(rows)):
            for way in (upsert, get_or_create_many):
                session.execute(delete(Paper))
                way(session, Paper, given)
                missing = literal_column("document IS NULL")
                found = session.scalars(select(missing).select_from(Paper).order_by(Paper.number)).all()
                assert list(map(bool, found)) == [True, False]

    door.do(work)
