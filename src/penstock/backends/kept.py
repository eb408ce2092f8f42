"""Connections of Penstock's own, kept while one piece of work on a store lasts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool

from penstock.backends.address import Login

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

_MOST = 2
"""Connections that are open at a time: one to the store, and one for server-wide work."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What two sessions have to agree in to stand for each other.

    Args:
        login: Who is logged in.
        database: Where; empty for no database.
        purpose: What it says of itself.
    """

    login: Login
    database: str
    purpose: str


@dataclass(frozen=True, slots=True)
class SessionCare:
    """How a backend treats a driver connection that is kept.

    Args:
        connect: Makes one.
        renew: Lets one that was used before be as a new one is; it is in no transaction.
        is_idle: Whether it is open and in no transaction.
        close: Closes it, and waits until its session has ended.
    """

    connect: Callable[[], Any]
    renew: Callable[[Any], object]
    is_idle: Callable[[Any], bool]
    close: Callable[[Any], object]


@dataclass(slots=True)
class _Session:
    key: SessionKey
    raw: Any
    care: SessionCare
    busy: bool = True
    pinned: bool = False


class _Keeper:
    """The connections of one piece of work."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock = Lock()
        self._open = True
        self._sessions: list[_Session] = []

    def take(self, key: SessionKey, *, anywhere: bool) -> _Session | None:
        """A session that nobody uses; a pinned one as it is, so that whoever uses it learns that it ended."""
        while (session := self._claim(key, anywhere=anywhere)) is not None:
            if session.pinned or session.care.is_idle(session.raw):
                return session
            self._remove(session)
            session.care.close(session.raw)
        return None

    def add(self, session: _Session) -> None:
        """Remember one that was just made."""
        with self._lock:
            self._sessions.append(session)

    def give_back(self, raw: Any) -> bool:
        """Keep one after its use; False if it is to be closed."""
        session = self.find(raw)
        if session is None:
            return False
        if not (self._open and session.care.is_idle(raw)):
            self._remove(session)
            return False
        session.busy = False
        return True

    def find(self, raw: Any) -> _Session | None:
        """The session of a connection, if it is one of these."""
        with self._lock:
            return next((session for session in self._sessions if session.raw is raw), None)

    def forget(self, raw: Any) -> None:
        """Let go of one that somebody else closes."""
        session = self.find(raw)
        if session is not None:
            self._remove(session)

    def close_idle(self, database: str | None = None, *, but: int = 0) -> None:
        """Close those that nobody uses: all, those in a database, or those that are too many."""
        with self._lock:
            idle = [
                session
                for session in self._sessions
                if not (session.busy or session.pinned) and database in (None, session.key.database)
            ]
            gone = idle[: max(0, len(self._sessions) - but)]
            self._sessions = [session for session in self._sessions if session not in gone]
        for session in gone:
            session.care.close(session.raw)

    def end(self) -> None:
        """Keep nothing any more; what is still used is closed by who uses it."""
        self._open = False
        self.close_idle()

    def _claim(self, key: SessionKey, *, anywhere: bool) -> _Session | None:
        with self._lock:
            for session in self._sessions:
                fits = session.key == key or (anywhere and session.key.login == key.login)
                if fits and not session.busy:
                    session.busy = True
                    return session
        return None

    def _remove(self, session: _Session) -> None:
        with self._lock:
            self._sessions = [other for other in self._sessions if other is not session]


_keeper: ContextVar[_Keeper | None] = ContextVar("penstock_keeper", default=None)
_parents: list[_Keeper] = []


@contextmanager
def keeping() -> Iterator[None]:
    """Keep Penstock's own connections from one use to the next, until the block ends.

    At most two are open at a time, as work on a store has reserved.
    """
    keeper = _Keeper()
    token = _keeper.set(keeper)
    try:
        yield
    finally:
        _keeper.reset(token)
        if keeper.process == os.getpid():
            keeper.end()
        else:
            _parents.append(keeper)  # Collected, they would end the parent's sessions.


class UnpooledUntilEnded(NullPool):
    """No pool: a connection is kept after its use, or closed, and then the server no longer counts it.

    Args:
        creator: Makes a driver connection.
        closing: Gives a block in which one is closed; it ends when the server no longer counts it.
        options: What every pool takes.
    """

    def __init__(
        self,
        creator: Callable[[], Any],
        closing: Callable[[Any], AbstractContextManager[None]],
        **options: Any,
    ) -> None:
        super().__init__(creator, **options)
        self._closing = closing

    def recreate(self) -> UnpooledUntilEnded:
        """This pool itself: it has no connections."""
        return self

    def _close_connection(self, connection: Any, *, terminate: bool = False) -> None:
        if give_back(connection, terminate=terminate):
            return
        with self._closing(connection):
            super()._close_connection(connection, terminate=terminate)


def obtain(key: SessionKey | None, care: SessionCare, *, anywhere: bool = False) -> Any:
    """A driver connection: one that is kept, or a new one.

    Args:
        key: What it has to be; None if it is not to be kept, so that others are closed before.
        care: How it is made.
        anywhere: Whether it may be in any database of the server's.
    """
    keeper = _current()
    if keeper is None:
        return care.connect()
    if key is None:
        keeper.close_idle()
        return care.connect()
    session = keeper.take(key, anywhere=anywhere)
    if session is not None:
        try:
            session.care.renew(session.raw)
        except BaseException:
            keeper.forget(session.raw)
            session.care.close(session.raw)
            raise
        return session.raw
    keeper.close_idle(but=_MOST - 1)
    raw = care.connect()
    keeper.add(_Session(key, raw, care))
    return raw


def give_back(raw: Any, *, terminate: bool = False) -> bool:
    """Keep a driver connection after its use.

    Args:
        raw: The connection, in no transaction.
        terminate: Whether it failed, so that it has to be closed.

    Returns:
        Whether it is kept: else whoever had it closes it.
    """
    keeper = _current()
    if keeper is None:
        return False
    if terminate:
        keeper.forget(raw)
        return False
    return keeper.give_back(raw)


@contextmanager
def shared(raw: Any) -> Iterator[None]:
    """Let others use a connection within the block, though it is held: it has a lock.

    Whoever holds it does nothing with it in the block, and closes it afterwards, which ends the lock.
    """
    keeper = _current()
    session = None if keeper is None else keeper.find(raw)
    if keeper is None or session is None:
        yield
        return
    session.pinned, session.busy = True, False
    try:
        yield
    finally:
        keeper.forget(raw)


def close_kept(database: str | None = None) -> None:
    """Close what is kept and not in use: before a database goes, or before others are opened.

    Args:
        database: Only those in this one; by default all.
    """
    keeper = _current()
    if keeper is not None:
        keeper.close_idle(database)


def _current() -> _Keeper | None:
    """The keeper in whose block the caller runs, unless it is the parent's of this child of fork."""
    keeper = _keeper.get()
    return keeper if keeper is not None and keeper.process == os.getpid() else None
