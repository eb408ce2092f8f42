"""Makes an object of its row, where the ORM would do no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Column, Connection, Table, inspect, literal_column, select
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from penstock.query.stored import parameters
from penstock.query.target import Target, target_of

if TYPE_CHECKING:
    from sqlalchemy import Select
    from sqlalchemy.orm import InstanceState

_LATER = frozenset({True, "select", "raise", "raise_on_sql", "write_only", "dynamic"})
"""How relationships are loaded that an object which is loaded knows nothing of."""


@dataclass(frozen=True, slots=True, eq=False)
class Loader:
    """Makes objects of rows: a fifth of what a SELECT through the session takes for a single one.

    Args:
        mapper: Of the class.
        names: Its attributes that are columns.
        columns: These columns: what a row has to have, in this order.
        key: The places of the primary key in a row.
    """

    mapper: Mapper[Any]
    names: Sequence[str]
    columns: Sequence[Column[Any]]
    key: Sequence[int]

    def loaded(self, session: Session, row: Sequence[Any]) -> Any:
        """The object of a row, as the session loads it: what it has of one already, stays so.

        Returns:
            None for a row of which the ORM makes no object.
        """
        identity, here = self.here(session, row)
        if here is None:
            return self._new(session, identity, row)
        held = instance_state(here).dict
        for name, value in zip(self.names, row, strict=True):
            if name not in held:  # It is expired, or was not loaded.
                set_committed_value(here, name, value)
        return here

    def made(self, session: Session, row: Sequence[Any]) -> Any:
        """The object of a row that is new; what the session has of another with this key, is forgotten.

        Returns:
            None for a row of which the ORM makes no object.
        """
        identity, here = self.here(session, row)
        if here is None:
            return self._new(session, identity, row)
        return session.get(self.mapper.class_, identity, populate_existing=True)

    def here(self, session: Session, row: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        """The primary key of a row, and the object that the session has of it, or None."""
        identity = tuple([row[place] for place in self.key])
        return identity, session.identity_map.get(self.mapper.identity_key_from_primary_key(identity))

    def _new(self, session: Session, identity: tuple[Any, ...], row: Sequence[Any]) -> Any:
        if None in identity:
            return None
        made = self.mapper.class_manager.new_instance()
        state: InstanceState[Any] = instance_state(made)
        # All that make_transient_to_detached does for one of which nothing is expired or changed; it takes
        # as long as all the rest. A test compares such objects with those that the ORM loads.
        state.dict.update(zip(self.names, row, strict=True))
        state.key = self.mapper.identity_key_from_primary_key(identity)
        session.add(made)
        return made


def loader_of(source: Session | Connection, target: Target) -> Loader | None:
    """What makes objects of rows for a session; None where the ORM has more to do, or others look on.

    What listens to an event is not public; what has no such attribute has no such event.
    """
    kind: Any = type(source)
    if not target.mapped or not isinstance(source, Session) or not _is_ordinary(kind):
        return None
    model: Any = target.model
    loader = loader_of_class(model)
    if loader is None or getattr(source, "execution_options", None):
        return None
    heard, of_class = source.dispatch, loader.mapper.class_manager.dispatch
    if heard.do_orm_execute or heard.loaded_as_persistent or heard.detached_to_persistent:
        return None
    if heard.before_attach or heard.after_attach:
        return None
    return None if of_class.load or of_class.refresh or of_class.expire else loader


def has_pending(session: Session) -> bool:
    """Whether a query would have the session write something first."""
    return session.autoflush and bool(session.new or session.dirty or session.deleted)


@lru_cache(maxsize=1024)
def row_query(model: Any, names: tuple[str, ...]) -> Select[Any]:
    """The SELECT of what the loader of a class takes, for the rows with these values; two are enough."""
    target = target_of(model)
    given = parameters(target, names)
    query = select(*cast("Loader", loader_of_class(model)).columns)
    return query.where(*(target.columns[name] == given[name] for name in names)).limit(literal_column("2"))


@lru_cache(maxsize=256)
def _is_ordinary(kind: type[Session]) -> bool:
    """Whether sessions of this class send statements, and take objects, as SQLAlchemy has it."""
    return all(getattr(kind, name) is getattr(Session, name) for name in ("get_bind", "scalars", "add"))


@lru_cache(maxsize=1024)
def loader_of_class(model: Any) -> Loader | None:
    """The loader of a class; None if its objects are more than their rows."""
    mapper, target = inspect(model), target_of(model)
    if isinstance(model, Table) or not _is_alone(mapper, target):
        return None
    own = {each.key: each.columns for each in mapper.column_attrs}
    if any(each.deferred for each in mapper.column_attrs) or any(len(each) > 1 for each in own.values()):
        return None
    if list(own) != list(target.columns) or any(each.lazy not in _LATER for each in mapper.relationships):
        return None
    columns = list(target.columns.values())
    if any(column.table is not target.table for column in columns):
        return None
    return Loader(mapper, list(own), columns, [columns.index(column) for column in mapper.primary_key])


def _is_alone(mapper: Mapper[Any], target: Target) -> bool:
    """Whether a class maps one table, without inheritance and without what only the ORM does."""
    several = mapper.inherits is not None or mapper.polymorphic_on is not None
    special = target.made_by_orm or target.joins or target.version is not None or mapper.always_refresh
    return not (several or special or mapper.composites)
