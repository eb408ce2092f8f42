"""Synthetic alerts: a packet, real or made up, with other numbers each time."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from alert_broker.packets import Alert
from alert_broker.template import TEMPLATE

_NIGHTS = 3
"""From one alert of an object to the next one."""

_WINDOW = 30.0
"""How many days before an alert its history begins."""

_SEEDS = 700
"""So many seeds make different objects; more do not fit into the number of a candidate."""

_MOST = 10_000_000
"""Objects of one seed, at most."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"

_ONLY_OF_ALERT = {"ndethist", "ncovhist", "jdstarthist", "jdendhist", "drb", "drbversion", "rfid", "exptime"}
_ONLY_OF_ALERT |= {
    "jdstartref",
    "jdendref",
    "nframesref",
    "nmtchps",
    "dsnrms",
    "ssnrms",
    "nmatches",
    "clrmed",
}
_ONLY_OF_ALERT |= {"clrrms", "zpclrcov", "zpmed", "neargaia", "neargaiabright", "maggaia", "maggaiabright"}
"""What the candidates in a history do not have."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Alerts of objects that flare up and fade, the same ones whenever they are made.

    Args:
        objects: Of how many objects they are, in turn.
        seed: From 0 to 699; another one makes others.
        templates: The alerts that are perturbed; without any, one that is made up.
    """

    objects: int
    seed: int = 0
    templates: Sequence[Alert] = field(default=(), repr=False)

    def alert(self, index: int) -> Alert:
        """The alert with this number, from 0; those of an object are as many apart as there are objects."""
        turn, number = divmod(index, self.objects)
        star = _Star(self, number)
        alert = star.candidate(turn)
        history = [star.old_candidate(each) for each in range(turn) if star.jd(each) > alert["jd"] - _WINDOW]
        history += [each for each in star.limits(turn) if each["jd"] > alert["jd"] - _WINDOW]
        history.sort(key=lambda each: each["jd"])
        oid, candid = star.oid, alert["candid"]
        return {"objectId": oid, "candid": candid, "candidate": alert, "prv_candidates": history}

    def template(self, number: int) -> dict[str, Any]:
        """The candidate that an object is made after."""
        alert = self.templates[number % len(self.templates)] if self.templates else TEMPLATE
        return dict(alert["candidate"])


class _Star:
    """One object, and how it varies."""

    def __init__(self, replay: Replay, number: int) -> None:
        number += replay.seed % _SEEDS * _MOST
        chance = random.Random(number)  # noqa: S311  (no cipher)
        self._template = replay.template(number)
        self._chance = chance
        self._number = number
        self.oid = f"ZTF{18 + number % 7}{_letters(number)}"
        self._ra = chance.uniform(0, 360)
        self._dec = math.degrees(math.asin(chance.uniform(-0.5, 1)))
        self._first = self._template["jd"] + number % 60 + chance.uniform(-0.05, 0.05)
        self._peak, self._days = chance.uniform(16.5, 18.8), chance.uniform(7, 14)
        self._colour = chance.uniform(-0.1, 0.5)
        self._shift = chance.uniform(-0.5, 0.5)
        self._noise: list[tuple[float, ...]] = []

    def jd(self, turn: int) -> float:
        """When it was seen."""
        return self._first + turn * _NIGHTS + 0.01 * ((turn * 7 + self._number) % 5)

    def candidate(self, turn: int) -> dict[str, Any]:
        """What is seen of it then."""
        template, number = self._template, self._number
        ra, dec, mag, sigma, limit = self._seen(turn)
        fid, jd = 1 + turn % 2, self.jd(turn)
        changed = {
            "jd": jd,
            "fid": fid,
            "pid": 1_000_000_000 + turn,
            "candid": 1_000_000_000_000_000 + number * 10_000 + turn,
            "nid": int(jd - 2_457_754.5),
            "ra": ra,
            "dec": dec,
            "magpsf": mag,
            "sigmapsf": sigma,
            "magap": mag + 0.01,
            "sigmagap": sigma * 1.1,
            "diffmaglim": limit,
            "ranr": self._ra,
            "decnr": self._dec,
            "rfid": template["rfid"] + fid,
            "objectidps1": template["objectidps1"] and template["objectidps1"] + number * 1024,
            "magnr": template["magnr"] and template["magnr"] + self._shift,
            "ndethist": turn + 1,
            "ncovhist": 3 * turn + 9,
            "jdstarthist": self._first,
            "jdendhist": jd,
        }
        return {**template, **changed}

    def old_candidate(self, turn: int) -> dict[str, Any]:
        """The same as a later alert remembers it."""
        found = self.candidate(turn)
        return {name: value for name, value in found.items() if name not in _ONLY_OF_ALERT}

    def limits(self, turn: int) -> list[dict[str, Any]]:
        """When it was looked for until then and not seen: five nights before, then two between."""
        nights = [self._first - each - 1.5 for each in range(5)]
        nights += [self.jd(each) + more for each in range(turn) for more in (1.0, 2.0)]
        chance = random.Random(self._number)  # noqa: S311
        found = []
        for number, jd in enumerate(nights):
            fid, some = 1 + number % 2, chance.random()
            # Before it flares up there is nothing to see; later only clouds can hide it.
            limit = 19.8 + 0.7 * some if number < 5 else self._mag(jd, fid) - 0.1 - 0.6 * some
            found.append({"jd": jd, "fid": fid, "candid": None, "diffmaglim": limit})
        return found

    def _mag(self, jd: float, fid: int) -> float:
        """How bright it is: it rises fast and fades slowly."""
        days = jd - self._first - self._days
        fade = (days / 5) ** 2 / 2 if days < 0 else days / 9
        return min(self._peak + (self._colour if fid == 1 else 0.0) + fade, 19.6)

    def _seen(self, turn: int) -> tuple[float, float, float, float, float]:
        """Place, magnitude and its uncertainty, limit; the same for a turn whenever it is asked for."""
        while len(self._noise) <= turn:
            gauss = self._chance.gauss
            self._noise.append((gauss(0, 2e-5), gauss(0, 2e-5), gauss(0, 1), self._chance.random()))
        ra, dec, noise, deep = self._noise[turn]
        mag = self._mag(self.jd(turn), 1 + turn % 2)
        sigma = 0.03 + 0.12 * 10 ** (0.4 * (mag - 19.5))
        return (self._ra + ra) % 360, self._dec + dec, mag + noise * sigma, sigma, 20.2 + 0.6 * deep


def _letters(number: int) -> str:
    found = []
    for _ in range(7):
        number, letter = divmod(number, 26)
        found.append(_LETTERS[letter])
    return "".join(reversed(found))
