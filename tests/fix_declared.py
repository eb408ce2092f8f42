"""Classes that are declared with what `penstock.models` has."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Integer, MetaData, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, relationship

from penstock.models import (
    NAMING_CONVENTION,
    Finders,
    SoftDelete,
    TableNames,
    Timestamps,
    UTCDateTime,
    UuidKey,
)


class Declared(TableNames, DeclarativeBase):
    """The tables."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


class River(SoftDelete, Finders, Declared):
    """Has dams."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str | None] = mapped_column("river name", String(40), index=True)
    dams: Mapped[list[Dam]] = relationship(back_populates="river", order_by="Dam.name")


class Dam(UuidKey, Timestamps, SoftDelete, Finders, Declared):
    """Has everything."""

    name: Mapped[str] = mapped_column(String(40))
    river_id: Mapped[int | None] = mapped_column(ForeignKey("rivers.id"))
    inspected: Mapped[datetime | None] = mapped_column(UTCDateTime)
    river: Mapped[River | None] = relationship(back_populates="dams")
    __table_args__ = (UniqueConstraint("name"),)


class Gate(Finders, Declared):
    """Has a key of two columns, and no mark of deletion."""

    dam: Mapped[str] = mapped_column("dam name", String(40), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    note: Mapped[str | None] = mapped_column(String(80), deferred=True)
    river_id: Mapped[int | None] = mapped_column(ForeignKey("rivers.id"))
    river: Mapped[River | None] = relationship()


CASELESS = (
    String(40)
    .with_variant(String(40, collation="NOCASE"), "sqlite")
    .with_variant(String(40, collation="utf8mb4_general_ci"), "mysql", "mariadb")
)
"""A text whose case does not matter, where there is such a thing."""


class Town(Finders, Declared):
    """Has texts whose case does not matter."""

    name: Mapped[str] = mapped_column(CASELESS, primary_key=True)
    label: Mapped[str | None] = mapped_column(CASELESS)


class Work(UuidKey, Timestamps, SoftDelete, Declared):
    """Has subclasses."""

    kind: Mapped[str] = mapped_column(String(20))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "work"}  # noqa: RUF012


class Repair(Work):
    """In the same table."""

    cost: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "repair"}  # noqa: RUF012


class Survey(Work):
    """In a table of its own, besides."""

    id: Mapped[UUID] = mapped_column(ForeignKey("works.id"), primary_key=True)
    length: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "survey"}  # noqa: RUF012


class AsDataclass(MappedAsDataclass, Declared):
    """The base of those that are dataclasses, too."""

    __abstract__ = True


class Reading(UuidKey, Timestamps, SoftDelete, Finders, AsDataclass):
    """Is a dataclass."""

    level: Mapped[int] = mapped_column(Integer)
    taken: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)


class Login(SoftDelete, Declared):
    """Whose name is free again once it is deleted; where indexes can be partial."""

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    __table_args__: Any = (
        Index(
            "uq_logins_name",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
            sqlite_where=text("deleted_at IS NULL"),
        ),
    )
