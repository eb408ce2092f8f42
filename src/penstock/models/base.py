"""A declarative base whose constraints and indexes have names of their own."""

from __future__ import annotations

from types import MappingProxyType

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

NAMING_CONVENTION = MappingProxyType(
    {
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""How constraints and indexes are called; so the same on every server, which migrations need.

>>> MetaData(naming_convention=NAMING_CONVENTION).naming_convention["pk"]
'pk_%(table_name)s'
"""


class Base(DeclarativeBase):
    """A base for the classes of one schema, with the naming convention.

    All its classes are in one `Base.metadata`. Where several apps share a process, each declares a base of
    its own, else each store gets the tables of all of them:

    >>> class OwnBase(DeclarativeBase):
    ...     metadata = MetaData(naming_convention=NAMING_CONVENTION)
    """

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
