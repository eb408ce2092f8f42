"""What children of a process that uses an engine do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from fix_apps import Gage, make_lab
from penstock import MemoryRegistry, Stores, use

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from penstock import App, Service


def backend_pid(app: type[App]) -> int:
    """Which process of the server a session of ours talks to; for SQLite, our own process."""
    with app.gages.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            return os.getpid()
        mine = "CONNECTION_ID" if connection.dialect.name == "mariadb" else "pg_backend_pid"
        found: int = connection.execute(text(f"SELECT {mine}()")).scalar_one()
        return found


def work(app: type[App], number: str) -> dict[str, Any]:
    """Write and read through the store, in whatever process this is."""
    with app.gages.begin() as session:
        session.add(Gage(number=number, altitude=1))
    with app.gages.session() as session:
        gages = session.scalar(select(func.count()).select_from(Gage))
    return {"gages": gages, "backend": backend_pid(app), "process": os.getpid()}


def in_forked_child(pipe: Pipe, app: type[App]) -> None:
    """Use the very objects that the parent used."""
    pipe.send(work(app, "by the child"))


def in_spawned_child(pipe: Pipe, service: Service) -> None:
    """Begin from nothing but where the service is."""
    lab = make_lab()
    registry = MemoryRegistry()
    registry.put_service(service)
    with Stores(registry, apps=[lab]) as stores, use(stores):
        stores.links.add(service.name, lab, "gages")
        pipe.send(work(lab, "by the child"))
