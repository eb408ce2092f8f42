"""Questions that only a spatial store answers; the same words on PostGIS and SpatiaLite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geoalchemy2 import WKTElement
from sqlalchemy import func, select

from dam_inventory.model import WGS_84, Dam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

EARTH = 6371.0088
"""The mean radius of the earth, in kilometres (IUGG)."""


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of the map, between meridians and parallels.

    Args:
        west: The least longitude, in degrees.
        south: The least latitude, in degrees.
        east: The greatest longitude, in degrees.
        north: The greatest latitude, in degrees.
    """

    west: float
    south: float
    east: float
    north: float

    @property
    def outline(self) -> WKTElement:
        """Its outline, as a polygon."""
        corners = [
            (self.west, self.south),
            (self.east, self.south),
            (self.east, self.north),
            (self.west, self.north),
            (self.west, self.south),
        ]
        points = ", ".join(f"{longitude} {latitude}" for longitude, latitude in corners)
        return WKTElement(f"POLYGON(({points}))", srid=WGS_84)


def at(longitude: float, latitude: float) -> WKTElement:
    """A point on the map, in degrees."""
    return WKTElement(f"POINT({longitude} {latitude})", srid=WGS_84)


def dams_in(session: Session, box: Box) -> Sequence[Dam]:
    """The dams in a piece of the map, by name."""
    inside = func.ST_Within(Dam.location, box.outline)
    return session.scalars(select(Dam).where(inside).order_by(Dam.name)).all()


def nearest_dams(
    session: Session, longitude: float, latitude: float, count: int = 3
) -> list[tuple[Dam, float]]:
    """The nearest dams to a place, each with its distance in kilometres.

    Args:
        session: A session of the store.
        longitude: Where the place is, in degrees east.
        latitude: Where the place is, in degrees north.
        count: How many dams are wanted; default 3.
    """
    distance = _distance(longitude, latitude).label("distance")
    found = session.execute(select(Dam, distance).order_by(distance).limit(count))
    return [(dam, float(far)) for dam, far in found]


def _distance(longitude: float, latitude: float) -> ColumnElement[float]:
    """The distance along a great circle: R. W. Sinnott, "Virtues of the Haversine", 1984."""
    north, south = func.radians(latitude), func.radians(func.ST_Y(Dam.location))
    apart = func.radians(func.ST_X(Dam.location) - longitude)
    half = _square(func.sin((south - north) / 2))
    half += func.cos(north) * func.cos(south) * _square(func.sin(apart / 2))
    return 2 * EARTH * func.asin(func.sqrt(half))


def _square(value: ColumnElement[float]) -> ColumnElement[float]:
    return value * value
