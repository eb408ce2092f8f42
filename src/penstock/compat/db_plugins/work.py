"""What a session has done in its transaction, and who may use it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, SingletonThreadPool, StaticPool, Table, TextClause, event, inspect
from sqlalchemy.orm import Session

from penstock.backends import PINNED, backend_for
from penstock.backends.statements import only_reads
from penstock.errors import NotSupported
from penstock.sqlalchemy_compat import locks_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.orm import Mapper, ORMExecuteState, SessionTransaction
    from sqlalchemy.sql import FromClause

_WORK, _GUARD = "penstock_work", "penstock_guard"


class Work:
    """The tables that a session has written to in its transaction, by its events.

    Args:
        session: The session; what it did in a transaction that has begun already is not known.
    """

    def __init__(self, session: Session) -> None:
        self.tables: set[FromClause] = set()
        self.unknown = session.in_transaction()
        self._autocommits: dict[Engine, Engine] = {}
        self._watched: Connection | None = None
        self._is_ours = False
        event.listen(session, "after_flush", self._flushed)
        event.listen(session, "do_orm_execute", self._executes)
        event.listen(session, "after_transaction_end", self._ended)

    def __bool__(self) -> bool:
        return self.unknown or bool(self.tables)

    def autocommit(self, engine: Engine) -> Engine:
        """The engine, but each statement is a transaction by itself, without words for begin and end."""
        found = self._autocommits.get(engine)
        if found is None:
            found = self._autocommits[engine] = engine.execution_options(isolation_level="AUTOCOMMIT")
        return found

    @contextmanager
    def ours(self, *tables: FromClause) -> Iterator[None]:
        """A block in which we write to these tables in the session's transaction."""
        self._is_ours = True
        try:
            yield
        finally:
            self._is_ours = False
            self.tables.update(tables)

    def watch(self, connection: Connection) -> None:
        """Notice what is written by the connection itself, past the session."""
        if connection is not self._watched and not self._is_ours:
            self._watched = connection
            event.listen(connection, "before_cursor_execute", self._sent)

    def _sent(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        self.unknown |= not only_reads(statement)

    def _flushed(self, session: Session, _context: object) -> None:
        self.tables |= tables_of(chain(session.new, session.dirty, session.deleted))

    def _executes(self, state: ORMExecuteState) -> None:
        statement: Any = state.statement
        if isinstance(statement, TextClause):
            self.unknown |= not only_reads(statement.text)
        else:  # A SELECT that locks rows keeps others from them, as a write does.
            self.unknown |= not state.is_select or locks_rows(statement)

    def _ended(self, _session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            self.tables, self.unknown, self._watched = set(), False, None


class WatchedSession(Session):
    """A session that records all that it writes, also what bypasses its unit of work."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._work = work_of(self)

    def connection(self, *args: Any, **options: Any) -> Connection:
        """Its connection; what is written by it is noticed."""
        found = super().connection(*args, **options)
        self._work.watch(found)
        return found

    def bulk_save_objects(self, *args: Any, **options: Any) -> None:
        """Store objects, as SQLAlchemy does."""
        self._work.unknown = True
        super().bulk_save_objects(*args, **options)

    def bulk_insert_mappings(self, *args: Any, **options: Any) -> None:
        """Store mappings, as SQLAlchemy does."""
        self._work.unknown = True
        super().bulk_insert_mappings(*args, **options)

    def bulk_update_mappings(self, *args: Any, **options: Any) -> None:
        """Change rows by mappings, as SQLAlchemy does."""
        self._work.unknown = True
        super().bulk_update_mappings(*args, **options)


def work_of(session: Session) -> Work:
    """What a session has done in its transaction; from now on, if nobody asked before."""
    found = session.info.get(_WORK)
    if found is None:
        found = session.info[_WORK] = Work(session)
    return found


def tables_of(objects: Iterable[object]) -> set[FromClause]:
    """The tables that objects are stored in."""
    mappers: set[Mapper[Any]] = {inspect(kind) for kind in set(map(type, objects))}
    return {table for mapper in mappers for table in mapper.tables}


def engine_apart(session: Session, model: Any, names: Iterable[str] | None = None) -> Engine | None:
    """Where rows of a model can be written in a transaction of their own, beside the session's.

    None where that can't be: the session has written what those rows may have to wait for, so that it would
    wait for itself; or both would be one transaction, since they have one connection.

    Args:
        session: The session.
        model: A mapped class or a table.
        names: By which attributes a row is looked for; None if many are written, also over those that are
            there.
    """
    of: dict[str, Any] = {"clause" if isinstance(model, Table) else "mapper": model}
    bind = session.get_bind(**of)
    if not isinstance(bind, Engine):
        return None
    shared = isinstance(bind.pool, StaticPool | SingletonThreadPool)
    if shared or bind.get_execution_options().get(PINNED):
        return None if session.in_transaction() else bind
    work = work_of(session)
    if work.unknown or (work.tables and backend_for(bind.url).capabilities.databases_are_files):
        return None
    near = _near(model) if names is not None else _near(model) | _referring(model)
    waited_for = work.tables | tables_of(chain(session.new, session.deleted))
    return None if near & waited_for or _changes(session, near, set(names or ())) else bind


def own_tables(model: Any) -> set[Any]:
    """The tables of a model; or it is one."""
    return {model} if isinstance(model, Table) else set(inspect(model).tables)


@lru_cache(maxsize=1024)
def _near(model: Any) -> frozenset[FromClause]:
    """The tables of a model, and those that its rows refer to."""
    own = own_tables(model)
    return frozenset(own | {key.column.table for table in own for key in table.foreign_keys})


@lru_cache(maxsize=1024)
def _referring(model: Any) -> frozenset[FromClause]:
    """The tables whose rows refer to those of a model, and may keep these as they are."""
    own = own_tables(model)
    every = {other for table in own for other in table.metadata.tables.values()}
    return frozenset(t for t in every if any(key.column.table in own for key in t.foreign_keys))


def _changes(session: Session, near: frozenset[FromClause], names: set[str]) -> bool:
    """Whether the session is about to give rows other keys, or other values by which they are looked for."""
    for changed in session.dirty:
        state = inspect(changed)
        if near.intersection(state.mapper.tables):
            key = (state.mapper.get_property_by_column(column).key for column in state.mapper.primary_key)
            if not names.union(key).isdisjoint(state.committed_state):
                return True
    return False


# --- threads --------------------------------------------------------------------------------------


class ThreadGuard:
    """Lets one thread use a session, until that thread has ended."""

    def __init__(self) -> None:
        self._owner: Thread | None = None
        self._lock = Lock()

    def check(self) -> None:
        """Raise NotSupported if another thread uses the session."""
        here = current_thread()
        if self._owner is here:
            return
        with self._lock:
            owner = self._owner
            if owner is None or not owner.is_alive():
                self._owner = here
                return
        raise NotSupported(
            f"Thread {owner.name} uses this session, and thread {here.name} asks for it.",
            why="A session is for one thread at a time.",
            hint="create_session(use_scoped=True) gives each thread a session of its own.",
        )


def guard_thread(session: Session) -> ThreadGuard:
    """Have a session used by one thread only."""
    found = session.info[_GUARD] = ThreadGuard()
    return found


def check_thread(session: Session) -> None:
    """Raise NotSupported if a session that is guarded is used by another thread."""
    found = session.info.get(_GUARD)
    if found is not None:
        found.check()
