"""The app's one table: a stream gage."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The app's tables."""


class Gage(Base):
    """A place on a stream where the US Geological Survey measures the water.

    Attributes:
        number: The site number; text, since its zeros count.
        name: The station's name.
        kind: The type of site; "ST" is a stream.
        latitude: Degrees north.
        longitude: Degrees east, so negative in America.
        altitude: Feet above the datum; None where nobody measured it.
        datum: What the altitude is measured from, such as "NAVD88".
        basin: The code of the hydrologic unit, that is the river basin.
    """

    __tablename__ = "gage"

    number: Mapped[str] = mapped_column(String(15), primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    kind: Mapped[str | None] = mapped_column(String(7))
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    altitude: Mapped[float | None]
    datum: Mapped[str | None] = mapped_column(String(10))
    basin: Mapped[str | None] = mapped_column(String(16), index=True)
