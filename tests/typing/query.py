"""What type checkers make of the helpers on a session; read, never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

from sqlalchemy import Engine, MetaData, Table
from sqlalchemy.orm import DeclarativeBase, Session

from penstock.query import Written, bulk_insert, find, find_one, get_or_create, update


class Gage(DeclarativeBase):
    """A class that is mapped."""


def check(session: Session, engine: Engine) -> None:
    """A session gives objects, an engine rows."""
    assert_type(find(session, Gage), Sequence[Gage])
    assert_type(find_one(session, Gage), Gage | None)
    assert_type(get_or_create(session, Gage, {}), tuple[Gage, bool])
    assert_type(update(Gage(), {}), Gage)
    assert_type(find(engine, Gage), Sequence[Any])
    assert_type(find(session, Table("t", MetaData())), Sequence[Any])
    assert_type(bulk_insert(session, Gage, []), Written)
