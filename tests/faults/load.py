"""Threads that use a store, one request after the other, until told to stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from sqlalchemy import text

from faults.scenes import until
from fix_apps import Gage
from penstock import App, Stores

_numbers = count()
_WHERE = {
    "sqlite": "SELECT file FROM pragma_database_list WHERE name = 'main'",
    "mariadb": "SELECT CONCAT(@@port, '/', DATABASE())",
    "postgresql": "SELECT current_setting('port') || '/' || current_database()",
}


@dataclass
class Load:
    """Requests to the store `gages`: each writes a row, and notes where.

    Args:
        stores: The `Stores` object.
        app: The app.
        threads: How many at a time.
    """

    stores: Stores
    app: type[App]
    threads: int = 8
    failed: list[BaseException] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._running = [threading.Thread(target=self._run, daemon=True) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join(60)
            assert not thread.is_alive(), "a request hangs"

    def until_at(self, where: str, timeout: float = 30.0) -> None:
        """Wait until every one of the last requests went there."""
        until(lambda: len(self._since(where)) >= 3 * self.threads, f"requests go to {where}", timeout)

    def until_failed(self, kind: type[BaseException], timeout: float = 30.0) -> None:
        """Wait until a request failed like this."""
        until(lambda: any(isinstance(error, kind) for error in self.failed), kind.__name__, timeout)

    def _since(self, where: str) -> list[str]:
        last = self.written[-3 * self.threads :]
        return [each for each in last if each.endswith(where)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.written.append(self._request())
            except Exception as error:
                self.failed.append(error)

    def _request(self) -> str:
        with self.stores.begin(self.app, "gages") as session:
            session.add(Gage(number=f"load {next(_numbers)}", altitude=1))
            session.flush()
            where: str = session.execute(text(_WHERE[session.connection().dialect.name])).scalar_one()
        return where
