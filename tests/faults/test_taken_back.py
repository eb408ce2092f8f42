"""Writers that wait for rows which are taken back make them themselves."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from faults.bulk import VERBS, Broker, Object, write_rows
from fix_apps import engine_of
from penstock.query import find, get_or_create, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from fix_servers import TestServer

WRITERS = 3
ROWS: list[dict[str, Any]] = [{"oid": f"o{number:03}", "writer": 0, "batch": 0} for number in range(200)]


def waited(engine: Engine, write: Callable[[], Any]) -> list[Any]:
    """What writers give that wait for rows another transaction has made, which is then rolled back."""
    with ThreadPoolExecutor(WRITERS) as writers:
        with engine.connect() as connection:
            upsert(connection, Object, ROWS)
            started = [writers.submit(write) for _ in range(WRITERS)]
            time.sleep(0.5)
            assert not any(each.done() for each in started)
            connection.rollback()
        return [each.result() for each in started]


@pytest.mark.parametrize("verb", VERBS)
def test_rows_that_are_taken_back_are_made_by_those_that_waited(ground: TestServer, verb: str) -> None:
    with engine_of(ground, Broker, "objects") as engine:
        done = waited(engine, lambda: write_rows(engine, verb, ROWS))
        assert sorted(each.inserted for each in done) == [0, 0, len(ROWS)]
        assert sum(each.inserted + each.updated + each.skipped for each in done) == WRITERS * len(ROWS)
        assert sorted(row.oid for row in find(engine, Object)) == [row["oid"] for row in ROWS]


def test_one_row_that_is_taken_back_is_made_by_one_of_those_that_waited(ground: TestServer) -> None:
    values = {"writer": 1, "batch": 1}
    with engine_of(ground, Broker, "objects") as engine:
        done = waited(engine, lambda: get_or_create(engine, Object, {"oid": "o000"}, values))
        assert sorted(created for _, created in done) == [False, False, True]
        assert [tuple(row) for row in find(engine, Object.__table__)] == [("o000", 1, 1)]
