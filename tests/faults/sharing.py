"""Readers and writers of one SQLite store: threads, tasks and processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, reduce
from multiprocessing import get_context
from typing import TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from penstock import App, Database, MemoryRegistry, Service, Stores
from penstock.aio import AsyncStores


class Base(DeclarativeBase):
    """The tables of the app."""


class Counter(Base):
    """How often a writer wrote."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int]


class Line(Base):
    """What a writer wrote."""

    __tablename__ = "line"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    value: Mapped[int]


class Journal(App):
    """An app with one store."""

    package = "journal"
    lines = Database("Every line.", metadata=Base.metadata)


@dataclass
class Tally:
    """What some of them did.

    Args:
        reads: Transactions that read.
        writes: Transactions that read and then wrote.
        failed: What went wrong.
    """

    reads: int = 0
    writes: int = 0
    failed: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.reads + other.reads, self.writes + other.writes, self.failed + other.failed)


Work: TypeAlias = Callable[[Session], None]
Names: TypeAlias = tuple[str, ...]


def read(session: Session) -> None:
    """Read, and leave the session as it is."""
    session.scalar(select(func.count()).select_from(Line))
    session.scalars(select(Counter)).all()


def write(name: str, session: Session) -> None:
    """Read, then write what follows from it; a name has one writer."""
    counter = session.get(Counter, name)
    if counter is None:
        counter = Counter(name=name, value=0)
        session.add(counter)
    counter.value += 1
    session.add(Line(name=name, value=counter.value))


@contextmanager
def journal_in(folder: str, *, made: bool = True) -> Iterator[Stores]:
    """The store, in a folder of files; where it was not made yet, it is."""
    registry = MemoryRegistry()
    registry.put_service(Service(name="files", url=f"sqlite:///{folder}"))
    with Stores(registry, apps=[Journal]) as stores:
        stores.links.add("files", Journal, "lines")
        assert made or stores.sync(Journal)[0].ok
        yield stores


def share(folder: str, seconds: float) -> Tally:
    """Eight read and four write for so long, while a session is open that has read."""
    with journal_in(folder, made=False) as stores, stores.session(Journal, "lines") as left_open:
        left_open.scalars(select(Line)).all()
        with (
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes,
            ThreadPoolExecutor(2) as threads,
        ):
            parts = [
                processes.submit(in_process, folder, seconds, 2, ("process",)),
                threads.submit(in_threads, stores, seconds, 3, ("thread 1", "thread 2")),
                threads.submit(lambda: asyncio.run(in_tasks(stores, seconds, 3, ("task",)))),
            ]
            return reduce(Tally.__add__, [part.result() for part in parts])


def written(folder: str) -> list[tuple[str, int, int, int]]:
    """What there is of each writer: its count, its lines, and how many different ones."""
    lines = func.count(Line.id), func.count(Line.value.distinct())
    query = select(Counter.name, Counter.value, *lines).join(Line, Line.name == Counter.name)
    with journal_in(folder) as stores, stores.session(Journal, "lines") as session:
        return [tuple(row) for row in session.execute(query.group_by(Counter.name, Counter.value))]


def in_process(folder: str, seconds: float, readers: int, writers: Names) -> Tally:
    """Do it in threads of this process."""
    with journal_in(folder) as stores:
        return in_threads(stores, seconds, readers, writers)


def in_threads(stores: Stores, seconds: float, readers: int, writers: Names) -> Tally:
    """Do it in threads."""
    end = time.monotonic() + seconds

    def run(work: Work, tally: Tally) -> Tally:
        while time.monotonic() < end:
            with _noting(tally, work), stores.begin(Journal, "lines") as session:
                work(session)
        return tally

    with ThreadPoolExecutor(readers + len(writers)) as pool:
        running = [pool.submit(run, work, Tally()) for work in _works(readers, writers)]
        return reduce(Tally.__add__, [each.result() for each in running])


async def in_tasks(sync_stores: Stores, seconds: float, readers: int, writers: Names) -> Tally:
    """Do it in tasks of one event loop."""
    end = time.monotonic() + seconds
    stores = AsyncStores(sync_stores)

    async def run(work: Work, tally: Tally) -> Tally:
        while time.monotonic() < end:
            with _noting(tally, work):
                async with stores.begin(Journal, "lines") as session:
                    await session.run_sync(work)
        return tally

    done = await asyncio.gather(*(run(work, Tally()) for work in _works(readers, writers)))
    return reduce(Tally.__add__, done)


def _works(readers: int, writers: Names) -> list[Work]:
    return [*[read] * readers, *(partial(write, name) for name in writers)]


@contextmanager
def _noting(tally: Tally, work: Work) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        tally.failed.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    else:
        tally.reads += work is read
        tally.writes += work is not read
