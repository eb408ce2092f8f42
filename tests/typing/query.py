"""What type checkers make of the helpers on a session; read, never run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_type

import pandas as pd
import polars as pl
from sqlalchemy import Engine, MetaData, Table, select
from sqlalchemy.orm import DeclarativeBase, Session

from penstock.query import (
    Written,
    bulk_insert,
    find,
    find_one,
    get_or_create,
    to_pandas,
    to_polars,
    update,
    upsert,
)


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
    assert_type(to_pandas(engine, select(Gage)), pd.DataFrame)
    assert_type(to_polars(session, select(Gage)), pl.DataFrame)
    assert_type(bulk_insert(session, Gage, pd.DataFrame()), Written)
    assert_type(upsert(session, Gage, pl.DataFrame()), Written)
