"""What a run took: alerts a second, CPU of client and server, deadlocks, rows."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from alert_broker.app import AlertBroker
from alert_broker.ingest import TABLES

if TYPE_CHECKING:
    from alert_broker.run import Done

ZTF_PEAK = 1333
"""Alerts a second that ZTF sends at most: 80,000 a minute."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ServerState:
    """What the server has counted up to now; None where it can't be known.

    Args:
        deadlocks: In the store's database.
        cpu: Seconds of CPU of all its processes, if they are on this machine.
    """

    deadlocks: int | None = None
    cpu: float | None = None

    @classmethod
    def now(cls) -> ServerState:
        """Ask the server, if it is PostgreSQL."""
        engine = AlertBroker.alerts.engine
        if engine.dialect.name != "postgresql":
            return cls()
        deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        with engine.connect() as connection:
            backend = connection.scalar(text("SELECT pg_backend_pid()"))
            return cls(connection.scalar(deadlocks), _cpu_of_server(backend))


@dataclass(slots=True)
class Tally:
    """What was done up to now, and what it took."""

    new: int = 0
    known: int = 0
    bad: list[str] = field(default_factory=list)
    _cpu: dict[int, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _server: ServerState = field(default_factory=ServerState.now)

    def add(self, done: Done) -> None:
        """Count a batch."""
        self.new += done.new
        self.known += done.known
        self.bad += done.bad
        self._cpu[done.process] = max(done.cpu, self._cpu.get(done.process, 0.0))

    def report(self) -> Report:
        """What it is now."""
        seconds = time.monotonic() - self._began
        cpu = {**self._cpu, os.getpid(): time.process_time()}
        before, after = self._server, ServerState.now()
        return Report(
            new=self.new,
            known=self.known,
            bad=len(self.bad),
            seconds=round(seconds, 2),
            rate=round((self.new + self.known) / seconds, 1),
            client_cpu=round(sum(cpu.values()), 2),
            server_cpu=_since(before.cpu, after.cpu),
            deadlocks=_since(before.deadlocks, after.deadlocks),
            rows=count_rows(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a run has done, and what it took.

    Args:
        new: Alerts that were stored.
        known: Alerts that were there already.
        bad: Packets that were left out.
        seconds: From the first to the last batch.
        rate: Alerts a second.
        client_cpu: Seconds of CPU of all processes that read and sent.
        server_cpu: Of the server's; None if it is not known.
        deadlocks: Since the run began; None if it is not known.
        rows: How many rows each table has now.
    """

    new: int
    known: int
    bad: int
    seconds: float
    rate: float
    client_cpu: float
    server_cpu: float | None
    deadlocks: float | None
    rows: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same to be read."""
        server = "not known" if self.server_cpu is None else f"{self.server_cpu:.1f} s"
        shown = {
            "stored": f"{self.new:,} new alerts",
            "there already": f"{self.known:,}",
            "left out": f"{self.bad:,} bad packets",
            "time": f"{self.seconds:.1f} s",
            "rate": f"{self.rate:,.0f} alerts/s; ZTF's peak is {ZTF_PEAK:,}",
            "CPU": f"client {self.client_cpu:.1f} s, server {server}",
            "deadlocks": "not known" if self.deadlocks is None else f"{self.deadlocks:.0f}",
        }
        rows = [f"  {name:14}{count:>12,} rows" for name, count in self.rows.items()]
        return [*(f"  {name:14}{value:>12}" for name, value in shown.items()), *rows]


def count_rows() -> dict[str, int]:
    """How many rows each table has."""
    with AlertBroker.alerts.session() as session:
        return {
            model.__tablename__: session.scalar(select(func.count()).select_from(model)) or 0
            for model in TABLES
        }


def _since(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(after - before, 2)


# --- the server's processes -----------------------------------------------------------------------


def _cpu_of_server(backend: int | None) -> float | None:
    """Seconds of CPU of a server on this machine: its first process, and all that it ever started."""
    try:
        if backend is None or not _stat(backend)[0].startswith("postgres"):
            return None
        first = int(_stat(backend)[2])
        running = [int(path.name) for path in _PROC.glob("[0-9]*")]
        own = _stat(first)
        # Of its children, those that have ended are counted with it.
        return _seconds(own, children=True) + sum(_seconds(_stat(p)) for p in running if _is_child(p, first))
    except (OSError, IndexError):
        return None


def _stat(process: int) -> list[str]:
    """Its name, its state, its parent, and so on: see proc(5)."""
    before, _, after = (_PROC / str(process) / "stat").read_text().rpartition(")")
    return [before.partition("(")[2], *after.split()]


def _is_child(process: int, parent: int) -> bool:
    try:
        return int(_stat(process)[2]) == parent
    except OSError:
        return False  # It has just ended.


def _seconds(stat: list[str], *, children: bool = False) -> float:
    return sum(map(int, stat[12:16] if children else stat[12:14])) / _TICKS
