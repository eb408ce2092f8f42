"""Reads an object's light curve back: page by page, or whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import literal, null, select, union

from penstock.compat.db_plugins.models import Detection, NonDetection, Object
from penstock.query import exists, paginate_keyset

if TYPE_CHECKING:
    from sqlalchemy import CompoundSelect
    from sqlalchemy.orm import Session

FILTERS = {1: "g", 2: "r", 3: "i"}


class UnknownObject(LookupError):
    """No alert of this object was stored."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One look at the object.

    Args:
        mjd: When: modified Julian date.
        fid: The filter: 1 is g, 2 is r, 3 is i.
        candid: The detection; 0 if nothing was seen.
        mag: The magnitude of the difference; None if nothing was seen.
        sigma: Its uncertainty.
        mag_corr: The magnitude of the source itself, if that is known.
        sigma_corr: Its uncertainty.
        isdiffpos: 1 if it was brighter than in the reference, -1 if it was fainter, 0 if nothing was seen.
        limit: How faint a source could have been seen.
        dubious: Whether the correction is dubious.
    """

    mjd: float
    fid: int
    candid: int
    mag: float | None
    sigma: float | None
    mag_corr: float | None
    sigma_corr: float | None
    isdiffpos: int
    limit: float | None
    dubious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LightCurve:
    """A light curve, or a page of one.

    Args:
        oid: The object.
        epochs: By time.
        next: Where the next page goes on; None if there is none.
        prev: Before what the page before it ends; None if there is none.
    """

    oid: str
    epochs: Sequence[Epoch]
    next: str | None = None
    prev: str | None = None

    @property
    def detections(self) -> list[Epoch]:
        """When it was seen."""
        return [epoch for epoch in self.epochs if epoch.candid]

    @property
    def non_detections(self) -> list[Epoch]:
        """When it was not."""
        return [epoch for epoch in self.epochs if not epoch.candid]

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        limits = [{"mjd": e.mjd, "fid": e.fid, "diffmaglim": e.limit} for e in self.non_detections]
        return {
            "oid": self.oid,
            "detections": [asdict(epoch) for epoch in self.detections],
            "non_detections": limits,
            "next": self.next,
            "prev": self.prev,
        }


def read_page(
    session: Session, oid: str, *, after: str | None = None, before: str | None = None, per_page: int = 50
) -> LightCurve:
    """One page of a light curve, by time.

    Args:
        session: A session.
        oid: The object.
        after: Where it goes on: what the page before it has as `next`.
        before: Or what the page after it has as `prev`.
        per_page: How many epochs it has at most.

    Raises:
        UnknownObject: There is no such object.
        penstock.errors.InvalidCursor: `after` or `before` is nothing of the kind.
    """
    if not exists(session, Object, {"oid": oid}):
        raise UnknownObject(f"There is no object {oid!r}.")
    page = paginate_keyset(session, _epochs(oid), after=after, before=before, per_page=per_page)
    epochs = [Epoch(*row) for row in page.items]
    return LightCurve(oid=oid, epochs=epochs, next=page.next_cursor, prev=page.prev_cursor)


def read_whole(session: Session, oid: str) -> LightCurve:
    """A whole light curve.

    Raises:
        UnknownObject: There is no such object.
    """
    page = read_page(session, oid, per_page=1000)
    epochs = list(page.epochs)
    while page.next:
        page = read_page(session, oid, after=page.next, per_page=1000)
        epochs += page.epochs
    return LightCurve(oid=oid, epochs=epochs)


def _epochs(oid: str) -> CompoundSelect[Any]:
    """Detections and non-detections as rows of one kind, by time."""
    d, n = Detection, NonDetection
    seen = select(
        *(d.mjd, d.fid, d.candid, d.magpsf, d.sigmapsf, d.magpsf_corr, d.sigmapsf_corr, d.isdiffpos),
        *(d.diffmaglim, d.dubious),
    ).where(d.oid == oid)
    zero, no = literal(0), literal(False)
    unseen = select(
        *(n.mjd, n.fid, zero, null(), null(), null(), null(), zero, n.diffmaglim, no),
    ).where(n.oid == oid)
    both: CompoundSelect[Any] = union(seen, unseen)
    return both.order_by(*(both.selected_columns[name] for name in ("mjd", "fid", "candid")))
