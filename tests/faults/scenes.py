"""Processes of a test, what they work on, and what they leave there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from faults import jobs
from fix_servers import TestServer
from penstock import App, Stores
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

_TESTS = Path(__file__).parents[1]
_PATIENCE = 90.0


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status (negative for a signal), its result, what it printed."""

    status: int
    said: Any
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self.status == -9


class Workers:
    """Starts a process for every job (see `worker.py`)."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o711)
        self._program = subprocess.Popen(
            [sys.executable, "-m", "faults.worker", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_TESTS,
        )

    def start(self, job: str, **options: Any) -> int:
        """Start a job; its process's id."""
        started: int = self._ask({"start": {"job": job, **options}})["pid"]
        return started

    def wait(self, pid: int, timeout: float = _PATIENCE) -> Ended:
        """Wait until a process ends; it is killed after `timeout` seconds."""
        return Ended(**self._ask({"wait": pid, "timeout": timeout}))

    def run(self, job: str, **options: Any) -> Ended:
        """Do a job in a process of its own."""
        return self.wait(self.start(job, **options))

    def run_all(self, orders: list[dict[str, Any]]) -> list[Ended]:
        """Do jobs at the same time, each in a process of its own."""
        return [self.wait(pid) for pid in [self.start(**order) for order in orders]]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.close()
        self._program.wait(10)
        self._program.stdout.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        answer: dict[str, Any] = json.loads(self._program.stdout.readline())
        return answer


@dataclass
class Scene:
    """A registry file and a kind of server that processes share."""

    ground: TestServer
    workers: Workers
    folder: Path
    database: str = "lab_gages"
    apps: tuple[type[App], ...] = field(default_factory=lambda: (jobs.lab(), jobs.Fleet))

    def __post_init__(self) -> None:
        self.make_registry()

    @property
    def registry(self) -> str:
        """The registry's file."""
        return str(self.folder / "registry.sqlite3")

    def stores(self, form: str = "session") -> Stores:
        """`Stores` of this process's own over the same registry."""
        return self.stores_of(jobs.lab(form), jobs.Fleet)

    def stores_of(self, *apps: type[App]) -> Stores:
        """The same, for other apps."""
        return Stores(DatabaseRegistry.at(Path(self.registry)), apps=apps)

    def make_registry(self) -> None:
        """Register the service and link it to every setting."""
        registry = DatabaseRegistry.at(Path(self.registry))
        with Stores(registry, apps=self.apps) as stores:
            registry.put_service(self.ground.service)
            for app in self.apps:
                for setting in app.declaration().settings:
                    stores.links.add(self.ground.service.name, app, setting.name)

    def reset(self) -> None:
        """Begin anew: no database, no file, a registry that remembers no store."""
        self.ground.clean()
        shutil.rmtree(self.folder)
        self.make_registry()

    def work(self, **options: Any) -> Ended:
        """The job `work` in a process of its own (see `jobs.work`)."""
        return self.workers.run("work", registry=self.registry, **options)

    def well(self, **options: Any) -> Ended:
        """The same, which must end well."""
        ended = self.work(**options)
        assert ended.status == 0, ended.err
        assert ended.said["problems"] == []
        return ended

    def words(self) -> list[str]:
        """The rows that the initializer wrote, in order of writing."""
        return [word for (word,) in self.ground.run_sql(self.database, "SELECT word FROM seed ORDER BY id")]

    def state(self, form: str = "session") -> dict[str, Any]:
        """Everything that a sync leaves behind, but for times and identities."""
        with self.stores(form) as stores:
            status = stores.store_status("lab", "gages")
            entries = [
                (e.name, e.service, e.database, e.state.value, e.problem) for e in stores.registry.stores()
            ]
        return {
            "status": (status.health.value, status.problem, status.initialised is not None),
            "registry": entries,
            "databases": sorted(self.ground.databases()),
            **self._inside(),
            **self._around(),
        }

    def _inside(self) -> dict[str, Any]:
        if self.database not in self.ground.databases():
            return {}
        record = "SELECT app, store, purpose, initializer, copied_from FROM penstock_store"
        return {"record": self.ground.run_sql(self.database, record), "words": self.words()}

    def _around(self) -> dict[str, Any]:
        """What stands around the store: files beside it, sessions in it, who may connect."""
        if self.ground.directory is not None:
            files = {path.name for path in self.ground.directory.iterdir()}
            exists = f"{self.database}.sqlite" in files
            journal = self.ground.run_sql(self.database, "PRAGMA journal_mode") if exists else None
            return {"files": sorted(files), "journal": journal}
        until(lambda: self.ground.sessions(self.database) == set(), "no session is left in the store")
        if self.ground.kind != "postgresql":
            return {}
        public = "SELECT has_database_privilege('public', datname, 'CONNECT') FROM pg_database"
        return {"public": self.ground.run_sql("postgres", f"{public} WHERE datname = '{self.database}'")}


def until(true: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, f"waited {timeout} s in vain: {what}"
        time.sleep(0.01)
