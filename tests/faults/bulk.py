"""Processes that write the same keys in bulk, and note what became of each batch."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import MetaData, String
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Database, PenstockError, Stores
from penstock.aio import AsyncStores
from penstock.query import Written, bulk_insert, get_or_create_many, upsert
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Engine

VERBS = ("nothing", "update", "get")
_PATIENCE = 60.0


class Base(DeclarativeBase):
    """The tables of the app."""

    metadata = MetaData()


class Object(Base):
    """What all writers write; servers that can do so sort its keys otherwise than Python does."""

    __tablename__ = "object"

    oid: Mapped[str] = mapped_column(
        String(40).with_variant(String(40, collation="und-x-icu"), "postgresql"), primary_key=True
    )
    writer: Mapped[int]
    batch: Mapped[int]


class Batch(Base):
    """A batch that was written, in the transaction in which it was."""

    __tablename__ = "batch"

    writer: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    inserted: Mapped[int]
    updated: Mapped[int]
    skipped: Mapped[int]


class Broker(App):
    """An app that stores what an instrument sees."""

    package = "broker"
    objects = Database("Objects.", metadata=Base.metadata)


def new_keys(writer: int, batch: int, size: int) -> list[str]:
    """The keys that only this batch has: one in ten."""
    return [f"{'nN'[n % 2]}{writer}-{batch}-{n}" for n in range(size // 10)]


def rows_of(writer: int, batch: int, size: int) -> list[dict[str, Any]]:
    """The rows of a batch: mostly keys that the others write now, too, in an order of its own."""
    chance = random.Random(writer * 1000 + batch)
    new = new_keys(writer, batch, size)
    recent = range(batch * size // 4, (batch + 8) * size // 4)
    hot = [f"{'hH'[n % 2]}{n}" for n in chance.sample(recent, size - len(new))]
    keys = [*hot, *new]
    chance.shuffle(keys)
    return [{"oid": key, "writer": writer, "batch": batch} for key in keys]


def write_rows(on: Session | Engine, verb: str, rows: Iterable[dict[str, Any]]) -> Written:
    """Write them; what became of them."""
    if verb == "nothing":
        return bulk_insert(on, Object, rows, on_conflict="nothing")
    if verb == "update":
        return upsert(on, Object, rows)
    found = get_or_create_many(on, Object, rows)
    made = sum(created for _, created in found)
    return Written(inserted=made, skipped=len(found) - made)


def write_batches(
    registry: str,
    writer: int,
    batches: int,
    size: int,
    kill: str = "",
    waiting: bool = False,
) -> dict[str, Any]:
    """Write batches, each in a transaction; one that fails is written again.

    Args:
        registry: The registry's file.
        writer: Which writer it is; the verbs take turns.
        batches: How many.
        size: Rows in a batch.
        kill: When to be killed in the third batch: `half` of its rows are written and others are being
            read, they are being `sent`, or all are `written`.
        waiting: Whether to use the driver for event loops.
    """
    failures: list[str] = []

    def attempt(session: Session, number: int) -> None:
        if session.get(Batch, (writer, number)) is not None:
            return  # The last attempt was committed, and then failed.
        verb, rows = VERBS[(writer + number) % 3], rows_of(writer, number, size)
        if kill and number == 2:
            _be_killed(session, verb, rows, kill)
        done = write_rows(session, verb, rows)
        counts = {"inserted": done.inserted, "updated": done.updated, "skipped": done.skipped}
        session.add(Batch(writer=writer, number=number, **counts))

    with Stores(DatabaseRegistry.at(Path(registry)), apps=[Broker]) as stores, asyncio.Runner() as loop:
        transaction = _awaited(stores, loop) if waiting else _plain(stores)
        for number in range(batches):
            _persist(lambda number=number: transaction(lambda session: attempt(session, number)), failures)
        if waiting:
            loop.run(AsyncStores(stores).engine(Broker, "objects").dispose())
    return {"failures": failures}


def _plain(stores: Stores) -> Callable[[Callable[[Session], None]], None]:
    def run(work: Callable[[Session], None]) -> None:
        with stores.begin(Broker, "objects") as session:
            work(session)

    return run


def _awaited(stores: Stores, loop: asyncio.Runner) -> Callable[[Callable[[Session], None]], None]:
    async def run(work: Callable[[Session], None]) -> None:
        async with AsyncStores(stores).begin(Broker, "objects") as session:
            await session.run_sync(work)

    return lambda work: loop.run(run(work))


def _persist(attempt: Callable[[], None], failures: list[str]) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return attempt()
        except (SQLAlchemyError, PenstockError) as error:
            failures.append(f"{type(error).__name__}: {error}"[:300])
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _be_killed(session: Session, verb: str, rows: list[dict[str, Any]], kill: str) -> NoReturn:
    def being_read() -> Iterator[dict[str, Any]]:
        yield from rows[len(rows) // 2 :]
        if kill == "half":
            _die()
        Timer(0.001, _die).start()

    if kill != "sent":
        write_rows(session, verb, rows if kill == "written" else rows[: len(rows) // 2])
    if kill != "written":
        write_rows(session, verb, being_read())
    _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it outlived SIGKILL")
