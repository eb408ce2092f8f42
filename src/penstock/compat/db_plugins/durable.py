"""Rows are stored for good, beside what the session has pending."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from penstock import query
from penstock.compat.db_plugins.work import engine_apart, own_tables, work_of
from penstock.errors import RowRefused, UnknownColumn
from penstock.query import OnConflict
from penstock.query.loading import Loader, loader_of_class
from penstock.query.target import target_of

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from penstock.query import Written


# --- one row --------------------------------------------------------------------------------------


def get_or_create(
    session: Session, model: Any, where: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, bool]:
    """The row with these values, made for good if there is none, as an object of the session.

    Args:
        session: The session; where it has written rows that a new one may depend on, the row is made in its
            transaction.
        model: A mapped class.
        where: What tells the row.
        values: What a new row gets besides.
    """
    apart = engine_apart(session, model, where)
    if apart is None:
        return _within(session, model, where, values)
    try:
        return _apart(session, apart, model, where, values)
    except IntegrityError:
        if not _is_at_work(session):
            raise
    return _within(session, model, where, values)


def _within(
    session: Session, model: Any, where: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, bool]:
    with work_of(session).ours(*own_tables(model)):
        return query.get_or_create(session, model, where, values)


def _apart(
    session: Session, engine: Engine, model: Any, where: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, bool]:
    alone = work_of(session).autocommit(engine)
    loader = _loader(model)
    if loader or isinstance(model, Table):  # It takes half the time that a session of its own takes.
        with alone.connect() as connection:
            row, new = query.get_or_create(connection, model, where, values)
        return (row if loader is None else _made_of(session, loader, row)), new
    with Session(alone, autoflush=False, expire_on_commit=False) as own:
        found, new = query.get_or_create(own, model, where, values)
    if target_of(model).joins:  # Others that were loaded along may be in the session already.
        return session.get(model, inspect(found).identity, populate_existing=True), new
    return _adopted(session, found), new


@lru_cache(maxsize=1024)
def _loader(model: Any) -> Loader | None:
    """What makes objects of rows; None where an object is more than its row, or the ORM adds to new ones."""
    loader = loader_of_class(model)
    if any(each.default is not None or each.server_default is not None for each in target_of(model).table.c):
        return None
    # Reconstructors, composites and extensions listen to this event; there is no public way to ask.
    return None if loader is None or loader.mapper.class_manager.dispatch.load else loader


def _made_of(session: Session, loader: Loader, row: Any) -> Any:
    """The row as an object of the session."""
    found = row._mapping
    values = [found[column] for column in loader.columns]
    _, here = loader.here(session, values)
    if here is None:
        return loader.made(session, values)
    return _refreshed(here, zip(loader.names, values, strict=True))


def _adopted(session: Session, found: Any) -> Any:
    """An object of no session as one of this."""
    state = inspect(found)
    here = session.identity_map.get(state.key)
    if here is not None:
        names = (each.key for each in state.mapper.column_attrs)
        return _refreshed(here, [(name, state.dict[name]) for name in names if name in state.dict])
    session.add(found)
    return found


def _refreshed(here: Any, values: Iterable[tuple[str, Any]]) -> Any:
    """An object of the session with what is stored of it now; what is changed of it there, stays so."""
    changed = inspect(here).committed_state
    for name, value in values:
        if name not in changed:
            set_committed_value(here, name, value)
    return here


def _is_at_work(session: Session) -> bool:
    return bool(work_of(session) or session.new or session.dirty or session.deleted)


# --- many rows ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    """How many rows are stored.

    Args:
        strict: Whether a key that is no column is an error; else it is left out, with a warning.
        on_conflict: What is done about a row that is there.
        key: What tells whether a row is there; the primary key by default.
        nan: What becomes of NaN: "null", or "keep".
    """

    strict: bool = False
    on_conflict: OnConflict | str = "nothing"
    key: tuple[str, ...] | None = None
    nan: str = "null"

    def write(self, on: Session | Engine, model: Any, rows: Any) -> Written:
        """Store the rows."""
        missing: Any = {"nan": self.nan}
        return query.bulk_insert(on, model, rows, on_conflict=self.on_conflict, key=self.key, **missing)


def bulk_insert(
    session: Session, model: Any, objects: Any, options: BulkOptions
) -> tuple[Written, Sequence[str]]:
    """Store many rows for good: all of them, or none.

    Args:
        session: The session; see `get_or_create`.
        model: A mapped class or a table.
        objects: See `penstock.query.bulk_insert`; one mapping is one row.
        options: How.

    Returns:
        How many were inserted, updated, skipped; and the keys that are no columns.
    """
    rows = [objects] if isinstance(objects, Mapping) else objects
    known = None if options.strict else _Known(model)
    apart = engine_apart(session, model)
    if isinstance(rows, Iterator):
        rows = rows if known is None else known.filtered(rows)
        if apart is not None and _is_at_work(session):  # They may be needed again.
            rows = list(rows)
    done = _bulk_inserted(session, apart, model, rows, (options, known))
    return done, sorted(map(str, known.left_out)) if known else ()


def _bulk_inserted(
    session: Session, apart: Engine | None, model: Any, rows: Any, how: tuple[BulkOptions, _Known | None]
) -> Written:
    if apart is not None:
        try:
            return _written(apart, model, rows, *how)
        except RowRefused as error:
            if not (_is_at_work(session) and isinstance(error.__cause__, IntegrityError)):
                raise
    session.flush()
    with work_of(session).ours(*own_tables(model)):
        return _written(session, model, rows, *how)


def _written(
    on: Session | Engine, model: Any, rows: Any, options: BulkOptions, known: _Known | None
) -> Written:
    try:
        return options.write(on, model, rows)
    except UnknownColumn:
        if known is None:
            raise
    return options.write(on, model, known.of(rows))


class _Known:
    """Leaves out of rows what is no column.

    Attributes:
        left_out: The keys.
    """

    def __init__(self, model: Any) -> None:
        self._names = target_of(model).columns.keys()
        self.left_out: set[Any] = set()

    def of(self, rows: Any) -> Any:
        """The rows, be they mappings or a data frame."""
        columns = getattr(rows, "column_names", getattr(rows, "columns", None))
        if columns is None:
            return list(self.filtered(rows))
        names = [name for name in columns if name in self._names]
        self.left_out.update(set(columns).difference(names))
        return rows.select(names) if hasattr(rows, "select") else rows[names]

    def filtered(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows, one after the other."""
        names = self._names
        for row in rows:
            if isinstance(row, Mapping) and not row.keys() <= names:
                self.left_out |= row.keys() - names
                yield {name: value for name, value in row.items() if name in names}
            else:
                yield row
