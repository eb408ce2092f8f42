"""Stores a batch of alerts: all or nothing, once, whoever else stores alerts."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select, update

from alert_broker.magstats import Limits, Seen, Summary, is_star, summarize
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
from penstock.query import bulk_insert, bulk_update, upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from alert_broker.packets import Alert
    from alert_broker.rows import Row, Rows

TABLES = (Object, Detection, NonDetection, Dataquality, MagStats, Ss_ztf, Ps1_ztf, Gaia_ztf, Reference)
"""The tables that an alert touches."""


class Stored(NamedTuple):
    """What became of a batch.

    Args:
        new: Alerts that were not there.
        known: Those that were.
    """

    new: int
    known: int


def store(session: Session, alerts: Iterable[Alert]) -> Stored:
    """Store alerts in the session's transaction, and bring their objects' statistics up to date.

    The rows of its objects are locked first, in the order of their keys: whoever has them may write all that
    belongs to these objects, others wait, and nobody waits in a circle. So what is new is known after one
    look, and goes to the server by COPY. Alerts that are there already change nothing.

    Args:
        session: A session in a transaction that has done nothing yet.
        alerts: The alerts; those of an object may come in any order, and again.

    Raises:
        penstock.errors.RowRefused: A value does not fit into its column.
    """
    batch = list(alerts)
    objects = lock(session, sorted({alert["objectId"] for alert in batch}))
    known = Known.of(session, [oid for oid, row in objects.items() if row.ndet is not None])
    alerts_known = known.alerts
    new = [alert for alert in batch if alert["candid"] not in alerts_known]
    rows = rows_of(new)
    if new:
        _Batch(session, rows, known, objects).write()
    return Stored(len(rows.alerts), len(batch) - len(rows.alerts))


def lock(session: Session, oids: Sequence[str]) -> dict[str, Any]:
    """The rows of objects, made where there are none, held until the transaction ends."""
    bulk_insert(session, Object, [(oid,) for oid in oids], columns=["oid"], on_conflict="nothing")
    kept = ("oid", "ndet", "stellar", "ndethist", "ncovhist", "mjdstarthist", "mjdendhist")
    columns = [getattr(Object, name) for name in kept]
    wanted = select(*columns).where(Object.oid.in_(oids)).order_by(Object.oid)
    return {row.oid: row for row in session.execute(wanted.with_for_update(key_share=True))}


class Known(NamedTuple):
    """What is stored of some objects, which are locked.

    Args:
        seen: Their detections, by `candid`.
        limits: Their non-detections.
        ps1: The least and the greatest number of each of their neighbours in Pan-STARRS1.
        gaia: The magnitude of their neighbour in Gaia, and whether the alerts agree on it.
    """

    seen: dict[int, Seen]
    limits: Limits
    ps1: dict[str, Sequence[float | None]]
    gaia: dict[str, tuple[float | None, bool]]

    @classmethod
    def of(cls, session: Session, oids: Sequence[str]) -> Known:
        """Look it up."""
        known = cls({}, defaultdict(list), {}, {})
        if not oids:
            return known
        seen = select(*(getattr(Detection, name) for name in Seen._fields)).where(Detection.oid.in_(oids))
        known.seen.update((row.candid, Seen._make(row)) for row in session.execute(seen))
        limits = select(NonDetection.oid, NonDetection.fid, NonDetection.mjd, NonDetection.diffmaglim)
        for oid, fid, mjd, limit in session.execute(limits.where(NonDetection.oid.in_(oids))):
            known.limits[oid, fid].append((mjd, limit))
        ids = (Ps1_ztf.objectidps1, Ps1_ztf.objectidps2, Ps1_ztf.objectidps3)
        ends = [end(each) for each in ids for end in (func.min, func.max)]
        ps1 = select(Ps1_ztf.oid, *ends).where(Ps1_ztf.oid.in_(oids)).group_by(Ps1_ztf.oid)
        known.ps1.update((row[0], row[1:]) for row in session.execute(ps1))
        gaia = select(Gaia_ztf.oid, Gaia_ztf.maggaia, Gaia_ztf.unique1).where(Gaia_ztf.oid.in_(oids))
        known.gaia.update((oid, (mag, unique)) for oid, mag, unique in session.execute(gaia))
        return known

    @property
    def alerts(self) -> set[int]:
        """The detections that came as alerts of their own, not only in the history of another one."""
        return {seen.candid for seen in self.seen.values() if seen.has_stamp}


class _Batch:
    """The rows of alerts that are new, on their way into the tables."""

    def __init__(self, session: Session, rows: Rows, known: Known, objects: Mapping[str, Any]) -> None:
        self._session = session
        self._rows = rows
        self._known = known
        self._objects = objects
        self._seen: dict[str, dict[int, Seen]] = defaultdict(dict)
        for each in known.seen.values():
            self._seen[each.oid][each.candid] = each
        for candid, row in rows.detections.items():
            if row["has_stamp"] or candid not in known.seen:
                self._seen[row["oid"]][candid] = Seen.of(row)
        self._oids = sorted({row["oid"] for row in rows.alerts.values()})

    def write(self) -> None:
        """Write all tables; those that others refer to come first."""
        limits = self._new_limits()
        summaries = [self._summary(oid) for oid in self._oids]
        dubious = {candid: value for each in summaries for candid, value in each.dubious.items()}
        self._write_detections(dubious)
        bulk_insert(self._session, NonDetection, limits)
        self._write_neighbours()
        magstats = [row for summary in summaries for row in summary.magstats]
        upsert(self._session, MagStats, magstats)
        bulk_update(self._session, Object, [self._object(each) for each in summaries])

    # --- what was seen ---

    def _write_detections(self, dubious: Mapping[int, bool]) -> None:
        known = self._known.seen
        new: list[int] = []
        better: list[int] = []  # Known from the history of another alert; now there is their own.
        for candid, row in self._rows.detections.items():
            row["dubious"] = dubious[candid]
            if candid not in known:
                new.append(candid)
            elif row["has_stamp"]:
                better.append(candid)
        for model, rows in ((Detection, self._rows.detections), (Dataquality, self._rows.quality)):
            bulk_insert(self._session, model, [rows[candid] for candid in new])
            bulk_update(self._session, model, [rows[candid] for candid in better])
        changed = [each for each in known.values() if dubious.get(each.candid, each.dubious) != each.dubious]
        marks = [{"candid": each.candid, "oid": each.oid, "dubious": not each.dubious} for each in changed]
        bulk_update(self._session, Detection, marks)

    def _new_limits(self) -> list[Row]:
        """The non-detections that are not stored yet; afterwards all are known."""
        limits = self._known.limits
        stored = {(*key, mjd) for key, some in limits.items() for mjd, _ in some}
        new = [row for key, row in self._rows.non_detections.items() if key not in stored]
        for row in new:
            limits[row["oid"], row["fid"]].append((row["mjd"], row["diffmaglim"]))
        return new

    # --- the object ---

    def _summary(self, oid: str) -> Summary:
        seen = self._seen[oid].values()
        first = min((each for each in seen if each.has_stamp), key=_when)
        alert = self._rows.alerts.get(first.candid)
        stellar = self._objects[oid].stellar if alert is None else is_star(alert)
        return summarize(oid, list(seen), self._known.limits, stellar=stellar)

    def _object(self, summary: Summary) -> Row:
        """The row of an object: its statistics, and what ZTF says of its whole history."""
        oid = summary.object["oid"]
        stored = self._objects[oid]
        alerts = [self._rows.alerts[candid] for candid in self._seen[oid] if candid in self._rows.alerts]
        starts = [each["jdstarthist"] - 2400000.5 for each in alerts if each.get("jdstarthist") is not None]
        ends = [each["jdendhist"] - 2400000.5 for each in alerts if each.get("jdendhist") is not None]
        return {
            **summary.object,
            "ndethist": _most([stored.ndethist, *(each.get("ndethist") for each in alerts)]),
            "ncovhist": _most([stored.ncovhist, *(each.get("ncovhist") for each in alerts)]),
            "mjdstarthist": min(_given([stored.mjdstarthist, *starts]), default=None),
            "mjdendhist": _most([stored.mjdendhist, *ends]),
        }

    # --- its neighbours ---

    def _write_neighbours(self) -> None:
        newest = self._newest(lambda each: each.oid)
        upsert(self._session, Ss_ztf, [ss_row(alert) for alert in newest])
        upsert(self._session, Gaia_ztf, self._agreed_gaia([gaia_row(alert) for alert in newest]))
        references = self._newest(lambda each: (each.oid, each.rfid))
        upsert(self._session, Reference, [reference_row(alert) for alert in references])
        bulk_insert(self._session, Ps1_ztf, self._agreed_ps1(list(map(ps1_row, self._rows.alerts.values()))))

    def _newest(self, key: Any) -> list[Row]:
        """Of the new alerts, those that are the newest of their object, or of something else."""
        newest: dict[Any, Seen] = {}
        for oid in self._oids:
            for each in self._seen[oid].values():
                found = newest.get(key(each))
                if each.has_stamp and (found is None or _when(each) > _when(found)):
                    newest[key(each)] = each
        alerts = self._rows.alerts
        return [alerts[each.candid] for each in newest.values() if each.candid in alerts]

    def _agreed_gaia(self, rows: list[Row]) -> list[Row]:
        """The same rows, now with whether the alerts agree on the source."""
        mags: dict[str, set[float]] = defaultdict(set)
        for alert in self._rows.alerts.values():
            mags[alert["oid"]].update(_given([alert["maggaia"]]))
        for oid, (mag, _) in self._known.gaia.items():
            mags[oid].update(_given([mag]))
        torn = self._mark_torn(Gaia_ztf, "unique1", mags)
        for row in rows:
            _, unique = self._known.gaia.get(row["oid"], (None, True))
            row["unique1"] = unique and row["oid"] not in torn
        return rows

    def _agreed_ps1(self, rows: list[Row]) -> list[Row]:
        for place in (1, 2, 3):
            ids: dict[str, set[float]] = defaultdict(set)
            for row in rows:
                ids[row["oid"]].update(map(float, _given([row[f"objectidps{place}"]])))
            for oid, ends in self._known.ps1.items():
                ids[oid].update(_given(ends[2 * place - 2 : 2 * place]))
            torn = self._mark_torn(Ps1_ztf, f"unique{place}", ids)
            for row in rows:
                row[f"unique{place}"] = row["oid"] not in torn
        return rows

    def _mark_torn(self, model: Any, flag: str, found: Mapping[str, set[float]]) -> set[str]:
        """The objects with several neighbours at one place; what is stored of them is marked."""
        torn = {oid for oid, some in found.items() if len(some) > 1}
        if torn:
            self._session.execute(update(model).where(model.oid.in_(sorted(torn))).values({flag: False}))
        return torn


def _when(seen: Seen) -> tuple[float, int]:
    return seen.mjd, seen.candid


def _given(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _most(values: Iterable[Any]) -> Any:
    return max(_given(values), default=None)
