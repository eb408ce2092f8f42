"""From the flux of a difference to the magnitude of the source itself.

ZTF subtracts a reference image from each new one; the magnitude in an alert is that of the difference. For a
source that is in the reference, its own magnitude is that of the sum of the two fluxes. The formulas are
those of Förster et al. (2021), "The Automatic Learning for the Rapid Classification of Events (ALeRCE) Alert
Broker", AJ 161, 242, in the section on the correction of the light curves.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

NEAR = 1.4
"""Arc seconds within which the source in the reference is taken for the same one."""


class Corrected(NamedTuple):
    """A magnitude of the source itself; None where it can't be told.

    Args:
        mag: The magnitude.
        sigma: Its uncertainty, if the reference's is part of that of the difference.
        sigma_ext: Its uncertainty for an extended source.
    """

    mag: float | None = None
    sigma: float | None = None
    sigma_ext: float | None = None


def is_near(candidate: Mapping[str, Any]) -> bool:
    """Whether there is a source in the reference image at this place."""
    return candidate["distnr"] is not None and candidate["distnr"] < NEAR


def correct(candidate: Mapping[str, Any]) -> Corrected:
    """Add the reference's flux to that of the difference, which may be negative.

    Args:
        candidate: What the packet says: `magpsf`, `sigmapsf`, `magnr`, `sigmagnr`, `isdiffpos` (1 or -1).

    >>> star = {"magpsf": 18.0, "sigmapsf": 0.1, "magnr": 18.0, "sigmagnr": 0.01, "isdiffpos": 1}
    >>> round(correct(star).mag, 3)  # Twice the flux.
    17.247
    >>> correct({**star, "isdiffpos": -1})  # No flux is left.
    Corrected(mag=None, sigma=None, sigma_ext=None)
    """
    if candidate["magnr"] is None:
        return Corrected()
    reference, difference = 10 ** (-0.4 * candidate["magnr"]), 10 ** (-0.4 * candidate["magpsf"])
    flux = reference + candidate["isdiffpos"] * difference
    if flux <= 0:
        return Corrected()
    error = difference * candidate["sigmapsf"]
    of_reference = reference * (candidate["sigmagnr"] or 0.0)
    rest = error**2 - of_reference**2
    sigma = math.sqrt(rest) / flux if rest >= 0 else None
    return Corrected(-2.5 * math.log10(flux), sigma, error / flux)
