"""What the broker needs from Penstock: one store with the tables of db-plugins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock import App, Database
from penstock.compat.db_plugins.models import Base, Step

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

STEP = "alert_broker_1.0.0"
"""The step of the pipeline that made a row, as the tables note it."""


class AlertBroker(App):
    """An alert broker for the Zwicky Transient Facility (ZTF)."""

    package = "alert_broker"
    alerts = Database("Everything the telescope saw.", metadata=Base.metadata)


@AlertBroker.alerts.initializer
def seed(session: Session, first_time: bool) -> None:
    """Note the step that makes the rows."""
    if first_time:
        now = datetime.now(UTC).replace(tzinfo=None)
        session.add(Step(step_id=STEP, name="alert_broker", version="1.0.0", comments="", date=now))
