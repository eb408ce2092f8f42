"""Users, and what they say of themselves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, mapped_column

from penstock.compat.tent.dbm import Base, TableMixin
from penstock.errors import RowRefused
from penstock.models import uuid7

__all__ = ["Profile", "User"]

_LONGEST = 150


@dataclass(frozen=True)
class Profile:
    """What a user says of themselves; to change it, set the user's attributes, or give the user another.

    Args:
        avatar_url: Where their picture is.
        birthdate: When they were born.
        location: Where they are.
        gender: What they are.
        bio: What they have to say.
    """

    avatar_url: str | None = None
    birthdate: date | None = None
    location: str | None = None
    gender: str | None = None
    bio: str | None = None


class User(TableMixin, Base):
    """A person who keeps their data on this server.

    Args:
        name: What they are called; several may have one name.
        profile: What they say of themselves, by attribute.

    Attributes:
        entity_id: The key; of each user another one, whatever the name.

    Raises:
        RowRefused: There is no name.

    >>> user = User("Joe Public", bio="Of the public.")
    >>> user.entity_id
    'http://localhost/joe.public...'
    >>> user.profile.bio
    'Of the public.'
    """

    entity_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    avatar_url: Mapped[str | None] = mapped_column(Text)
    birthdate: Mapped[date | None]
    location: Mapped[str | None] = mapped_column(String(255))
    gender: Mapped[str | None] = mapped_column(String(255))
    bio: Mapped[str | None] = mapped_column(Text)

    def __init__(self, name: str, **profile: Any) -> None:
        given: Any = name
        if not isinstance(given, str) or not given.strip():
            raise RowRefused("A user has no name.", hint='Give one: User("Joe Public").')
        called = name.strip().lower().replace(" ", ".")[:_LONGEST]
        whole = profile.pop("profile", None) or Profile(**profile)
        super().__init__(name=name, entity_id=f"http://localhost/{called}.{uuid7().hex}", **asdict(whole))

    @property
    def profile(self) -> Profile:
        """All that the user says of themselves."""
        return Profile(**{each.name: getattr(self, each.name) for each in fields(Profile)})

    @profile.setter
    def profile(self, profile: Profile) -> None:
        for name, value in asdict(profile).items():
            setattr(self, name, value)
