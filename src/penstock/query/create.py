"""Rows are got, or made if they are not there, whoever else does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import Connection, select, tuple_
from sqlalchemy.orm import Session

from penstock.backends import backend_for
from penstock.backends.rows import OnConflict, Writing
from penstock.errors import RowRefused
from penstock.query.incoming import frame_of
from penstock.query.target import Target, connection_of, target_of, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from penstock.query.target import Model, On

_Object = TypeVar("_Object")

_KEYS_AT_A_TIME = 500


@overload
def get_or_create(
    on: Session, model: type[_Object], where: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> tuple[_Object, bool]: ...


@overload
def get_or_create(
    on: On, model: Model, where: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> tuple[Any, bool]: ...


def get_or_create(
    on: On, model: Model, where: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> tuple[Any, bool]:
    """The row with these values, made now if there is none; and whether it was.

    It is safe against others who do the same: one of them makes it, the others get it. It is made by a
    statement of its own, so the constructor of a class is not called. What a session has pending is
    flushed, as before every query, and neither committed nor lost if this fails.

    Args:
        on: A session or a connection, in whose transaction it is done; or an engine, for one of its own.
        model: A mapped class, or a table.
        where: What tells the row: values by attribute. Let there be a unique constraint on them.
        defaults: What a new row gets besides.

    Returns:
        An object of the class if a session is asked for one, else a plain row; and whether it is new.

    Raises:
        UnknownColumn: There is no such attribute.
        sqlalchemy.exc.IntegrityError: It can't be made; the transaction is as it was before.
        sqlalchemy.exc.MultipleResultsFound: There are several.

    >>> from sqlalchemy import Column, Integer, MetaData, Table, create_engine
    >>> from sqlalchemy.pool import StaticPool
    >>> engine = create_engine("sqlite://", poolclass=StaticPool)
    >>> gage = Table("gage", MetaData(), Column("number", Integer, primary_key=True))
    >>> gage.create(engine)
    >>> get_or_create(engine, gage, {"number": 1})
    ((1,), True)
    >>> get_or_create(engine, gage, {"number": 1})
    ((1,), False)
    """
    target = target_of(model)
    values = {**(defaults or {}), **where}
    _check(target, values)
    with writing(on) as source:
        found = _one(source, target, where)
        if found is not None:
            return found, False
        made = _made(source, target, [values], OnConflict.NOTHING)
        if made:
            return made[0], True
        found = _one(source, target, where)
        if found is not None:
            return found, False
        return _made(source, target, [values], OnConflict.ERROR)[0], True  # It is another row that is there.


def get_or_create_many(
    on: On, model: Model, rows: Iterable[Mapping[str, Any]], *, key: Sequence[str] | None = None
) -> list[tuple[Any, bool]]:
    """The rows with these keys; those that are not there are made. See `get_or_create`.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        rows: Values by attribute: the key, and what a new row gets besides.
        key: What tells a row; the primary key by default.

    Returns:
        For each of the given rows, in their order, what there is now, and whether it is new. Of several
        with one key the first is new.

    Raises:
        UnknownColumn: There is no such attribute.
        NoPrimaryKey: It can't be told whether a row is there.
        RowRefused: A row has no value for its key.
        sqlalchemy.exc.IntegrityError: A row can't be made; then none was.
    """
    target = target_of(model)
    names = tuple(key or target.key)
    frame = frame_of(rows, target)
    given = list(rows if frame is None else frame.mappings())
    keys = [_key(target, names, number, row) for number, row in enumerate(given)]
    with writing(on) as source:
        found = _by_key(source, target, names, dict.fromkeys(keys))
        first = {
            key: row for key, row in zip(reversed(keys), reversed(given), strict=True) if key not in found
        }
        made = _make_many(source, target, names, first)
        found |= _by_key(source, target, names, [key for key in first if key not in made]) | made
    new = set(made)
    results = []
    for each in keys:
        results.append((found[each], each in new))
        new.discard(each)
    return results


def _check(target: Target, values: Mapping[str, Any]) -> None:
    unknown = [name for name in values if name not in target.columns]
    if unknown:
        raise target.unknown(*unknown)


def _key(target: Target, names: Sequence[str], number: int, row: Mapping[str, Any]) -> tuple[Any, ...]:
    _check(target, row)
    try:
        return tuple(row[name] for name in names)
    except KeyError as error:
        raise RowRefused(
            f"Row {number} has no value for {error}.", why="It tells whether the row is there already."
        ) from None


def _make_many(
    source: Session | Connection, target: Target, names: Sequence[str], rows: Mapping[Any, Mapping[str, Any]]
) -> dict[Any, Any]:
    """Those that could be made, by key; in the order of their keys, so that others never wait in turn."""
    alike: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for key in _sorted(rows):
        alike.setdefault(tuple(sorted(rows[key])), []).append(rows[key])
    made: list[Any] = []
    for group in alike.values():
        made += _made(source, target, group, OnConflict.NOTHING, names)
    return {_key_of(target, names, each): each for each in made}


def _sorted(keys: Iterable[Any]) -> list[Any]:
    found = list(keys)
    try:
        return sorted(found)
    except TypeError:  # Keys with NULL in them, say.
        return found


def _made(
    source: Session | Connection,
    target: Target,
    rows: Sequence[Mapping[str, Any]],
    on_conflict: OnConflict,
    key: Sequence[str] = (),
) -> list[Any]:
    """The rows that were stored; a failure leaves the transaction as it was."""
    connection = connection_of(source, target)
    columns = [target.columns[name] for name in key]
    wanted = Writing(table=target.table, columns=(), on_conflict=on_conflict, key=columns)
    backend = backend_for(connection.engine.url).rows
    with connection.begin_nested():
        if isinstance(source, Session) and target.mapped:
            with source.no_autoflush:
                statement = backend.insert(target.model, wanted).returning(target.model)
                return list(source.scalars(statement, rows))
        statement = backend.insert(target.table, wanted).returning(*target.table.columns)
        named = [{target.columns[name].key: value for name, value in row.items()} for row in rows]
        return list(source.execute(statement, named))


def _one(source: Session | Connection, target: Target, where: Mapping[str, Any]) -> Any:
    query = select(target.model).where(*target.conditions(where)).limit(2)
    if isinstance(source, Session) and target.mapped:
        return source.scalars(query).one_or_none()
    return source.execute(query).one_or_none()


def _by_key(
    source: Session | Connection, target: Target, names: Sequence[str], keys: Iterable[Any]
) -> dict[Any, Any]:
    wanted = list(keys)
    attributes = [target.attributes[name] for name in names]
    found: dict[Any, Any] = {}
    for start in range(0, len(wanted), _KEYS_AT_A_TIME):
        some = wanted[start : start + _KEYS_AT_A_TIME]
        one = (
            attributes[0].in_([key[0] for key in some]) if len(names) == 1 else tuple_(*attributes).in_(some)
        )
        query = select(target.model).where(one)
        rows = (
            source.scalars(query) if isinstance(source, Session) and target.mapped else source.execute(query)
        )
        found |= {_key_of(target, names, row): row for row in rows}
    return found


def _key_of(target: Target, names: Sequence[str], row: Any) -> tuple[Any, ...]:
    if isinstance(target.model, type) and isinstance(row, target.model):
        return tuple(getattr(row, name) for name in names)
    return tuple(row._mapping[target.columns[name]] for name in names)
