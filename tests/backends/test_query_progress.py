"""Writers tell how far they are, once per block; who is told can end the call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from sqlalchemy import MetaData, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from fix_apps import engine_of, run_async
from penstock import App, Database
from penstock.errors import RowRefused
from penstock.query import Progress, Written, bulk_insert, bulk_update, get_or_create_many, upsert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fix_servers import TestServer

COUNT = 100_001
"""More than two blocks."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Gage(Base):
    __tablename__ = "gage"

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(10))


class Lab(App):
    package = "lab"
    gages = Database("Gages.", metadata=Base.metadata)


@pytest.fixture
def engine(ground: TestServer) -> Iterator[Engine]:
    with engine_of(ground, Lab, "gages") as engine:
        yield engine


def rows(count: int = COUNT) -> list[dict[str, Any]]:
    return [{"number": number, "name": "x"} for number in range(count)]


def count(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(Gage)) or 0


def test_each_block_is_told_with_the_total_where_it_is_known(engine: Engine) -> None:
    told: list[Progress] = []
    steps = (50_000, 100_000, COUNT)
    bulk_insert(engine, Gage, rows(), on_progress=told.append)
    assert told == [Progress(step, COUNT) for step in steps]
    told.clear()
    upsert(engine, Gage, iter(rows()), on_progress=told.append)
    assert told == [Progress(step, None) for step in steps]
    told.clear()
    bulk_update(engine, Gage, [(1, "y")], columns=("number", "name"), on_progress=told.append)
    assert told == [Progress(1, 1)]


def test_rows_that_are_skipped_were_sent_too(engine: Engine) -> None:
    told: list[Progress] = []
    bulk_insert(engine, Gage, rows(3))
    done = bulk_insert(engine, Gage, rows(5), on_conflict="nothing", on_progress=told.append)
    assert (done, told) == (Written(inserted=2, skipped=3), [Progress(5, 5)])


def test_a_table_of_arrow_has_a_total_and_a_reader_has_none(engine: Engine) -> None:
    told: list[Progress] = []
    table = pa.table({"number": pa.array(range(60_000), pa.int32()), "name": ["x"] * 60_000})
    bulk_insert(engine, Gage, table, on_progress=told.append)
    assert (told[-1], {each.total for each in told}) == (Progress(60_000, 60_000), {60_000})
    told.clear()
    upsert(engine, Gage, table.to_reader(), on_progress=told.append)
    assert (told[-1], {each.total for each in told}) == (Progress(60_000, None), {None})


def test_nothing_is_told_where_there_are_no_rows(engine: Engine) -> None:
    told: list[Progress] = []
    assert bulk_insert(engine, Gage, [], on_progress=told.append) == Written()
    assert told == []


def test_who_is_told_can_end_it_and_nothing_is_stored(engine: Engine) -> None:
    def enough(progress: Progress) -> None:
        if progress.rows >= 100_000:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        bulk_insert(engine, Gage, rows(), on_progress=enough)
    assert count(engine) == 0
    with Session(engine) as session, session.begin():
        bulk_insert(session, Gage, [{"number": -1}])
        with pytest.raises(LookupError, match="enough"):
            bulk_insert(session, Gage, rows(), on_progress=enough)
        bulk_insert(session, Gage, [{"number": -2}])  # The transaction goes on.
    assert count(engine) == 2


def test_a_row_that_is_refused_has_its_number(engine: Engine) -> None:
    bad = [*rows(3), {"number": 1, "name": "twice"}, {"number": 1, "name": "thrice"}]
    with pytest.raises(RowRefused) as raised:
        bulk_insert(engine, Gage, bad)
    assert raised.value.row == 3
    frame = pa.table({"number": [1, 2], "name": ["x", "y"]})
    bulk_insert(engine, Gage, frame)
    with pytest.raises(RowRefused) as raised:
        bulk_insert(engine, Gage, pa.table({"number": [0, 2]}))
    assert raised.value.row == 1


def test_an_asynchronous_session_tells_it_too(async_server: TestServer) -> None:
    told: list[Progress] = []

    async def work(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session, session.begin():
            await session.run_sync(partial(bulk_insert, on_progress=told.append), Gage, rows())

    run_async(async_server, Lab, "gages", work)
    assert told == [Progress(step, COUNT) for step in (50_000, 100_000, COUNT)]


def test_what_is_no_option_is_refused(engine: Engine) -> None:
    for verb in (bulk_insert, upsert, bulk_update):
        with pytest.raises(TypeError):
            verb(engine, Gage, rows(1), progress=print)
    with pytest.raises(TypeError):
        get_or_create_many(engine, Gage, rows(1), on_progress=print)
