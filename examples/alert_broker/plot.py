"""Draws a light curve: magnitudes with error bars, triangles for upper limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alert_broker.lightcurve import FILTERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from alert_broker.lightcurve import Epoch, LightCurve

COLOURS = {"g": "#1b9e77", "r": "#d1495b", "i": "#7a5195"}
"""One for each filter; who does not see red and green apart sees them by their shapes."""

SHAPES = {"g": "o", "r": "s", "i": "D"}

_INK, _FAINT = "#2b2d42", "#d9dbe3"


def draw(curve: LightCurve, *, corrected: bool = False) -> Figure:
    """A figure of a light curve.

    Args:
        curve: The light curve.
        corrected: Draw the magnitudes of the source itself, not those of the difference to the reference
            image; upper limits, which are limits of the difference, are left out then.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.2), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for fid in sorted({epoch.fid for epoch in curve.epochs}):
        name = FILTERS.get(fid, str(fid))
        _draw_seen(axes, [each for each in curve.detections if each.fid == fid], name, corrected=corrected)
        if not corrected:
            _draw_limits(axes, [each for each in curve.non_detections if each.fid == fid], name)
    _dress(axes, curve, corrected=corrected)
    return figure


def save(curve: LightCurve, path: Path, *, corrected: bool = False) -> None:
    """Draw a light curve into a file: SVG, PNG or PDF, by the ending of its name. See `draw`.

    Raises:
        ValueError: There is no such kind of picture.
    """
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "alert_broker", "svg.fonttype": "path", "font.size": 10.5}):
        undated = {"Date": None} if path.suffix.lower() == ".svg" else {}  # The same curve, the same file.
        draw(curve, corrected=corrected).savefig(path, dpi=144, metadata=undated)


def _draw_seen(axes: Axes, epochs: Sequence[Epoch], name: str, *, corrected: bool) -> None:
    """Points with error bars; hollow where the source was fainter than in the reference."""
    points = [
        (each.mjd, each.mag_corr, each.sigma_corr or 0.0, False)
        if corrected
        else (each.mjd, each.mag, each.sigma, each.isdiffpos < 0)
        for each in epochs
        if not corrected or each.mag_corr is not None
    ]
    colour = COLOURS.get(name, _INK)
    for hollow in (False, True):
        some = [point for point in points if point[3] is hollow]
        if some:
            days, mags, sigmas, _ = zip(*some, strict=True)
            axes.errorbar(
                days,
                mags,
                yerr=sigmas,
                fmt=SHAPES.get(name, "o"),
                markersize=6.5,
                color=colour,
                markerfacecolor="white" if hollow else colour,
                markeredgecolor=colour if hollow else "white",
                markeredgewidth=1.3 if hollow else 0.7,
                elinewidth=1.3,
                capsize=3,
                label=f"{name}, fainter than reference" if hollow else name,
                zorder=3,
            )


def _draw_limits(axes: Axes, epochs: Sequence[Epoch], name: str) -> None:
    """Triangles that point down, where the source was not seen: it was fainter than this."""
    points = [(each.mjd, each.limit) for each in epochs if each.limit is not None]
    if points:
        days, limits = zip(*points, strict=True)
        axes.scatter(
            days,
            limits,
            marker="v",
            s=34,
            facecolors="none",
            edgecolors=COLOURS.get(name, _INK),
            linewidths=1.1,
            alpha=0.75,
            label=f"{name}, upper limit",
            zorder=2,
        )


def _dress(axes: Axes, curve: LightCurve, *, corrected: bool) -> None:
    kind = "apparent magnitude" if corrected else "difference magnitude"
    seen, unseen = len(curve.detections), len(curve.non_detections)
    counts = f"{seen} detection{'s' * (seen != 1)}"
    counts += "" if corrected else f", {unseen} upper limit{'s' * (unseen != 1)}"
    axes.set_title(curve.oid, loc="left", fontsize=15, fontweight="bold", color=_INK, pad=12)
    axes.set_title(counts, loc="right", fontsize=10, color="#6b7085", pad=12)
    axes.set_xlabel("modified Julian date (MJD)", color=_INK)
    axes.set_ylabel(kind, color=_INK)
    axes.invert_yaxis()
    axes.margins(x=0.06, y=0.12)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.grid(visible=True, color=_FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_FAINT)
    shown = sorted(zip(*axes.get_legend_handles_labels(), strict=True), key=lambda pair: "limit" in pair[1])
    if shown:
        handles, labels = zip(*shown, strict=True)
        beside = (1.01, 1.0)
        axes.legend(handles, labels, loc="upper left", bbox_to_anchor=beside, frameon=False, labelcolor=_INK)
