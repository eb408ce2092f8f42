"""What type checkers make of declared classes; read, never run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, assert_type
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Mapped,
    MappedAsDataclass,
    Session,
    mapped_column,
)

from penstock import models
from penstock.models import (
    Base,
    Finders,
    Order,
    SoftDelete,
    TableNames,
    Timestamps,
    UTCDateTime,
    UuidKey,
    showing_deleted,
    utc_now,
    with_deleted,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


class Dam(TableNames, UuidKey, Timestamps, SoftDelete, Finders, Base):
    """A class with all of them."""

    name: Mapped[str]
    inspected: Mapped[datetime | None] = mapped_column(UTCDateTime)


class Gate(TableNames, Base):
    """A class with a name that is given."""

    __tablename__ = "gate"

    id: Mapped[int] = mapped_column(primary_key=True)


class DataBase(MappedAsDataclass, DeclarativeBase):
    """The base of dataclasses."""


class Reading(TableNames, UuidKey, Timestamps, SoftDelete, Finders, DataBase):
    """A dataclass."""

    level: Mapped[int]


def check(session: Session, other: AsyncSession) -> None:
    """Attributes have their types, and finders give objects of the class."""
    dam = Dam(name="Logan")
    assert_type(dam.id, UUID)
    assert_type(dam.created_at, datetime)
    assert_type(dam.deleted_at, datetime | None)
    assert_type(dam.is_deleted, bool)
    assert_type(Dam.created_at, InstrumentedAttribute[datetime])
    assert_type(Dam.by_id(session, 1), Dam | None)
    assert_type(Dam.by_ids(session, [1]), list[Dam])
    assert_type(Dam.in_range(session, Dam.is_deleted, order=Order(by="name")), list[Dam])
    assert_type(models.by_lower(session, Gate, "id", "x"), Gate | None)
    assert_type(dam.columns_as_dict(), dict[str, Any])
    assert_type(utc_now(), ColumnElement[datetime])
    assert_type(Reading(level=1).id, UUID)
    session.scalars(select(Dam).where(Dam.deleted_at.is_(None), Dam.is_deleted).options(with_deleted))
    with showing_deleted(session), showing_deleted(other):
        pass
