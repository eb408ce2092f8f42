"""Tables are read from PostgreSQL by COPY, beside an engine or in a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import ARRAY

from penstock.backends.frames import RowFrames, Selected, quiet
from penstock.backends.postgresql.adbc import asked_of, read_beside
from penstock.backends.postgresql.asking import is_plain_list
from penstock.backends.postgresql.sessions import UTF8, codec_of
from penstock.backends.postgresql.within import read_within

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

    from penstock.backends.arrow import Plan


class PostgreSQLFrames(RowFrames):
    """Reads tables from PostgreSQL."""

    zones = True

    def beside(
        self, engine: Engine, selected: Selected, reserve: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[Any] | None:
        """By ADBC; None for a driver, for types, or for sessions that this can't serve."""
        plans = selected.plans(engine.dialect, zones=self.zones)
        lists = any(isinstance(plan.kind, ARRAY) for plan in plans)  # ADBC forgets of dimensions.
        if (
            lists
            or not _copied(engine, plans)
            or engine.dialect.is_async
            or engine.dialect.driver != "psycopg"
        ):
            return None
        asked = asked_of(engine, selected, plans)
        return None if asked is None else read_beside(engine, asked, selected, reserve)

    def within(self, source: Session | Connection, selected: Selected) -> AbstractContextManager[Any]:
        """By COPY, of what is read as a whole; by rows, where something wants to see these on their way."""
        connection = quiet(source, selected)
        if connection is None:
            return super().within(source, selected)
        if selected.whole and isinstance(connection.connection.driver_connection, psycopg.Connection):
            plans = selected.plans(connection.dialect, zones=self.zones)
            if _copied(connection, plans) and _decoded(connection, plans):
                return read_within(connection, selected, plans)
        return super().within(connection, selected)


def _copied(source: Engine | Connection, plans: Sequence[Plan]) -> bool:
    """Whether COPY sends all that SQLAlchemy makes of a row."""
    translated = source.get_execution_options().get("schema_translate_map")
    return not translated and not any(plan.computed for plan in plans)


def _decoded(connection: Connection, plans: Sequence[Plan]) -> bool:
    """Whether we know how to read what COPY sends."""
    lists = [plan.kind for plan in plans if isinstance(plan.kind, ARRAY)]
    raw: Any = connection.connection.driver_connection
    if lists and codec_of(raw) != UTF8:
        return False  # Of texts in arrays the server can't change the encoding.
    return all(plan.type is not None for plan in plans) and all(map(is_plain_list, lists))
