"""What is written and read does not depend on what others have set: on a server, a session, or around us."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import given as given_by
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from fix_apps import all_ok
from fix_settings import SERVER_SETTINGS, SESSION_SETTINGS, set_on_server
from fix_tables import SAMPLES, Kind, Laboratory, Sample, as_kept, in_order, numbered
from penstock.aio import AsyncStores
from penstock.query import (
    bulk_insert,
    bulk_update,
    find_one,
    get_or_create,
    get_or_create_many,
    paginate_keyset,
    to_arrow,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import Ground
    from penstock import Stores

METADATA = sa.MetaData()
STREET = sa.Table(
    "straße",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("größe", sa.String(20), unique=True),
    sa.Column("text", sa.Text),
    sa.Column("number", sa.Integer),
    sa.Column("real", sa.Double),
    sa.Column("data", sa.LargeBinary),
)
"""With names beyond ASCII, and nothing that a driver has to parse from a text that a setting forms."""

TEXTS = ("", "a\\b'c\"ß\n", "NULL", "\\N", None, "\\.", "%s")


def streets(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "größe": f"k{number:03}'\\ß",
            "text": TEXTS[number % len(TEXTS)],
            "number": number if number % 3 else None,
            "real": number / 3,
            "data": bytes([number % 256, 0, 39, 92, 255]),
        }
        for number in range(count)
    ]


def work_with_streets(session: Session) -> None:
    """The core of what there is for rows, at both sizes between which ways differ."""
    columns = tuple(STREET.c.keys())
    for count in (20, 600):
        rows = streets(count)
        session.execute(STREET.delete().where(STREET.c.id >= 0))
        assert bulk_insert(session, STREET, rows).inserted == count
        assert to_arrow(session, sa.select(STREET).order_by(STREET.c.id).limit(10_000)).to_pylist() == rows
        again = bulk_insert(session, STREET, streets(count + 5), on_conflict="nothing")
        assert (again.inserted, again.skipped) == (5, count)
        new = [tuple(row.values()) for row in rows]
        assert upsert(session, STREET, new, columns=columns).updated == count
        changed = [{**row, "number": 7} for row in rows]
        assert upsert(session, STREET, changed, key=("größe",)).updated == count
        assert bulk_update(session, STREET, [{"id": n, "text": f"ß{n}"} for n in range(count)]).updated == count
        sevens = sa.select(sa.func.count()).select_from(STREET).where(STREET.c.number == 7)
        assert session.scalar(sevens.where(STREET.c.text.like("ß%"))) == count
    find_and_make(session)


def find_and_make(session: Session) -> None:
    more = [{"id": 1000 + number, "größe": f"m{number}"} for number in range(9)]
    assert [new for _, new in get_or_create_many(session, STREET, more)] == [True] * 9
    assert [new for _, new in get_or_create_many(session, STREET, more)] == [False] * 9
    assert get_or_create(session, STREET, {"größe": "x\\'ß"}, {"id": 5000})[1]
    assert not get_or_create(session, STREET, {"größe": "x\\'ß"}, {"id": 5000})[1]
    assert find_one(session, STREET, {"größe": "x\\'ß"}).id == 5000
    seen, after = [], None
    while True:
        page = paginate_keyset(session, sa.select(STREET), order_by=[STREET.c.real, STREET.c.id], per_page=90, after=after)
        seen += [row.id for row in page.items]
        after = page.next_cursor
        if after is None:
            break
    assert seen == [*range(605), *range(1000, 1009), 5000]


ROWS: list[dict[str, Any]] = [
    {
        "small": -(2**15),
        "big": 2**63 - 1,
        "text": "straße 𝄞 \\ ' \" \n",
        "real": 0.1 + 0.2,
        "exact": Decimal("12345678.000001"),
        "loose": Decimal("0.10000001"),
        "truth": False,
        "data": b"\0'\\\xff",
        "day": date(1, 1, 1),
        "moment": datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001  (of a type without time zone)
        "zoned": datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        "clock": time(23, 59, 59, 999999),
        "span": timedelta(days=-1, seconds=1),
        "uuid": UUID(int=1),
        "kind": Kind.LAKE,
        "document": {"ß": ["\\", None, 1e300]},
    },
    dict.fromkeys(("small", "text", "real", "day", "zoned", "span", "data")),
]
"""A row at the limits of what can be read, and one of NULL."""


def check_samples(session: Session, rows: list[dict[str, Any]], *, zones: bool) -> None:
    """Store samples, and read them as objects and as a table."""
    session.execute(sa.delete(Sample).where(Sample.number >= 0))
    given = numbered(rows)
    bulk_insert(session, Sample, [dict(row) for row in given])
    for row, found in zip(given, session.scalars(in_order()).all(), strict=True):
        for name, value in row.items():
            assert getattr(found, name) == as_stored(value, zones=zones), name
    for row, found in zip(given, to_arrow(session, in_order()).to_pylist(), strict=True):
        kept = as_kept(found)
        for name, value in row.items():
            assert kept[name] == as_told(value, zones=zones), name
    session.expunge_all()


def as_stored(value: Any, *, zones: bool) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) and not zones else value


def as_told(value: Any, *, zones: bool) -> Any:
    if isinstance(value, Kind):
        return value.name
    return str(value) if isinstance(value, UUID) else as_stored(value, zones=zones)


# --- stores ---------------------------------------------------------------------------------------


@contextmanager
def opened(stores: Stores, *, waiting: bool) -> Iterator[Callable[[Callable[[Session], Any]], None]]:
    """Does work with a session of the store's, in a thread or in an event loop."""
    if not waiting:

        def run(work: Callable[[Session], Any]) -> None:
            with stores.session(Laboratory, "samples") as session:
                work(session)
                session.commit()

        yield run
        return
    awaited = AsyncStores(stores)

    async def run_awaited(work: Callable[[Session], Any]) -> None:
        async with awaited.session(Laboratory, "samples") as session:
            await session.run_sync(work)
            await session.commit()

    with asyncio.Runner() as runner:
        yield lambda work: runner.run(run_awaited(work))
        runner.run(awaited.engine(Laboratory, "samples").dispose())


def check_store(ground: Ground, stores: Stores) -> None:
    """Make a store, use it by both of its drivers, ask how it is, and drop it."""
    all_ok(stores, Laboratory)
    STREET.create(stores.engine(Laboratory, "samples"))
    zones = ground.kind == "postgresql"
    for waiting in (False, True):
        with opened(stores, waiting=waiting) as run:
            run(work_with_streets)
            run(lambda session: check_samples(session, ROWS, zones=zones))
    assert to_arrow(stores.engine(Laboratory, "samples"), in_order()).num_rows == len(ROWS)
    all_ok(stores, Laboratory)
    [status] = stores.status(Laboratory)
    assert status.error is None
    stores.drop(Laboratory, "samples", now=True)


def test_a_store_is_what_it_is_whatever_an_administrator_has_set(
    ground: Ground, desk_on: Callable[..., Stores]
) -> None:
    with set_on_server(ground, SERVER_SETTINGS[ground.kind]):
        stores = desk_on(ground, Laboratory, links=("samples",))
        check_store(ground, stores)
        stores.close()
