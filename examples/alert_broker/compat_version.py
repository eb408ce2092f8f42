"""The same pipeline as a program for db-plugins has it: objects, and one commit.

It stores what `ingest` stores. What it can't do is to keep two processes apart that see the same object at
the same time: let all alerts of an object go to one process. And it is slower, for it looks at one object
after the other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from alert_broker.magstats import Limits, Seen, is_star, summarize
from alert_broker.rows import gaia_row, ps1_row, reference_row, rows_of, ss_row
from penstock.compat.db_plugins.models import (
    Dataquality,
    Detection,
    Gaia_ztf,
    MagStats,
    NonDetection,
    Object,
    Ps1_ztf,
    Reference,
    Ss_ztf,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alert_broker.packets import Alert
    from alert_broker.rows import Row, Rows
    from penstock.compat.db_plugins import SQLConnection


def store(db: SQLConnection, alerts: Iterable[Alert]) -> int:
    """Store alerts, and bring their objects' statistics up to date; those that are there change nothing.

    Args:
        db: A connection with a session.
        alerts: The alerts.

    Returns:
        How many there were.
    """
    rows = rows_of(alerts)
    db.session.expire_all()  # What it remembers, others may have changed.
    # --- keep everything ---
    oids = sorted({alert["oid"] for alert in rows.alerts.values()})
    db.session.query().bulk_insert([{"oid": oid} for oid in oids], Object)
    for model, given in ((Detection, rows.detections), (Dataquality, rows.quality)):
        own = [row for candid, row in given.items() if candid in rows.alerts]
        others = [row for candid, row in given.items() if candid not in rows.alerts]
        db.session.query().bulk_insert(own, model, on_conflict="update")
        db.session.query().bulk_insert(others, model)
    db.session.query().bulk_insert(list(rows.non_detections.values()), NonDetection)
    db.session.query().bulk_insert([ps1_row(alert) for alert in rows.alerts.values()], Ps1_ztf)
    # --- keep the statistics ---
    for oid in oids:
        _update_object(db, db.query(Object).find_one(filter_by={"oid": oid}), rows)
    db.session.commit()
    return len(rows.alerts)


def _update_object(db: SQLConnection, obj: Any, rows: Rows) -> None:
    curve = obj.get_lightcurve()
    seen = [Seen.of(detection) for detection in curve["detections"]]
    limits: Limits = defaultdict(list)
    for each in curve["non_detections"]:
        limits[each.oid, each.fid].append((each.mjd, each.diffmaglim))
    alerts = [each for each in seen if each.has_stamp]  # By time, as the light curve is.
    first = rows.alerts.get(alerts[0].candid)
    stellar = obj.stellar if first is None else is_star(first)
    summary = summarize(obj.oid, seen, limits, stellar=stellar)
    new = [rows.alerts[each.candid] for each in alerts if each.candid in rows.alerts]
    db.query().update(obj, {**summary.object, **_history(obj, new)})
    for row in summary.magstats:
        key = {"oid": row["oid"], "fid": row["fid"]}
        _keep(db, MagStats, key, row)
    for detection in curve["detections"]:
        detection.dubious = summary.dubious[detection.candid]
    _update_neighbours(db, obj.oid, alerts, new, rows)


def _history(obj: Any, alerts: Iterable[Row]) -> Row:
    """What ZTF says of the object's whole history."""
    values: dict[str, list[Any]] = defaultdict(list)
    for name in ("ndethist", "ncovhist", "mjdstarthist", "mjdendhist"):
        field, zero = (name.replace("mjd", "jd"), 2400000.5) if "mjd" in name else (name, 0)
        found = [alert[field] - zero for alert in alerts if alert.get(field) is not None]
        values[name] = [value for value in (obj[name], *found) if value is not None]
    ends = {"mjdstarthist": min}
    return {name: ends.get(name, max)(some, default=None) for name, some in values.items()}


def _update_neighbours(db: SQLConnection, oid: str, alerts: list[Seen], new: list[Row], rows: Rows) -> None:
    newest = {each.rfid: each.candid for each in alerts}
    for candid in newest.values():
        if candid in rows.alerts:
            row = reference_row(rows.alerts[candid])
            _keep(db, Reference, {"oid": oid, "rfid": row["rfid"]}, row)
    last = rows.alerts.get(alerts[-1].candid)
    known = db.query(Gaia_ztf).find_one(filter_by={"oid": oid})
    mags = {each["maggaia"] for each in [*new, *([known] if known else [])]} - {None}
    agreed = len(mags) <= 1 and (known is None or known.unique1)
    if last is not None:
        _keep(db, Ss_ztf, {"oid": oid}, ss_row(last))
        _keep(db, Gaia_ztf, {"oid": oid}, {**gaia_row(last), "unique1": agreed})
    elif known is not None:
        known.unique1 = agreed
    neighbours = db.query(Ps1_ztf).filter_by(oid=oid).all()
    for place in (1, 2, 3):
        ids = {each[f"objectidps{place}"] for each in neighbours} - {None}
        for each in neighbours:
            setattr(each, f"unique{place}", len(ids) <= 1)


def _keep(db: SQLConnection, model: Any, key: Mapping[str, Any], row: Row) -> None:
    """One row per key, with the newest values."""
    values = {name: value for name, value in row.items() if name not in key}
    db.query().update(db.session.query().get_or_create(model, filter_by=key, **values), values)
