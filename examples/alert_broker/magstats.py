"""The statistics of an object, made anew from all that was seen of it."""

from __future__ import annotations

import math
from collections import defaultdict
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from alert_broker.app import STEP
from alert_broker.magnitudes import NEAR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SATURATED = 13.2
_DAYS = 0.5  # How long before the first detection a limit has to be, to say how fast it rose.
_STAR_SCORE, _STAR_CHI, _STAR_SHARP = 0.4, 2.0, (-0.13, 0.1)


class Seen(NamedTuple):
    """What the statistics need of a detection; a row of these columns."""

    oid: str
    candid: int
    fid: int
    mjd: float
    magpsf: float
    sigmapsf: float
    magpsf_corr: float | None
    isdiffpos: int
    ra: float
    dec: float
    corrected: bool
    dubious: bool
    has_stamp: bool
    rfid: int | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Seen:
        """What is needed of a detection that is not stored yet."""
        return cls._make(_of_row(row))


_of_row = itemgetter(*Seen._fields)
_BY_TIME = attrgetter("mjd", "candid")

Limits = dict[tuple[str, int], list[tuple[float, float | None]]]
"""When an object was not seen in a filter, and how bright it was at most: times and magnitudes."""


class Summary(NamedTuple):
    """The statistics of one object.

    Args:
        object: The values of its row in `object`.
        magstats: Its rows in `magstat`.
        dubious: Whether detections are dubious, by `candid`.
    """

    object: dict[str, Any]
    magstats: list[dict[str, Any]]
    dubious: dict[int, bool]


def summarize(oid: str, seen: Sequence[Seen], limits: Limits, *, stellar: bool) -> Summary:
    """The statistics of one object: they depend on what was seen, and not on the order in which it came.

    Args:
        oid: The object.
        seen: All its detections.
        limits: Its limits, by object and filter.
        stellar: Whether it is a star.
    """
    seen = sorted(seen, key=_BY_TIME)
    filters: dict[int, list[Seen]] = defaultdict(list)
    for each in seen:
        filters[each.fid].append(each)
    stats, dubious = [], {}
    for fid, some in sorted(filters.items()):
        judged = {each.candid: _is_dubious(each, some[0]) for each in some}
        dubious.update(judged)
        row = {"oid": oid, "fid": fid, "stellar": stellar, "step_id_corr": STEP}
        row |= {"ndubious": sum(judged.values()), **_of_filter(some)}
        stats.append(row | _rise(some[0], limits.get((oid, fid), ())))
    return Summary(_of_object(oid, seen, stats, stellar=stellar), stats, dubious)


def _is_dubious(detection: Seen, first: Seen) -> bool:
    """Whether it disagrees with the filter's first one, or is a loss of light where there is no source."""
    lost = not detection.corrected and detection.isdiffpos < 0
    return lost or detection.corrected != first.corrected


def is_star(alert: Mapping[str, Any]) -> bool:
    """Whether an alert is at a star: as Pan-STARRS1 says where it has a source, else as the image does."""
    if alert["distnr"] is None or not 0 <= alert["distnr"] < NEAR:
        return False
    if alert["distpsnr1"] is not None and 0 <= alert["distpsnr1"] < NEAR:
        return alert["sgscore1"] is not None and alert["sgscore1"] > _STAR_SCORE
    chi, sharp = alert["chinr"], alert["sharpnr"]
    return (
        chi is not None and sharp is not None and chi < _STAR_CHI and _STAR_SHARP[0] < sharp < _STAR_SHARP[1]
    )


def _of_filter(seen: Sequence[Seen]) -> dict[str, Any]:
    corrected = [each.magpsf_corr for each in seen if each.magpsf_corr is not None]
    saturated = sum(mag < _SATURATED for mag in corrected)
    return {
        "corrected": seen[0].corrected,
        "ndet": len(seen),
        "firstmjd": seen[0].mjd,
        "lastmjd": seen[-1].mjd,
        "saturation_rate": saturated / len(corrected) if corrected else None,
        **_figures([each.magpsf for each in seen], ""),
        **_figures(corrected, "_corr"),
    }


def _figures(mags: Sequence[float], ending: str) -> dict[str, float | None]:
    """The figures of magnitudes, which are in the order of time; sums are exact, whatever their order."""
    values = sorted(mags)
    count, middle = len(values), len(values) // 2
    if not count:
        return dict.fromkeys(f"mag{name}{ending}" for name in _FIGURES)
    median = values[middle] if count % 2 else (values[middle - 1] + values[middle]) / 2
    found = (_mean(values), median, values[-1], values[0], _sigma(values), mags[0], mags[-1])
    return {f"mag{name}{ending}": value for name, value in zip(_FIGURES, found, strict=True)}


_FIGURES = ("mean", "median", "max", "min", "sigma", "first", "last")


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _sigma(values: Sequence[float]) -> float | None:
    """The standard deviation of the sample; None for one value."""
    if len(values) < 2:
        return None
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _rise(first: Seen, limits: Sequence[tuple[float, float | None]]) -> dict[str, float | None]:
    """How fast it rose at least: from the limit before the first detection that says least."""
    names = ("dmdt_first", "dm_first", "sigmadm_first", "dt_first")
    found = []
    for mjd, limit in limits:
        days = first.mjd - mjd
        if days > _DAYS and limit is not None:
            rise = first.magpsf - limit
            found.append(((rise + first.sigmapsf) / days, rise, first.sigmapsf, days))
    return dict(zip(names, min(found), strict=True)) if found else dict.fromkeys(names)


def _of_object(
    oid: str, seen: Sequence[Seen], stats: Sequence[Mapping[str, Any]], *, stellar: bool
) -> dict[str, Any]:
    by_filter = {row["fid"]: row for row in stats}
    east = [
        (each.ra - seen[0].ra + 180) % 360 - 180 for each in seen
    ]  # 359.9 and 0.1 degrees are neighbours.
    dec = [each.dec for each in seen]
    references = {(each.fid, each.rfid) for each in seen if each.rfid is not None}
    return {
        "oid": oid,
        "ndet": len(seen),
        "corrected": seen[0].corrected,
        "stellar": stellar,
        "diffpos": all(each.isdiffpos > 0 for each in seen),
        "reference_change": len(references) > len({fid for fid, _ in references}),
        "firstmjd": seen[0].mjd,
        "lastmjd": seen[-1].mjd,
        "deltajd": seen[-1].mjd - seen[0].mjd,
        "meanra": (seen[0].ra + _mean(east)) % 360,
        "meandec": _mean(dec),
        "sigmara": _sigma(east),
        "sigmadec": _sigma(dec),
        "g_r_max": _colour(by_filter, "magmin"),
        "g_r_max_corr": _colour(by_filter, "magmin_corr"),
        "g_r_mean": _colour(by_filter, "magmean"),
        "g_r_mean_corr": _colour(by_filter, "magmean_corr"),
        "step_id_corr": STEP,
    }


def _colour(stats: Mapping[int, Mapping[str, Any]], name: str) -> float | None:
    """The magnitude in g less that in r; None unless it was seen in both."""
    if 1 not in stats or 2 not in stats:
        return None
    green, red = stats[1][name], stats[2][name]
    return None if green is None or red is None else green - red
