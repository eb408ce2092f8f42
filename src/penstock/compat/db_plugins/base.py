"""The class that models are derived from."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Double, inspect
from sqlalchemy.orm import DeclarativeBase

from penstock.backends.columns import MOMENT, TEXT, TEXTS


class Base(DeclarativeBase):
    """What the classes of these tables are derived from.

    Beside what every mapped class has, `row["mjd"]` reads an attribute by its name.
    """

    type_annotation_map: ClassVar[Any] = {str: TEXT, float: Double(), list[str]: TEXTS, datetime: MOMENT}
    query: ClassVar[Any]
    _shown: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, name: str) -> Any:
        if name not in inspect(type(self)).all_orm_descriptors:
            raise KeyError(name)
        return getattr(self, name)

    def __repr__(self) -> str:
        names = self._shown or [str(column.key) for column in inspect(type(self)).primary_key]
        values = ", ".join(f"{name}='{getattr(self, name)}'" for name in names)
        return f"<{type(self).__name__}({values})>"
