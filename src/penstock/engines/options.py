"""How a store's engine makes, keeps and checks its connections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How connections are made and shared (`[engine]` in `penstock.toml`).

    Args:
        max_connections: The most connections of this process to one server, over all its stores;
            None for the backend's own figure: 20 for a server, 200 for SQLite. A service's own
            `max_connections` wins.
        pool_timeout: Seconds to wait for a connection; default 30.
        pool_recycle: Seconds after which an idle connection is replaced; default 1800.
        connect_timeout: Seconds to wait for a server to let us in; default 10. An address's own wins.
        statement_timeout: Seconds after which the server ends a statement; None for the server's own.
        refresh_interval: Seconds for which an address may be out of date; default 5.
        share_statements: Whether the stores of a server share a dialect and its compiled
            statements; default True. Without it, an engine takes about ten times the memory.
        trace_sessions: Whether it is remembered where in the code a session began to write, to name it when
            others wait for it in vain (SQLite); default False.
        echo: Whether statements are logged; default False.
        hide_parameters: Whether errors and logs of SQLAlchemy leave the values in statements out, and
            tracebacks of Penstock's errors what a server says of them; default False.
    """

    max_connections: int | None = None
    pool_timeout: float = 30.0
    pool_recycle: int = 1800
    connect_timeout: float = 10.0
    statement_timeout: float | None = None
    refresh_interval: float = 5.0
    share_statements: bool = True
    trace_sessions: bool = False
    echo: bool = False
    hide_parameters: bool = False
