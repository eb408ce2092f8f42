"""MariaDB and MySQL for event loops: over asyncmy."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from penstock.backends.lines import end_in_loop, is_quiet_in_loop
from penstock.backends.mysql.sessions import ASYNCMY, MARIADB
from penstock.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.backends.address import DatabaseAddress


class AsyncmyDriver:
    """asyncmy.

    Args:
        kind: What the address calls the server: `mariadb` or `mysql`.
        connect: Connects as the backend does for threads.
    """

    def __init__(self, kind: str, connect: Callable[..., Any]) -> None:
        self.name = f"{kind}+{ASYNCMY}"
        self.dialect_options: dict[str, Any] = {}
        self.connect = connect

    def is_alive(self, raw: Any, address: DatabaseAddress, file_identity: object) -> bool:
        return bool(raw.connected) and is_quiet_in_loop(raw)

    def leave(self, connection: Any) -> None:
        """Nothing: the server ends the transaction with the session."""

    def end(self, raw: Any) -> None:
        end_in_loop(raw, raw.close)


def asyncmy_driver(kind: str, connect: Callable[..., Any]) -> AsyncmyDriver:
    """The driver for event loops; raises MissingExtra without asyncmy."""
    if find_spec("asyncmy") is None:
        raise MissingExtra(
            "MariaDB in an event loop needs the package asyncmy, which is not installed.",
            hint='pip install "penstock[asyncmy]"',
        )
    return AsyncmyDriver(kind or MARIADB, connect)
