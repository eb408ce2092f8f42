"""What a column of a mixin is in a class that is a dataclass, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy.orm import MappedAsDataclass

_Class = TypeVar("_Class", bound=type)


def mixin(cls: _Class) -> _Class:
    """Let a class without fields be a parent of dataclasses, too: SQLAlchemy takes none that is not one.

    Args:
        cls: The class, whose columns are all made by methods.
    """
    made: Any = dataclass(init=False, repr=False, eq=False)
    return cast("_Class", made(cls))


def in_dataclass(cls: object, **options: Any) -> dict[str, Any]:
    """These options of `mapped_column`, which no other class may have.

    Args:
        cls: The class that gets the column.
        options: For a dataclass.

    >>> in_dataclass(object, init=False)
    {}
    """
    return options if isinstance(cls, type) and issubclass(cls, MappedAsDataclass) else {}
