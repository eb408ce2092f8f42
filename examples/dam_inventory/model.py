"""The table of dams, each a point on the map."""

from __future__ import annotations

from datetime import date
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

WGS_84 = 4326
"""The reference system of the points: longitude and latitude, in degrees."""


class Base(DeclarativeBase):
    """What the tables have in common."""


class Dam(Base):
    """A dam."""

    __tablename__ = "dam"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    owner: Mapped[str] = mapped_column(String(100))
    river: Mapped[str] = mapped_column(String(100))
    built: Mapped[date]
    location: Mapped[Any] = mapped_column(Geometry("POINT", srid=WGS_84), nullable=False)
