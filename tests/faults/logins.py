"""Jobs around passwords: rotate them, be killed on the way, use stores meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event, text

from fix_apps import Gage, make_lab
from penstock import EngineOptions, Stores
from penstock.registry import DatabaseRegistry
from penstock.secrets import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUICK = EngineOptions(refresh_interval=0.5, max_connections=8)
APP = make_lab()


@contextmanager
def stores_of(registry: str, key: str, options: EngineOptions | None = None) -> Iterator[Stores]:
    """`Stores` of this process's own."""
    home = DatabaseRegistry.at(Path(registry))
    with Stores(home, apps=[APP], keyring=Keyring(Path(key)), engine_options=options) as made:
        yield made


def _killed_at(moment: int, die: Callable[[], None]) -> list[str]:
    """Count what happens before and after each statement and before each commit, of registry and server."""
    happened: list[str] = []

    def count(name: str) -> Callable[..., None]:
        def note(*_: Any) -> None:
            happened.append(name)
            if len(happened) == moment:
                die()

        return note

    for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, name, count(name))
    return happened


def change_passwords(registry: str, key: str, verb: str, kill_at: int = 0) -> dict[str, Any]:
    """Sync `gages`, renew or retire its logins, or rotate its service's password; die on the way.

    Args:
        registry: The registry's file.
        key: The key file.
        verb: `sync`, `renew`, `retire`, `rotate` (both), `service`.
        kill_at: At which moment to die; 0 to count only.
    """
    from faults.jobs import die

    happened = _killed_at(kill_at, die)
    with stores_of(registry, key) as stores:
        if verb == "sync":
            [result] = stores.sync(APP, ["gages"])
            return {"count": len(happened), "problem": str(result.error or "")}
        if verb == "service":
            stores.services.rotate("main")
        if verb in ("renew", "rotate"):
            stores.logins.renew(APP, "gages")
        if verb in ("retire", "rotate"):
            stores.logins.retire(APP, "gages", grace=0)
        return {"count": len(happened), "problem": ""}


def hammer(registry: str, key: str, seconds: float, threads: int) -> dict[str, Any]:
    """Use `gages` from several threads, a transaction for each request; who logged in, what failed.

    It ends when there is a file `stop` beside the registry, or after so many seconds.
    """
    users: set[str] = set()
    failures: list[str] = []
    served = [0] * threads
    end, stop = time.monotonic() + seconds, Path(registry).with_name("stop")

    def serve(number: int, stores: Stores) -> None:
        while time.monotonic() < end and not stop.exists():
            try:
                with stores.begin(APP, "gages") as session:
                    session.get(Gage, "03185400")
                    users.add(session.scalar(text("SELECT CURRENT_USER")) or "")
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")
            served[number] += 1
            if number % 2:  # Half of the workers lets its connections go, and so logs in again and again.
                stores.engine(APP, "gages").dispose()
                time.sleep(0.01)

    with stores_of(registry, key, QUICK) as stores:
        running = [threading.Thread(target=serve, args=(number, stores)) for number in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return {"users": sorted(users), "failures": failures, "served": sum(served)}
