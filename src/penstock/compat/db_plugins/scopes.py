"""`Model.query`: a query of the connection whose sessions are scoped."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from penstock.compat.db_plugins.query import SQLQuery
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy.orm import scoped_session


_bases: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
"""The base class of each connection whose sessions are scoped."""

_changing = Lock()


class ModelQuery:
    """The attribute `query` of a base class."""

    def __init__(self, base: Any) -> None:
        self._base = base

    def __get__(self, _instance: object, model: Any) -> SQLQuery:
        found = [connection for connection, base in list(_bases.items()) if base is self._base]
        if len(found) != 1:
            raise NotSupported(
                f"{model.__name__}.query is of {len(found)} connections.",
                why="Each of them has scoped sessions, and the same base class.",
                hint=f"Say which: connection.query({model.__name__}).",
            )
        sessions: scoped_session[Any] = found[0].session
        return SQLQuery([model], sessions())


def enter(connection: Any, base: Any) -> None:
    """Let the models of a base class be asked by `Model.query`.

    Args:
        connection: Its session is scoped.
        base: The base class.
    """
    with _changing:
        _bases[connection] = base
        if "query" not in vars(base):  # One that a program has put there itself stays.
            base.query = ModelQuery(base)


def leave(connection: Any) -> None:
    """Let them be asked no more, if the connection was the last of those that let them."""
    with _changing:
        base = _bases.pop(connection, None)
        if base is None or any(each is base for each in _bases.values()):
            return
        if isinstance(vars(base).get("query"), ModelQuery):
            del base.query
