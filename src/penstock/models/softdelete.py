"""Rows that are deleted for those who do not ask for them."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Delete, SelectBase, Update, event
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column, with_loader_criteria
from sqlalchemy.orm.interfaces import UserDefinedOption

from penstock.backends.frames import REWRITES
from penstock.models.dataclass import in_dataclass, mixin
from penstock.models.types import UTCDateTime
from penstock.sqlalchemy_compat import options_of, with_only_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import ORMExecuteState

_SHOWN = "penstock_showing_deleted"


class _WithDeleted(UserDefinedOption):
    """Says that a statement, and what its objects load later, is about deleted rows too."""

    propagate_to_loaders = True


with_deleted = _WithDeleted()
"""The option of a statement that sees deleted rows: `select(Dam).options(with_deleted)`.

It holds for what the objects load later, too, and can be given to `Session.get(…, options=[with_deleted])`.
"""


@mixin
class SoftDelete:
    """A mixin whose rows can be marked as deleted; sessions hide them, unless asked.

    Every SELECT, UPDATE and DELETE of every session leaves them out, and so do relationships, joins,
    subqueries and counts. Connections, engines and SQL that is given as text see all rows.
    `session.delete(…)` really deletes.

    >>> from sqlalchemy import Integer
    >>> from sqlalchemy.orm import DeclarativeBase, mapped_column
    >>> class ExampleBase(DeclarativeBase):
    ...     pass
    >>> class Dam(SoftDelete, ExampleBase):
    ...     __tablename__ = "dam"
    ...     number = mapped_column(Integer, primary_key=True)
    >>> dam = Dam(number=1)
    >>> dam.soft_delete()
    >>> dam.is_deleted
    True
    """

    @declared_attr
    def deleted_at(cls) -> Mapped[datetime | None]:  # noqa: N805  (what it is given is a class)
        """When the row was deleted; None while it is there."""
        return mapped_column(UTCDateTime, sort_order=1002, **in_dataclass(cls, init=False))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not event.contains(Session, "do_orm_execute", _hide_deleted):
            event.listen(Session, "do_orm_execute", _hide_deleted)

    @hybrid_property
    def is_deleted(self) -> bool:
        """Whether the row is deleted; in a statement, too."""
        return self.deleted_at is not None

    @is_deleted.inplace.expression
    @classmethod
    def _is_deleted(cls) -> ColumnElement[bool]:
        return cls.deleted_at.is_not(None)

    def soft_delete(self) -> None:
        """Mark the row as deleted, when the session is flushed."""
        if self.deleted_at is None:
            self.deleted_at = datetime.now(UTC)

    def restore(self) -> None:
        """Restore the row, when the session is flushed."""
        self.deleted_at = None


def _is_there(cls: type[SoftDelete]) -> ColumnElement[bool]:
    return cls.deleted_at.is_(None)


# A function that has a name: objects keep the option, and are pickled with it.
_CRITERION = with_loader_criteria(SoftDelete, _is_there, include_aliases=True)


@contextmanager
def showing_deleted(session: Session | AsyncSession) -> Iterator[None]:
    """A block in which a session sees deleted rows.

    Args:
        session: The session; others are not concerned.
    """
    session.info[_SHOWN] = session.info.get(_SHOWN, 0) + 1
    try:
        yield
    finally:
        session.info[_SHOWN] -= 1


def is_hidden(session: Session, found: Any, options: Sequence[Any] = ()) -> bool:
    """Whether an object that a session has already is one that it would not load."""
    return isinstance(found, SoftDelete) and found.is_deleted and not _asked(session, options)


def _asked(session: Session, options: Sequence[Any]) -> bool:
    return bool(session.info.get(_SHOWN)) or any(isinstance(each, _WithDeleted) for each in options)


def _hide_deleted(state: ORMExecuteState) -> None:
    if state.is_column_load or not isinstance(state.statement, SelectBase | Update | Delete):
        return  # What a session has, it may refresh; SQLAlchemy has it so.
    state.statement = _hiding_deleted(state.session, state.statement)


def _hiding_deleted(session: Session, statement: Any) -> Any:
    """A statement as the session executes it."""
    # What loads a relationship has the options of what loaded the object, which may be of another time.
    options = options_of(statement)
    known = any(map(_hides, options))
    if not _asked(session, options):
        return statement if known else statement.options(_CRITERION)
    return with_only_options(statement, lambda each: not _hides(each)) if known else statement


setattr(_hide_deleted, REWRITES, _hiding_deleted)


def _hides(option: Any) -> bool:
    """Whether it is our option, or one that was pickled."""
    return getattr(option, "root_entity", None) is SoftDelete
