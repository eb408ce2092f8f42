"""A database in memory that every thread of the process sees."""

from __future__ import annotations

import sqlite3
import weakref
from uuid import uuid4

from sqlalchemy import URL, Engine, create_engine, event

from penstock.backends import backend_for


def memory_engine(*, echo: bool = False) -> Engine:
    """The engine of a new database, which is gone when the engine is.

    Each session has a connection of its own, so one does not see what another has not committed.

    Args:
        echo: Whether statements are logged.

    >>> engine = memory_engine()
    >>> engine.dispose()
    """
    # Of what SQLite keeps in memory, this is what several connections share as they share a file.
    name = f"file:/penstock-{uuid4().hex}"
    url = URL.create("sqlite+pysqlite", database=name, query={"vfs": "memdb", "uri": "true"})
    backend = backend_for(url)
    engine = create_engine(url, echo=echo)
    event.listen(engine, "connect", lambda raw, _: backend.set_up(raw))
    backend.listen(engine)
    kept = sqlite3.connect(f"{name}?vfs=memdb", uri=True, check_same_thread=False)
    weakref.finalize(engine, kept.close)  # It ends with its last connection.
    return engine
