"""Keys that sort by the time when they were made."""

from __future__ import annotations

import sys
from uuid import UUID  # noqa: TC003  (SQLAlchemy reads annotations)

from sqlalchemy import Uuid
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from penstock.models.dataclass import in_dataclass, mixin

if sys.version_info >= (3, 14):
    from uuid import uuid7 as _uuid7
else:
    from uuid_utils.compat import uuid7 as _uuid7


def uuid7() -> UUID:
    """A new UUID of version 7 (RFC 9562): larger than all that this process has made before.

    >>> uuid7().version
    7
    >>> uuid7() < uuid7()
    True
    """
    return _uuid7()


@mixin
class UuidKey:
    """A mixin with a primary key `id`: a UUID of version 7, made when the row is, if none is given.

    It says when the row was made; where that is a secret, take another key.
    """

    @declared_attr
    def id(cls) -> Mapped[UUID]:  # noqa: N805  (what it is given is a class)
        """The key."""
        options = in_dataclass(cls, default_factory=uuid7, init=False)
        return mapped_column(Uuid, primary_key=True, insert_default=uuid7, sort_order=-1, **options)
