"""What a packet means for the tables: rows, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from alert_broker.app import STEP
from alert_broker.magnitudes import Corrected, correct, is_near
from penstock.compat.db_plugins.models import Dataquality, Detection, Gaia_ztf, Ps1_ztf, Reference, Ss_ztf

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alert_broker.packets import Alert

Row = dict[str, Any]

_JD = 2400000.5


def _names(model: Any, *but: str) -> tuple[str, ...]:
    return tuple(column.key for column in model.__table__.columns if column.key not in but)


_MADE = ("oid", "mjd", "magpsf_corr", "sigmapsf_corr", "sigmapsf_corr_ext", "corrected", "dubious")
_DETECTION = _names(Detection, *_MADE, "parent_candid", "has_stamp", "step_id_corr")
_QUALITY = _names(Dataquality, "oid")
_SS = _names(Ss_ztf, "oid")
_GAIA = _names(Gaia_ztf, "oid", "unique1")
_PS1 = _names(Ps1_ztf, "oid", "unique1", "unique2", "unique3")
_REFERENCE = _names(Reference, "oid", "mjdstartref", "mjdendref")
_EMPTY = dict.fromkeys((*_DETECTION, *_QUALITY, *_SS, *_GAIA, *_PS1, *_REFERENCE))


class Rows(NamedTuple):
    """The rows of some alerts, by the keys of their tables.

    Args:
        alerts: The candidates that were alerts, by `candid`: their fields, and `oid` and `mjd`.
        detections: By `candid`. An alert's own come before those in the histories of others.
        quality: By `candid`.
        non_detections: By object, filter and time.
    """

    alerts: dict[int, Row]
    detections: dict[int, Row]
    quality: dict[int, Row]
    non_detections: dict[tuple[str, int, float], Row]


def rows_of(alerts: Iterable[Alert]) -> Rows:
    """The rows of the tables that keep everything; of an alert that comes twice, once."""
    rows = Rows({}, {}, {}, {})
    given = {alert["candid"]: alert for alert in alerts}.values()
    for alert in given:
        candidate = _complete(alert["objectId"], alert["candidate"])
        rows.alerts[alert["candid"]] = candidate
        _add_detection(rows, candidate, None)
    for alert in given:
        for each in alert["prv_candidates"]:
            candidate = _complete(alert["objectId"], each)
            if candidate["candid"] is None:
                if candidate["diffmaglim"] is not None:
                    _add_non_detection(rows, candidate)
            elif candidate["candid"] not in rows.detections:
                _add_detection(rows, candidate, alert["candid"])
    return rows


def _complete(oid: str, candidate: Row) -> Row:
    """A candidate with every field, whatever version of the schema it is of."""
    return {**_EMPTY, **candidate, "oid": oid, "mjd": candidate["jd"] - _JD}


def _add_detection(rows: Rows, candidate: Row, parent: int | None) -> None:
    near = is_near(candidate)
    mag, sigma, sigma_ext = correct(candidate) if near else Corrected()
    rows.detections[candidate["candid"]] = {
        **{name: candidate[name] for name in _DETECTION},
        "oid": candidate["oid"],
        "mjd": candidate["mjd"],
        "magpsf_corr": mag,
        "sigmapsf_corr": sigma,
        "sigmapsf_corr_ext": sigma_ext,
        "corrected": near,
        "dubious": False,  # It depends on the first detection: see `magstats`.
        "parent_candid": parent,
        "has_stamp": parent is None,
        "step_id_corr": STEP,
    }
    quality = {name: candidate[name] for name in _QUALITY}
    rows.quality[candidate["candid"]] = {**quality, "oid": candidate["oid"]}


def _add_non_detection(rows: Rows, candidate: Row) -> None:
    oid, fid, mjd = candidate["oid"], candidate["fid"], candidate["mjd"]
    limit = candidate["diffmaglim"]
    rows.non_detections[oid, fid, mjd] = {"oid": oid, "fid": fid, "mjd": mjd, "diffmaglim": limit}


# --- the neighbours of an alert in other catalogues -----------------------------------------------


def ss_row(alert: Row) -> Row:
    """The nearest body of the solar system."""
    return {"oid": alert["oid"], **{name: alert[name] for name in _SS}}


def gaia_row(alert: Row) -> Row:
    """The nearest source of Gaia; whether the alerts agree on it is not known yet."""
    return {"oid": alert["oid"], **{name: alert[name] for name in _GAIA}, "unique1": True}


def ps1_row(alert: Row) -> Row:
    """The three nearest sources of Pan-STARRS1; whether the alerts agree on them is not known yet."""
    unique = {"unique1": True, "unique2": True, "unique3": True}
    return {"oid": alert["oid"], **{name: alert[name] for name in _PS1}, **unique}


def reference_row(alert: Row) -> Row:
    """The image that was subtracted."""
    start, end = alert["jdstartref"] - _JD, alert["jdendref"] - _JD
    row = {name: alert[name] for name in _REFERENCE}
    return {"oid": alert["oid"], **row, "mjdstartref": start, "mjdendref": end}
