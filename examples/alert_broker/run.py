"""Stores many alerts: in batches, by several processes with their own engines."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from alert_broker.app import AlertBroker
from alert_broker.ingest import store
from alert_broker.packets import Alert, PacketError, read_alerts
from alert_broker.replay import Replay
from penstock import PenstockError

_AHEAD = 2
"""How many batches a process has waiting, so that it never waits itself."""


class IngestError(Exception):
    """A batch was not stored; those that are reported are."""


class Batch(Protocol):
    """Alerts that are stored together."""

    def read(self) -> tuple[list[Alert], list[str]]:
        """The alerts, and what is said of the packets that were left out."""


@dataclass(frozen=True, slots=True)
class FileBatch:
    """The alerts of some files.

    Args:
        paths: The files.
        skip_bad: Whether to leave out packets that can't be understood.
    """

    paths: Sequence[Path]
    skip_bad: bool = False

    def read(self) -> tuple[list[Alert], list[str]]:
        """Read the files.

        Raises:
            PacketError: A packet can't be understood, and is not to be left out.
        """
        alerts: list[Alert] = []
        bad: list[str] = []
        for path in self.paths:
            try:
                alerts += read_alerts(path)
            except PacketError as error:
                if not self.skip_bad:
                    raise
                bad.append(str(error))
        return alerts, bad


@dataclass(frozen=True, slots=True)
class ReplayBatch:
    """Synthetic alerts, by their numbers."""

    replay: Replay
    numbers: range

    def read(self) -> tuple[list[Alert], list[str]]:
        """Make them."""
        return [self.replay.alert(number) for number in self.numbers], []


@dataclass(frozen=True, slots=True)
class Done:
    """What one process made of a batch.

    Args:
        new: Alerts that were stored.
        known: Alerts that were there already.
        bad: What is wrong with the packets that were left out.
        process: Which process did it.
        cpu: How many seconds of CPU that process has used since it began.
    """

    new: int
    known: int
    bad: list[str]
    process: int = field(default_factory=os.getpid)
    cpu: float = field(default_factory=time.process_time)


def files_in_batches(paths: Sequence[Path], size: int, *, skip_bad: bool) -> list[FileBatch]:
    """Files, so many at a time."""
    return [FileBatch(paths[start : start + size], skip_bad) for start in range(0, len(paths), size)]


def replay_in_batches(replay: Replay, count: int, size: int) -> list[ReplayBatch]:
    """Synthetic alerts, so many at a time."""
    starts = range(0, count, size)
    return [ReplayBatch(replay, range(start, min(start + size, count))) for start in starts]


def store_batch(batch: Batch) -> Done:
    """Store one batch, in one transaction.

    Raises:
        IngestError: It could not be stored; nothing of it was.
    """
    try:
        alerts, bad = batch.read()
        with AlertBroker.alerts.begin() as session:
            stored = store(session, alerts)
    except (PacketError, PenstockError, SQLAlchemyError) as error:
        raise IngestError(str(error)) from None  # Errors with arguments of their own can't be sent.
    return Done(stored.new, stored.known, bad)


def store_all(batches: Sequence[Batch], processes: int, on_done: Callable[[Done], None]) -> None:
    """Store all batches.

    Args:
        batches: The batches.
        processes: How many processes do it; with one, it is this one.
        on_done: Told of each batch that is stored, in this process.

    Raises:
        IngestError: A batch could not be stored, or a process died; no more batches are begun.
    """
    if processes == 1:
        for batch in batches:
            on_done(store_batch(batch))
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_begin) as pool:
        try:
            for done in _in_turn(pool, batches, processes * _AHEAD):
                on_done(done)
        except BrokenProcessPool:
            raise IngestError("a process has died; what it was storing is not stored") from None
        finally:
            pool.shutdown(cancel_futures=True)


def _in_turn(pool: ProcessPoolExecutor, batches: Sequence[Batch], ahead: int) -> Iterator[Done]:
    """Each batch's end, as it comes; so many are on their way at a time."""
    waiting: set[Future[Done]] = set()
    for batch in batches:
        if len(waiting) == ahead:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in ended)
        waiting.add(pool.submit(store_batch, batch))
    while waiting:
        ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from (each.result() for each in ended)


def _begin() -> None:
    """Prepare a process: it ends when the one that started it is killed, and leaves Ctrl-C to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Nearly all that a batch makes lives until its end: to look for garbage often costs a fifth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
