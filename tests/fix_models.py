"""Classes with what the ORM has: defaults, versions, inheritance, events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Computed,
    Double,
    FetchedValue,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Sequence,
    String,
    case,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    composite,
    mapped_column,
    relationship,
    synonym,
    validates,
)

from fix_tables import Shouted


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(40)}  # noqa: RUF012


def _from_row(context: Any) -> str:
    return f"of {context.get_current_parameters()['name']}"


class Made(Base):
    """What new rows get."""

    __tablename__ = "made"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    scalar: Mapped[str] = mapped_column(default="scalar")
    called: Mapped[str] = mapped_column(default=lambda: "called")
    looked: Mapped[str] = mapped_column(default=_from_row)
    at: Mapped[datetime] = mapped_column(default=func.now())
    sum: Mapped[int] = mapped_column(default=literal(1) + 41)
    drawn: Mapped[float] = mapped_column(Double, default=func.random())
    chosen: Mapped[int] = mapped_column(default=select(literal(5)).scalar_subquery())
    number: Mapped[int | None] = mapped_column(Integer, Sequence("made_numbers", metadata=Base.metadata))
    served: Mapped[str] = mapped_column(server_default="served")
    double: Mapped[int | None] = mapped_column(Computed("id * 2", persisted=True))


class Numbered(Base):
    """A row that the server numbers."""

    __tablename__ = "numbered"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str | None]


def _same() -> str:
    return "same"


class Touched(Base):
    """What each update sets."""

    __tablename__ = "touched"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    scalar: Mapped[str | None] = mapped_column(onupdate="scalar")
    called: Mapped[str | None] = mapped_column(onupdate=lambda: "called")
    both: Mapped[str | None] = mapped_column(default=_same, onupdate=_same)
    at: Mapped[datetime | None] = mapped_column(onupdate=func.now())


class Watched(Base):
    """What each update sets by its row."""

    __tablename__ = "watched"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    looked: Mapped[str | None] = mapped_column(onupdate=_from_row)


class Counted(Base):
    """A row with a version."""

    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    version: Mapped[int] = mapped_column("row version")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Stamped(Base):
    """A row with a version of one's own."""

    __tablename__ = "stamped"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    version: Mapped[str] = mapped_column()
    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda _: uuid4().hex}  # noqa: RUF012


class Stepped(Base):
    """A row whose versions are steps of ten."""

    __tablename__ = "stepped"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda old: (old or 0) + 10}  # noqa: RUF012


class Odd(Base):
    """A row whose next version can be told by the one before only."""

    __tablename__ = "odd"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    version: Mapped[str] = mapped_column()
    __mapper_args__ = {"version_id_col": version, "version_id_generator": lambda old: f"{int(old or 0) + 1}"}  # noqa: RUF012


class Served(Base):
    """A row whose versions are the server's."""

    __tablename__ = "served"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="7", server_onupdate=FetchedValue())
    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}  # noqa: RUF012


# --- inheritance ----------------------------------------------------------------------------------


class Event(Base):
    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str | None]
    name: Mapped[str | None]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "event"}  # noqa: RUF012


class Flood(Event):
    level: Mapped[float | None]
    __mapper_args__ = {"polymorphic_identity": "flood"}  # noqa: RUF012


class FlashFlood(Flood):
    __mapper_args__ = {"polymorphic_identity": "flash flood"}  # noqa: RUF012


class Hazard(Event):
    __mapper_args__ = {"polymorphic_abstract": True}  # noqa: RUF012


class Storm(Event):
    """In a table of its own, besides."""

    __tablename__ = "storm"

    id: Mapped[int] = mapped_column(ForeignKey("event.id"), primary_key=True)
    wind: Mapped[float | None]
    __mapper_args__ = {"polymorphic_identity": "storm"}  # noqa: RUF012


class Plan(Base):
    __tablename__ = "plan"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]


class Project(Plan):
    """In a table of its own, alone."""

    __tablename__ = "project"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    __mapper_args__ = {"concrete": True}  # noqa: RUF012


class Sized(Base):
    """Whose class depends on what it holds."""

    __tablename__ = "sized"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    __mapper_args__ = {  # noqa: RUF012
        "polymorphic_on": case((text("id > 1000"), "large"), else_="small"),
        "polymorphic_identity": "small",
    }


class Large(Sized):
    __mapper_args__ = {"polymorphic_identity": "large"}  # noqa: RUF012


# --- code of their own ----------------------------------------------------------------------------


class Owner(Base):
    __tablename__ = "owner"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None] = mapped_column(deferred=True)
    parts: Mapped[list[Part]] = relationship(lazy="joined", back_populates="owner")


class Part(Base):
    __tablename__ = "part"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="parts")


@dataclass
class Point:
    x: int | None
    y: int | None


HEARD: list[str] = []
"""What the code of `Coded` was called for."""


class Coded(Base):
    __tablename__ = "coded"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    shouted: Mapped[str | None] = mapped_column(Shouted)
    x: Mapped[int | None]
    y: Mapped[int | None]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))
    owner: Mapped[Owner | None] = relationship()
    called = synonym("name")
    place: Mapped[Point] = composite("x", "y")

    @hybrid_property
    def loud(self) -> str:
        return f"{self.name}!"

    @validates("name")
    def _validate(self, _key: str, value: Any) -> Any:
        HEARD.append("validates")
        return value


for name in ("before_insert", "before_update"):
    event.listen(Coded, name, lambda *_, name=name: HEARD.append(name))
