"""Inserts the rows that do not exist yet, as objects or plain rows."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session

from penstock.backends.keys import places_in_order
from penstock.backends.rows import OnConflict, Writing
from penstock.backends.transactions import savepoint
from penstock.query.filling import asks_for_others, own_values, with_defaults
from penstock.query.loading import loader_of
from penstock.query.nonfinite import check_nonfinite
from penstock.query.objects import made_by_orm
from penstock.query.stored import numbered, parameters
from penstock.query.target import Target, connection_of, rows_backend, target_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.backends.rows import RowBackend


def make_many(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    keys: Sequence[tuple[Any, ...]],
    rows: Sequence[Mapping[str, Any]],
    on_conflict: OnConflict = OnConflict.NOTHING,
) -> list[Any]:
    """The rows that could be inserted, in the order of their keys, so that writers can't deadlock."""
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for place in places_in_order(len(keys), list(zip(*keys, strict=True)), last_of_each=False):
        alike.setdefault(tuple(sorted(rows[place])), []).append(rows[place])
    made: list[Any] = []
    for group in alike.values():
        made += _made(source, target, group, on_conflict, names)
    return made


def _made(
    source: Session | Connection,
    target: Target,
    rows: Sequence[Mapping[str, Any]],
    on_conflict: OnConflict,
    key: Sequence[str] = (),
) -> list[Any]:
    """The rows that were stored; a failure leaves the transaction as it was."""
    connection = connection_of(source, target)
    backend = rows_backend(connection)
    if isinstance(source, Session) and target.made_by_orm:
        with savepoint(connection, backend):
            made = [made_by_orm(source, target, row, on_conflict) for row in rows]
        return [each for each in made if each is not None]
    if asks_for_others(target.table):
        rows = [with_defaults(target, row) for row in rows]
    given = [target.columns[name] for name in rows[0]]
    objects = isinstance(source, Session) and target.mapped
    makers = {} if objects else own_values(target, given)
    wanted = Writing(
        table=target.table,
        columns=[*given, *makers],
        on_conflict=on_conflict,
        key=[target.columns[name] for name in key],
    )
    if isinstance(source, Session) and objects:
        return _objects(source, connection, target, wanted, rows)
    named = [
        {
            **{target.columns[name].key: value for name, value in row.items()},
            **{column.key: make() for column, make in makers.items()},
        }
        for row in rows
    ]
    with _whole(connection, backend, single=len(named) == 1):
        return list(backend.create(source, connection, target.table, wanted, named))


def _whole(connection: Connection, backend: RowBackend, *, single: bool) -> AbstractContextManager[None]:
    """What undoes a failure; in autocommit, the INSERT of a single row is a transaction by itself."""
    if single and backend.returns_new_only and backend.autocommits(connection):
        return nullcontext()
    return savepoint(connection, backend)


def _objects(
    session: Session,
    connection: Connection,
    target: Target,
    wanted: Writing,
    rows: Sequence[Mapping[str, Any]],
) -> list[Any]:
    backend = rows_backend(connection)
    try:
        with savepoint(connection, backend), session.no_autoflush:
            return list(backend.create(session, connection, target.model, wanted, rows))
    except InvalidRequestError:
        # Some servers give the row that is there, too: one of another class is no object of this one.
        if target.criterion is None or wanted.on_conflict is OnConflict.ERROR:
            raise
    made: list[Any] = []
    for row in rows:
        with suppress(IntegrityError):
            made += _objects(
                session, connection, target, replace(wanted, on_conflict=OnConflict.ERROR), [row]
            )
    return made


def made_one(
    source: Session | Connection, target: Target, values: Mapping[str, Any], on_conflict: OnConflict
) -> Any:
    """The row that was stored, or None; a failure leaves the transaction as it was."""
    connection = connection_of(source, target)
    backend = rows_backend(connection)
    check_nonfinite(target, [values], backend)
    plain = not isinstance(source, Session) or not target.mapped or not backend.returns_new_only
    if plain or target.version is not None or target.made_by_orm or asks_for_others(target.table):
        made = _made(source, target, [values], on_conflict)
        return made[0] if made else None
    # As the ORM does it: None leaves a column to its default.
    given = {name: value for name, value in values.items() if value is not None or _holds_none(target, name)}
    # There is no INSERT of nothing that says ON CONFLICT, on some servers.
    given = given or {name: None for name in values if not target.columns[name].primary_key}
    key: Any = (target.model, tuple(given), on_conflict, backend)
    session: Any = source
    loader = loader_of(source, target)
    with _whole(connection, backend, single=True), session.no_autoflush:
        if loader is None:
            return session.scalars(_insertion(*key), numbered(given)).unique().one_or_none()
        row = connection.execute(_plain_insertion(*key), numbered(given)).one_or_none()
        return None if row is None else loader.made(session, row)


def _holds_none(target: Target, name: str) -> bool:
    return target.columns[name].type.should_evaluate_none


@lru_cache(maxsize=1024)
def _insertion(model: Any, names: tuple[str, ...], on_conflict: OnConflict, backend: RowBackend) -> Any:
    """The INSERT of a row with these values, which gives the object."""
    target = target_of(model)
    statement = _row_insertion(target, names, on_conflict, backend).returning(*target.table.columns)
    return select(model).from_statement(statement).execution_options(populate_existing=True)


@lru_cache(maxsize=1024)
def _plain_insertion(model: Any, names: tuple[str, ...], on_conflict: OnConflict, backend: RowBackend) -> Any:
    """The INSERT of a row with these values, which gives what the loader of the class takes."""
    target = target_of(model)
    return _row_insertion(target, names, on_conflict, backend).returning(*target.columns.values())


def _row_insertion(
    target: Target, names: tuple[str, ...], on_conflict: OnConflict, backend: RowBackend
) -> Any:
    given = parameters(target, names)
    values = {**target.fixed, **{target.columns[name]: given[name] for name in names}}
    wanted = Writing(table=target.table, columns=(), on_conflict=on_conflict)
    return backend.insert(target.table, wanted).values(values)
