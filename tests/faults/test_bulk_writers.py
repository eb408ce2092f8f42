"""Processes that write the same keys in bulk lose nothing, whatever befalls them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from faults.bulk import Batch, Broker, Object, new_keys
from faults.scenes import Scene, until
from fix_aio import KINDS, async_ground_of
from fix_apps import all_ok
from fix_servers import GROUNDS
from penstock.query import find

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from faults.scenes import Ended, Workers
    from fix_servers import TestServer
    from penstock import Stores

WRITERS = 8
DEADLOCK = 1213
RESTARTED = 24
"""Batches of each writer that are not all written by the time a server restarts."""


class Field:
    """A store that writers write to, and the batches in it.

    Args:
        scene: Where it is.
        waiting: Whether writers use the driver for event loops.
        stores: This process's own.
    """

    def __init__(self, scene: Scene, stores: Stores, *, waiting: bool) -> None:
        self.scene = scene
        self.stores = stores
        self.waiting = waiting

    def start(self, batches: int, size: int, **options: dict[int, Any]) -> list[int]:
        """Start the writers, some of them with options of their own."""
        return [
            self.scene.workers.start(
                "write_batches",
                registry=self.scene.registry,
                writer=writer,
                batches=batches,
                size=size,
                waiting=self.waiting,
                **{name: of[writer] for name, of in options.items() if writer in of},
            )
            for writer in range(WRITERS)
        ]

    def wait(self, started: list[int]) -> list[Ended]:
        """Wait for all of them."""
        return [self.scene.workers.wait(pid, timeout=600) for pid in started]

    def batches(self) -> dict[tuple[int, int], Batch]:
        """The batches that are there, by writer and number."""
        with self.stores.session(Broker, "objects") as session:
            return {(batch.writer, batch.number): batch for batch in find(session, Batch)}

    def may_end(self, failure: str) -> bool:
        """Whether a transaction may fail like this where rows that it waits for are taken back.

        All that wait for a row of InnoDB's go on at once, each with a lock on the gap that it leaves, so
        that none can make it anew, and all but one are ended; see "Locks Set by Different SQL Statements"
        in MySQL's manual. Such a transaction is to be done again.
        """
        return self.scene.ground.kind == "mariadb" and f"({DEADLOCK}, " in failure

    def check(self, size: int) -> dict[tuple[int, int], Batch]:
        """Every batch is there wholly or not at all, and the counts add up; which are there."""
        batches = self.batches()
        with self.stores.session(Broker, "objects") as session:
            objects = {row.oid: (row.writer, row.batch) for row in find(session, Object)}
            assert session.scalar(select(func.count()).select_from(Object)) == len(objects)
        new = {key: batch for batch in batches for key in new_keys(*batch, size)}
        assert {key: objects.get(key) for key in new} == new
        assert {key for key in objects if key[0] in "nN"} == set(new)
        assert set(objects.values()) <= set(batches)
        assert sum(batch.inserted for batch in batches.values()) == len(objects)
        assert {batch.inserted + batch.updated + batch.skipped for batch in batches.values()} == {size}
        return batches


@pytest.fixture(params=[*GROUNDS, *(f"{driver}-async" for driver in KINDS)])
def field(request: pytest.FixtureRequest, workers: Workers, tmp_path: Path) -> Iterator[Field]:
    """A field on every kind of server, by every driver."""
    kind, _, waiting = request.param.partition("-")
    ground: TestServer = (
        async_ground_of(request, kind) if waiting else request.getfixturevalue(f"{kind}_ground")
    )
    scene = Scene(ground, workers, tmp_path / "registry", "broker_objects", (Broker,))
    with scene.stores_of(Broker) as stores:
        all_ok(stores, Broker)
        yield Field(scene, stores, waiting=bool(waiting))


def ended_well(ended: list[Ended]) -> list[str]:
    """What failed in writers that came to their end."""
    assert [each.err for each in ended if each.status] == []
    return [failure for each in ended for failure in each.said["failures"]]


def test_d4_what_eight_processes_write_in_fifty_batches_each_adds_up(field: Field) -> None:
    begun = time.monotonic()
    failures = ended_well(field.wait(field.start(50, 400)))
    print(f"{time.monotonic() - begun:.1f} s, {len(failures)} batches written again")  # noqa: T201
    assert failures == []
    assert len(field.check(400)) == WRITERS * 50


@pytest.mark.parametrize("kill", ["half", "sent", "written"])
def test_of_a_writer_that_is_killed_each_batch_is_there_wholly_or_not_at_all(field: Field, kill: str) -> None:
    ended = field.wait(field.start(4, 200, kill={0: kill}))
    assert ended[0].killed
    assert [failure for failure in ended_well(ended[1:]) if not field.may_end(failure)] == []
    batches = field.check(200)
    assert [sum(writer == number for writer, _ in batches) for number in range(1, WRITERS)] == [4] * 7
    assert sum(writer == 0 for writer, _ in batches) == 2


def test_a_server_that_restarts_costs_writers_no_batch(field: Field) -> None:
    server = field.scene.ground.running
    if server is None:
        pytest.skip("it has no server that could restart")
    started = field.start(RESTARTED, 200)
    until(lambda: len(field.batches()) >= WRITERS, "some batches are there")
    server.stop()
    server.start()
    failures = ended_well(field.wait(started))
    assert failures
    assert len(field.check(200)) == WRITERS * RESTARTED
