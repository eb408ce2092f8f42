"""A small program over a store, which it uses before gunicorn forks."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from fix_apps import Gage, make_lab
from penstock import EngineOptions, Stores
from penstock.registry import DatabaseRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Lab = make_lab()
stores = Stores(
    DatabaseRegistry(os.environ["LAB_REGISTRY"]),
    apps=[Lab],
    engine_options=EngineOptions(max_connections=4),
)


def look(number: str) -> dict[str, Any]:
    """Write a row, count the rows, and tell who did it."""
    with stores.begin(Lab, "gages") as session:
        session.add(Gage(number=number, altitude=1))
    with stores.session(Lab, "gages") as session:
        return {
            "worker": os.getpid(),
            "backend": session.scalar(text("SELECT pg_backend_pid()")),
            "rows": session.scalar(select(func.count()).select_from(Gage)),
            "master": MASTER,
        }


MASTER: dict[str, Any] | None = None
MASTER = look("by the master")
held = stores.engine(Lab, "gages").connect()  # stays out across the fork


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers every request with what `look` tells."""
    said = json.dumps(look(environ["PATH_INFO"])).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(said)))])
    return [said]
