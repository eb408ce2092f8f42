"""An alert broker: what a telescope sees becomes detections and light curves."""

from __future__ import annotations

from alert_broker.app import AlertBroker

__all__ = ["AlertBroker"]
