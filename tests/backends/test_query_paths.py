"""Whatever way a row takes, what is stored is what SQLAlchemy stores."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError
from sqlalchemy.orm import Session, registry

from fix_doors import Door
from fix_tables import Shouted
from penstock.query import (
    OnConflict,
    bulk_insert,
    bulk_update,
    get_or_create,
    get_or_create_many,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_doors import Doors

Rows = list[dict[str, Any]]


class Kind(enum.Enum):
    STREAM = "a stream"
    LAKE = "a lake"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
WORDS = st.text("abcXYZ 0'\"\\%_", max_size=8)
INTS = st.integers(-(2**31), 2**31 - 1)
NUMBERS = st.decimals(-(10**9), 10**9, places=4)
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1))  # noqa: DTZ001  (of any time zone)
EAST = timezone(timedelta(hours=5, minutes=30))
JSONS = st.recursive(
    st.none() | st.booleans() | INTS | WORDS | st.floats(-1e6, 1e6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
TYPES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "small": (sa.SmallInteger, st.integers(-(2**15), 2**15 - 1)),
    "whole": (sa.Integer, INTS),
    "big": (sa.BigInteger, st.integers(-(2**63), 2**63 - 1)),
    "real": (sa.REAL, st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "double": (sa.Double, st.floats(allow_nan=False, allow_infinity=False) | INTS),
    "exact": (sa.Numeric(20, 4), NUMBERS | INTS | st.sampled_from([0.1 + 0.2, 2.5])),
    "inexact": (sa.Numeric(20, 4, asdecimal=False), st.integers(-(10**6), 10**6) | NUMBERS),
    "truth": (sa.Boolean, st.booleans()),
    "name": (sa.String(40), TEXTS),
    "text": (sa.Text, TEXTS),
    "wide": (sa.UnicodeText, TEXTS),
    "fixed": (sa.CHAR(8), WORDS),
    "shouted": (Shouted, WORDS),
    "data": (sa.LargeBinary, st.binary(max_size=12)),
    "pickled": (sa.PickleType, st.lists(INTS, max_size=2)),
    "day": (sa.Date, st.dates()),
    "clock": (sa.Time, st.times().map(lambda each: each.replace(microsecond=0))),
    "moment": (sa.DateTime, MOMENTS.map(lambda each: each.replace(microsecond=0))),
    "zoned": (
        sa.DateTime(timezone=True),
        MOMENTS.map(lambda each: each.replace(tzinfo=UTC))
        | MOMENTS.map(lambda each: each.replace(tzinfo=EAST)),
    ),
    "span": (sa.Interval, st.timedeltas(timedelta(days=-1000), timedelta(days=1000))),
    "uuid": (sa.Uuid, st.uuids(version=4)),
    "uuid_text": (sa.Uuid(as_uuid=False), st.uuids(version=4).map(str)),
    "kind": (sa.Enum(Kind), st.sampled_from(Kind)),
    "kind_text": (sa.Enum("a", "b", native_enum=False, length=4), st.sampled_from(["a", "b"])),
    "document": (sa.JSON, JSONS),
    "document_null": (sa.JSON(none_as_null=True), JSONS),
    "binary_json": (postgresql.JSONB, JSONS),
    "numbers": (sa.ARRAY(sa.Integer), st.lists(INTS, max_size=3)),
    "texts": (sa.ARRAY(sa.Text), st.lists(WORDS, max_size=3)),
    "exacts": (sa.ARRAY(sa.Numeric(20, 4)), st.lists(NUMBERS, max_size=3)),
    "address": (postgresql.INET, st.ip_addresses().map(str)),
    "bits": (postgresql.BIT(4), st.text("01", min_size=4, max_size=4)),
    "interval": (postgresql.INTERVAL, st.timedeltas(timedelta(days=-1000), timedelta(days=1000))),
}

if sa.__version__ < "2.1":  # Until then it took no text for a BIT through asyncpg.
    del TYPES["bits"]

QUICK = settings(
    max_examples=8,
    phases=[Phase.generate],  # A row of thirty columns would be made smaller for minutes.
)
STRANGE = {"binary_json", "numbers", "texts", "exacts", "address", "bits", "interval"}
"""Those for which drivers may have ways of their own."""


def holds(dialect: sa.Dialect, kind: Any) -> bool:
    """Whether a dialect has such columns; those of another one may be called the same, and be otherwise."""
    made = sa.types.to_instance(kind)
    home = type(made).__module__
    if ".dialects." in home and f".dialects.{dialect.name}." not in home:
        return False
    try:
        made.compile(dialect=dialect)
    except CompileError:
        return False
    return True


def names_of(table: sa.Table) -> list[str]:
    """The columns but the key."""
    return [column.name for column in table.c if not column.primary_key]


@dataclass(frozen=True, repr=False)
class Lab:
    """A store with a column of every type that its server has.

    Args:
        door: The way to it.
        table: Its table, with a number as key.
        model: A class that is mapped to it.
        rows: Makes rows for it, without the key.
    """

    door: Door
    table: sa.Table
    model: Any
    rows: st.SearchStrategy[Rows]


@pytest.fixture
def labs(door_to: Doors) -> list[Lab]:
    """Two tables behind every door: with a column of every ordinary type, and of every type there is."""
    metadata = sa.MetaData()

    def make(connection: sa.Connection, first_time: bool) -> None:
        held = {name: kind for name, (kind, _) in TYPES.items() if holds(connection.dialect, kind)}
        for label, kinds in (("ordinary", held.keys() - STRANGE), ("every", held)):
            key = sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
            columns = (sa.Column(name, held[name]) for name in held if name in kinds)
            sa.Table(label, metadata, key, *columns)
        metadata.create_all(connection)

    door = door_to(sa.MetaData(), make)
    return [lab_of(door, table) for table in metadata.sorted_tables]


def lab_of(door: Door, table: sa.Table) -> Lab:
    model = type("Sample", (), {})
    registry(metadata=table.metadata).map_imperatively(model, table)
    row = st.fixed_dictionaries({name: st.none() | TYPES[name][1] for name in names_of(table)})
    return Lab(door, table, model, st.lists(row, min_size=1, max_size=3))


# --- ways -----------------------------------------------------------------------------------------


def as_dicts(lab: Lab, rows: Rows) -> tuple[Any, dict[str, Any]]:
    return rows, {}


def as_tuples(lab: Lab, rows: Rows) -> tuple[Any, dict[str, Any]]:
    return [tuple(row[name] for name in rows[0]) for row in rows], {"columns": tuple(rows[0])}


def as_objects(lab: Lab, rows: Rows) -> tuple[Any, dict[str, Any]]:
    return iter([lab.model(**row) for row in rows]), {}


def as_ragged(lab: Lab, rows: Rows) -> tuple[Any, dict[str, Any]]:
    """Without what is None, and each in another order; but for JSON, where None is no NULL."""
    keep = {column.name for column in lab.table.c if isinstance(column.type, sa.JSON)}
    some = [{name: value for name, value in row.items() if value is not None or name in keep} for row in rows]
    return [dict(reversed(row.items())) if n % 2 else row for n, row in enumerate(some)], {}


FORMS = (as_dicts, as_tuples, as_objects, as_ragged)


def inserted(on_conflict: OnConflict) -> Callable[..., None]:
    def way(session: Session, lab: Lab, rows: Rows, form: Any) -> None:
        given, options = form(lab, rows)
        done = bulk_insert(session, lab.model, given, on_conflict=on_conflict, **options)
        assert done.inserted == len(rows)

    return way


def upserted(session: Session, lab: Lab, rows: Rows, form: Any) -> None:
    """Some of them are there, with other values."""
    bulk_insert(session, lab.table, [{"id": row["id"]} for row in rows[::2]])
    given, options = form(lab, [{name: row[name] for name in rows[0]} for row in rows])
    done = upsert(session, lab.model, given, **options)
    assert (done.inserted, done.updated) == (len(rows) - len(rows[::2]), len(rows[::2]))


def updated(session: Session, lab: Lab, rows: Rows, form: Any) -> None:
    bulk_insert(session, lab.table, [{"id": row["id"]} for row in rows])
    given, options = form(lab, rows)
    assert bulk_update(session, lab.model, given, **options).updated == len(rows)


def got(session: Session, lab: Lab, rows: Rows, form: Any) -> None:
    for row in rows:
        values = {name: value for name, value in row.items() if name != "id"}
        assert get_or_create(session, lab.model, {"id": row["id"]}, values)[1]
        assert not get_or_create(session, lab.table, {"id": row["id"]}, values)[1]


def got_together(session: Session, lab: Lab, rows: Rows, form: Any) -> None:
    given, _ = form(lab, rows) if form in (as_dicts, as_ragged) else (rows, {})
    assert [new for _, new in get_or_create_many(session, lab.model, given)] == [True] * len(rows)
    assert [new for _, new in get_or_create_many(session, lab.table, given)] == [False] * len(rows)


WAYS = {
    "insert": inserted(OnConflict.ERROR),
    "nothing": inserted(OnConflict.NOTHING),
    "update": inserted(OnConflict.UPDATE),
    "upsert": upserted,
    "bulk_update": updated,
    "get_or_create": got,
    "get_or_create_many": got_together,
}


# --- comparing ------------------------------------------------------------------------------------


def check(session: Session, lab: Lab, way: str, form: Any, rows: Rows, times: int = 1) -> None:
    """Store rows by SQLAlchemy and by a way of ours, and compare what Python and the server say of them."""
    given = [{"id": number, **row} for number, row in enumerate(rows * times)]
    session.execute(sa.insert(lab.table), [{**row, "id": row["id"] + 10_000} for row in given])
    WAYS[way](session, lab, given, form)
    names = names_of(lab.table)
    binary = [name for name in names if isinstance(lab.table.c[name].type, sa.LargeBinary | sa.PickleType)]
    said = [lab.table.c[name] if name in binary else as_text(lab, name) for name in names]
    for columns in ([lab.table.c[name] for name in names], said):
        found = [
            tuple(row)
            for row in session.execute(sa.select(*columns).select_from(lab.table).order_by(lab.table.c.id))
        ]
        for ours, plain in zip(found[: len(given)], found[len(given) :], strict=True):
            differs = [name for name, a, b in zip(names, ours, plain, strict=True) if not same(a, b)]
            assert differs == [], [(a, b) for a, b in zip(ours, plain, strict=True) if not same(a, b)]
    session.rollback()


def as_text(lab: Lab, name: str) -> Any:
    """A column as its server writes it."""
    quoted = lab.door.dialect.identifier_preparer.quote(name)
    return sa.cast(sa.literal_column(quoted), sa.Text)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    return type(one) is type(other) and one == other


@QUICK
@given_by(data=st.data())
def test_what_is_stored_by_any_way_in_any_form_is_what_sqlalchemy_stores(
    labs: list[Lab], data: st.DataObject
) -> None:
    lab = data.draw(st.sampled_from(labs))
    rows = data.draw(lab.rows)
    form = data.draw(st.sampled_from(FORMS))
    for way in WAYS:
        lab.door.do(lambda session, way=way: check(session, lab, way, form, rows))


@settings(QUICK, max_examples=2)
@given_by(data=st.data())
def test_and_so_it_is_with_many_rows(labs: list[Lab], data: st.DataObject) -> None:
    lab = data.draw(st.sampled_from(labs))
    rows = data.draw(lab.rows)
    for way in WAYS.keys() - {"get_or_create"}:
        lab.door.do(lambda session, way=way: check(session, lab, way, as_dicts, rows, times=250 // len(rows)))
