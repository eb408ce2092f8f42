"""P4: what it costs to store many rows, beside the ways of other libraries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import django
from advanced_alchemy.repository import SQLAlchemySyncRepository
from alerts import Detection, Lab, detection, empty, generated
from django.conf import settings
from measure import Target, Way, arguments, interleaved, report, server, stores_of
from sqlalchemy.orm import Session

from penstock.query import bulk_insert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL, Engine

ROUNDS, ROWS = 5, 100_000

OURS = "bulk_insert"


class Detections(SQLAlchemySyncRepository[Detection]):
    """Advanced Alchemy's way to the rows."""

    model_type = Detection


def main() -> None:
    """Store the rows in every way in turn."""
    rounds, count = arguments(__doc__, rounds=ROUNDS, rows=ROWS)
    given = list(generated(count))
    with server() as found, stores_of(found.service, Lab, "alerts") as stores:
        engine = stores.engine(Lab, "alerts")
        model = django_model(stores.url(Lab, "alerts"))
        done: dict[str, Callable[[], object]] = {
            OURS: partial(bulk_insert, engine, Detection, given),
            "ORM add_all": partial(add_all, engine, given),
            "Advanced Alchemy add_many": partial(add_many, engine, given),
            "Django bulk_create": partial(bulk_create, model, given),
        }
        ways = {name: Way(work=work, before=partial(empty, engine)) for name, work in done.items()}
        times = interleaved(ways, rounds, unit="ms")
        django.db.connections.close_all()
    title = f"{count:,} mappings of {len(detection.columns)} columns, one transaction"
    targets = [Target("P4", OURS, peer, 1 / 10) for peer in times if peer != OURS]
    report(title, times, targets, unit="ms", rows=count)


def add_all(engine: Engine, given: list[dict[str, Any]]) -> None:
    """SQLAlchemy's unit of work."""
    with Session(engine) as session, session.begin():
        session.add_all([Detection(**row) for row in given])


def add_many(engine: Engine, given: list[dict[str, Any]]) -> None:
    """Advanced Alchemy's repository."""
    with Session(engine) as session, session.begin():
        Detections(session=session).add_many([Detection(**row) for row in given])


def bulk_create(model: Any, given: list[dict[str, Any]]) -> None:
    """Django's manager, which makes one transaction of it."""
    model.objects.bulk_create([model(**row) for row in given])


def django_model(url: URL) -> Any:
    """The same table as a model of Django's, on a connection that stays open."""
    database: dict[str, Any] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database,
        "USER": url.username,
    }
    database |= {"PASSWORD": url.password, "HOST": url.host, "PORT": url.port, "CONN_MAX_AGE": None}
    settings.configure(DATABASES={"default": database})
    django.setup()
    from django.db import models

    def field(name: str) -> models.Field[Any, Any]:
        if name in ("candid", "fid"):
            return models.IntegerField(primary_key=name == "candid")
        return models.FloatField(null=True) if name.startswith("value_") else models.TextField(null=True)

    meta = type("Meta", (), {"app_label": "lab", "db_table": "detection", "managed": False})
    fields = {column.name: field(column.name) for column in detection.columns}
    return type("DjangoDetection", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


if __name__ == "__main__":
    main()
