"""When a row was made, and when it was changed last."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  (SQLAlchemy reads annotations)
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapped, Mapper, declared_attr, mapped_column

from penstock.models.dataclass import in_dataclass, mixin
from penstock.models.types import UTCDateTime, utc_now


@mixin
class Timestamps:
    """A mixin with `created_at` and `updated_at`, aware and in UTC, by the server's clock.

    The server fills in both for every new row, whoever writes it. `updated_at` is renewed by every UPDATE
    that SQLAlchemy or Penstock makes, also in bulk; not by SQL that is given as text.
    """

    @declared_attr
    def created_at(cls) -> Mapped[datetime]:  # noqa: N805  (what it is given is a class)
        """When the row was made."""
        options = in_dataclass(cls, init=False)
        return mapped_column(UTCDateTime, server_default=utc_now(), sort_order=1000, **options)

    @declared_attr
    def updated_at(cls) -> Mapped[datetime]:  # noqa: N805
        """When the row was changed last."""
        options = in_dataclass(cls, init=False)
        made: Any = {"server_default": utc_now(), "onupdate": utc_now()}
        return mapped_column(UTCDateTime, sort_order=1001, **made, **options)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        mapper: Any = inspect(cls, raiseerr=False)
        if isinstance(mapper, Mapper) and mapper.eager_defaults == "auto":
            # After an UPDATE, an attribute that has to be loaded could not be read in an event loop.
            mapper.eager_defaults = True
