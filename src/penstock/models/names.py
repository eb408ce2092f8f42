"""Tables are called after their classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column
from sqlalchemy.orm import declared_attr, has_inherited_table

if TYPE_CHECKING:
    from collections.abc import Callable


class TableNames:
    """A mixin that calls a table after its class, in lower case and with an "s".

    A name that is given wins. A subclass is kept in the table of its parent, unless it has a table name or
    a column of its own that is a primary key, or is concrete. An abstract class has no table.

    >>> from sqlalchemy import Integer
    >>> from sqlalchemy.orm import DeclarativeBase, mapped_column
    >>> class ExampleBase(TableNames, DeclarativeBase):
    ...     pass
    >>> class HTTPLog(ExampleBase):
    ...     id = mapped_column(Integer, primary_key=True)
    >>> HTTPLog.__table__.name
    'httplogs'
    """

    if TYPE_CHECKING:
        __tablename__: Any
    else:

        @declared_attr.directive
        def __tablename__(cls) -> str | None:  # noqa: N805  (what it is given is a class)
            return _name_of(cls)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        given = vars(cls).get("__tablename__")
        if isinstance(given, str):
            # Subclasses would inherit it, and be taken for a second class with a table of this name.
            cls.__tablename__ = declared_attr.directive(_name_given_to(cls, given))


def _name_given_to(owner: type, name: str) -> Callable[[Any], str | None]:
    def __tablename__(cls: Any) -> str | None:  # noqa: N807  (SQLAlchemy looks at what it is called)
        return name if cls is owner else _name_of(cls)

    return __tablename__


def _name_of(cls: Any) -> str | None:
    if "__table__" in vars(cls):
        return str(cls.__table__.name)
    if "__mapper__" in vars(cls):  # It is mapped, and has no table of its own.
        return None
    own = not has_inherited_table(cls) or _has_own_key(cls) or _is_concrete(cls)
    return f"{cls.__name__.lower()}s" if own else None


def _has_own_key(cls: type) -> bool:
    columns = (getattr(value, "column", value) for value in vars(cls).values())
    return any(isinstance(column, Column) and column.primary_key for column in columns)


def _is_concrete(cls: type) -> bool:
    arguments = vars(cls).get("__mapper_args__")
    return isinstance(arguments, dict) and bool(arguments.get("concrete"))
