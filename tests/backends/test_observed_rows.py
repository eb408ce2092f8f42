"""Rows that come and go in bulk are statements as any other for who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from sqlalchemy import Column, Double, Integer, MetaData, String, Table, event, select
from sqlalchemy.exc import DBAPIError

from penstock.errors import RowRefused
from penstock.query import bulk_insert, to_arrow, upsert

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

    from fix_doors import Door, Doors

tables = MetaData()
gage = Table(
    "gage",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(20), nullable=False),
    Column("altitude", Double),
)
ROWS = [{"id": number, "name": f"marker{number}", "altitude": number / 7} for number in range(1_000)]
WRITES = ("COPY", "LOAD", "INSERT")


class Heard:
    """What a listener of an engine heard."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.failed: list[str] = []

    def listen(self, session: Session) -> None:
        """Hear what the session's engine does from now on."""
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", lambda c, u, said, *_: self.begun.append(said))
        event.listen(engine, "after_cursor_execute", lambda c, u, said, *_: self.ended.append(said))
        event.listen(engine, "handle_error", lambda context: self.failed.append(str(context.statement)))

    def clear(self) -> None:
        """Forget it."""
        for each in (self.begun, self.ended, self.failed):
            each.clear()


@pytest.fixture
def door(door_to: Doors) -> Door:
    return door_to(tables)


@pytest.fixture
def heard(door: Door) -> Iterator[Heard]:
    made = Heard()
    door.do(made.listen)
    yield made
    made.clear()


@pytest.mark.parametrize("verb", [bulk_insert, upsert], ids=["bulk_insert", "upsert"])
def test_a_listener_hears_how_rows_are_written_and_no_row(door: Door, heard: Heard, verb: Any) -> None:
    door.do(lambda session: verb(session, gage, ROWS))
    writing = [said for said in heard.ended if said.lstrip().startswith(WRITES)]
    assert any("gage" in said or "penstock" in said for said in writing)
    assert heard.ended == heard.begun
    assert not any("marker7" in said for said in heard.begun)
    assert door.do(lambda session: len(session.execute(select(gage)).all())) == len(ROWS)


def test_a_listener_hears_how_columns_are_written(door: Door, heard: Heard) -> None:
    door.do(lambda session: bulk_insert(session, gage, pa.Table.from_pylist(ROWS)))
    assert any(said.lstrip().startswith(WRITES) and "gage" in said for said in heard.ended)


def test_a_listener_hears_how_a_table_is_read(door: Door, heard: Heard) -> None:
    door.do(lambda session: bulk_insert(session, gage, ROWS))
    heard.clear()
    table = door.do(lambda session: to_arrow(session, select(gage)))
    assert table.num_rows == len(ROWS)
    assert any("SELECT" in said and "gage" in said for said in heard.ended)
    if door.ground.kind == "postgresql" and not door.dialect.is_async:
        assert any(said.startswith("COPY (SELECT") for said in heard.ended)


def test_a_listener_hears_what_is_read_beside_an_engine(door: Door, heard: Heard) -> None:
    if door.dialect.is_async:
        pytest.skip("engines of event loops have no such way")
    door.do(lambda session: bulk_insert(session, gage, ROWS))
    engine = door.do(lambda session: session.get_bind())
    heard.clear()
    assert to_arrow(engine, select(gage)).num_rows == len(ROWS)
    assert any("SELECT" in said and "gage" in said for said in heard.ended)


def test_a_listener_hears_of_a_row_that_the_server_refuses(door: Door, heard: Heard) -> None:
    door.do(lambda session: bulk_insert(session, gage, ROWS))
    with pytest.raises((RowRefused, DBAPIError)):
        door.do(lambda session: bulk_insert(session, gage, ROWS))
    assert any(said.lstrip().startswith(WRITES) for said in heard.failed)
    assert not any("marker7" in said for said in heard.failed)


def test_what_a_listener_makes_of_a_copy_is_what_is_sent(door: Door) -> None:
    def comment(connection: Any, cursor: Any, said: str, parameters: Any, *_: Any) -> Any:
        return f"{said} /* traced */" if said.startswith("COPY") else said, parameters

    door.do(lambda session: event.listen(session.get_bind(), "before_cursor_execute", comment, retval=True))
    door.do(lambda session: bulk_insert(session, gage, ROWS))
    assert door.do(lambda session: len(session.execute(select(gage)).all())) == len(ROWS)
