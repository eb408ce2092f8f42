"""Transactions begin with their first write; who only reads locks nothing."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.exc import OperationalError

from penstock.backends.callers import caller, calling_code
from penstock.backends.contract import PINNED, TRACED
from penstock.backends.sqlite import library
from penstock.backends.statements import first_word, only_reads
from penstock.errors import StoreBusy
from penstock.sqlalchemy_compat import locks_rows

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEVEL = "IMMEDIATE"
"""How Python begins before a statement that comes past SQLAlchemy; before those of SQLAlchemy, we do."""

_QUERY_ONLY = "penstock_query_only"
_AS_THEY_ARE = {"BEGIN", "COMMIT", "END", "ROLLBACK", "ATTACH", "DETACH"}
_STREAMS = ("stream_results", "yield_per")
_WRITER_BYTE = 120
"""Which byte of the shared memory file a writer locks (https://sqlite.org/walformat.html#locks)."""


def listen(engine: Engine | type[Engine]) -> None:
    """Attach to an engine, or a class of engines, when their transactions begin."""
    event.listen(engine, "begin", _begun)
    event.listen(engine, "before_cursor_execute", _before)
    event.listen(engine, "after_cursor_execute", _after)
    event.listen(engine, "commit", _ending)
    event.listen(engine, "rollback", _ending)


def take_lock(connection: Connection) -> None:
    """Begin as the only writer; what a transaction of the connection does from now on is serial.

    Raises:
        StoreBusy: Another writer did not end in time.
    """
    raw: Any = connection.connection.driver_connection
    if raw.in_transaction:
        return
    asked = time.monotonic()
    try:
        connection.exec_driver_sql(f"BEGIN {LEVEL}")
    except OperationalError as error:
        raise _named(connection, error, time.monotonic() - asked) from error
    traced = connection.get_execution_options().get(TRACED)
    where = calling_code() if traced else ""
    _writers[_file(connection)] = _Writer(
        raw, _label(connection), caller(), where, time.monotonic(), os.getpid()
    )


# --- when it begins and ends ----------------------------------------------------------------------


def _begun(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(PINNED):
        return
    level = options.get("isolation_level")
    if options.get("penstock_readonly"):
        connection.info[_QUERY_ONLY] = True
        _run(connection, "PRAGMA query_only=ON")
        if level != "AUTOCOMMIT":
            _run(connection, "BEGIN")
        return
    _allow_writing(connection)
    if level == "AUTOCOMMIT":
        return
    raw: Any = connection.connection.driver_connection
    if raw.isolation_level != LEVEL:  # SQLAlchemy has set it back after an AUTOCOMMIT.
        raw.isolation_level = LEVEL
    if level == "SERIALIZABLE":
        take_lock(connection)


def _before(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    options = connection.get_execution_options()
    if options.get(PINNED) or options.get("isolation_level") == "AUTOCOMMIT":
        return
    if only_reads(statement) and not _locks(context):
        return
    if first_word(statement) == "PRAGMA" and "query_only" in statement.lower():
        connection.info[_QUERY_ONLY] = True  # The next transaction on the connection wants none of it.
    if first_word(statement) not in _AS_THEY_ARE:
        take_lock(connection)


def _after(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    """Fetch what is read, unless it is asked for piece by piece.

    A statement that is half read keeps the snapshot that it reads; after somebody else has written, this
    connection could not begin to write.
    """
    if cursor.description is None or connection.dialect.is_async:
        return
    options = context.execution_options
    if any(options.get(name) for name in _STREAMS) or options.get(PINNED):
        return
    raw: Any = connection.connection.driver_connection
    if not raw.in_transaction and options.get("isolation_level") != "AUTOCOMMIT":
        context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(cursor)


def _ending(connection: Connection) -> None:
    if connection.invalidated:  # There is none any more.
        return
    _allow_writing(connection)
    writer = _writers.get(_file(connection))
    if writer is not None and writer.raw is connection.connection.driver_connection:
        del _writers[_file(connection)]


def _allow_writing(connection: Connection) -> None:
    if connection.info.get(_QUERY_ONLY):
        with suppress(*library.errors()):  # Else the next transaction tries again.
            _run(connection, "PRAGMA query_only=OFF")
            del connection.info[_QUERY_ONLY]


def _run(connection: Connection, statement: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    finally:
        cursor.close()


def _locks(context: Any) -> bool:
    """Whether a SELECT is FOR UPDATE, which SQLite does not have."""
    return locks_rows(getattr(context.compiled, "statement", None))


# --- who writes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Writer:
    """Who began to write to a file last, in this process."""

    raw: Any
    label: str
    caller: str
    where: str
    since: float
    process: int

    def is_at_work(self) -> bool:
        """Whether it has not ended; one that was collected as garbage has, and nobody was told."""
        closed: tuple[type[Exception], ...] = (ValueError, *library.errors())
        try:
            return self.process == os.getpid() and bool(self.raw.in_transaction)
        except closed:
            return False

    def __str__(self) -> str:
        began = f", which began at {self.where}," if self.where else ""
        age = f"{time.monotonic() - self.since:.1f} seconds"
        return f"A session of {self.label}{began} has been writing for {age} in this process ({self.caller})."


_writers: dict[str, _Writer] = {}


def _named(connection: Connection, error: OperationalError, waited: float) -> Exception:
    """The error with who is waited for; any other error as it is."""
    code, label = getattr(error.orig, "sqlite_errorcode", 0), _label(connection)
    if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return StoreBusy(
            f"{label} can't be written to while rows of it are being read on the same connection.",
            why="Others have written to it since the reading began.",
            hint='Read to the end first, or take the lock before: isolation_level="SERIALIZABLE".',
        )
    if code & 0xFF != sqlite3.SQLITE_BUSY:
        return error
    writer = _writers.get(_file(connection))
    hint = "End each session that writes: with STORE.begin() as session: …"
    if writer is None or not writer.is_at_work():
        why = _other_process(_file(connection))
    else:
        why = str(writer)
        hint += "" if writer.where else " With trace_sessions in [engine], this says where it began."
    return StoreBusy(
        f"{label} can't be written to: another writer has not ended within {waited:.1f} seconds.",
        why=why,
        hint=hint,
    )


def _other_process(path: str) -> str:
    """What the operating system knows of who writes.

    The file is not opened: to close it would end the locks that this process has on it.
    """
    with suppress(OSError, ValueError):
        inode = Path(f"{path}-shm").stat().st_ino
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()
            if len(words) == 8 and words[3] == "WRITE" and words[5].endswith(f":{inode}"):
                first, last = int(words[6]), int(words[7])
                if first <= _WRITER_BYTE <= last and int(words[4]) > 0:
                    return f"It is of process {words[4]}."
    return "It is no session of this process's."


def _file(connection: Connection) -> str:
    return connection.engine.url.database or ""


def _label(connection: Connection) -> str:
    return getattr(connection.engine.pool, "label", "") or _file(connection)
