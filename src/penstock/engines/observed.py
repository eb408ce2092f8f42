"""Lets listeners of a store's dialect hear how its connections are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.sqlalchemy_compat import has_listeners

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect
    from sqlalchemy.pool import ConnectionPoolEntry


def observed(dialect: Dialect, entry: ConnectionPoolEntry) -> Any:
    """The dialect as a backend shall use it to make one connection: `do_connect` is heard first.

    Args:
        dialect: That of the store's engine.
        entry: Where the connection will be kept.

    Returns:
        The dialect itself where nobody listens.
    """
    return _Observed(dialect, entry) if has_listeners(dialect) else dialect


class _Observed:
    """A dialect that tells its listeners before it connects, as the engines of `create_engine` do."""

    def __init__(self, dialect: Any, entry: ConnectionPoolEntry) -> None:
        self._dialect = dialect
        self._entry = entry

    def connect(self, *args: Any, **params: Any) -> Any:
        """A driver connection: that of a listener which makes one, else the dialect's own.

        What listeners change of the arguments counts (https://docs.sqlalchemy.org/en/20/core/events.html,
        `DialectEvents.do_connect`).
        """
        changed = list(args)
        for listener in self._dialect.dispatch.do_connect:
            made = listener(self._dialect, self._entry, changed, params)
            if made is not None:
                return made
        return self._dialect.connect(*changed, **params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)
