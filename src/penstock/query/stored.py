"""Finds rows by their keys as the server stores them."""

from __future__ import annotations

from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, and_, bindparam, literal_column, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import ColumnProperty, Session

from penstock.backends.keys import staged
from penstock.backends.rows import GIVEN, OnConflict
from penstock.backends.transactions import savepoint
from penstock.errors import RowRefused
from penstock.query.target import Target, alone, connection_of, objects_or_rows, rows_backend, target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import BindParameter, Select

    from penstock.backends.keys import Stage, Stored

_Key: TypeAlias = "tuple[Any, ...]"

_PLAIN = (str, int, float, bytes, Decimal, date, time, timedelta, UUID, Enum)
"""Values for which a condition is the same whatever they are."""

_AROUND = "penstock_keys"
"""The savepoint around a look at keys as they are stored."""


def one_as_stored(
    source: Session | Connection, target: Target, where: Mapping[str, Any], *, latest: bool = False
) -> Any:
    """The row with these values as its columns store them; None if there is none."""
    connection = connection_of(source, target)
    backend = rows_backend(connection)
    compares = all(backend.compares(target.columns[name], value) for name, value in where.items())
    if not compares and is_staged(target, where):
        return one_staged(source, target, where)
    held = tuple(name for name, value in where.items() if value is not None)
    key: Any = (target.model, tuple(where), held, backend, connection.dialect.name)
    query, rounds = _lookup_as_stored(*key)
    values = {f"{GIVEN}{number}": value for number, value in enumerate(where.values()) if value is not None}
    if query is None or not all(isinstance(value, _PLAIN) for value in values.values()):
        query = limited(target, select(target.model).where(*target.conditions(where)))
        values, rounds = {}, False
    query = backend.latest(query) if latest else query
    if not rounds:
        return objects_or_rows(source, target.model, query, values).one_or_none()
    with savepoint(connection, backend, _AROUND):  # A value that is too large is a failure.
        return objects_or_rows(source, target.model, query, values).one_or_none()


def one_staged(source: Session | Connection, target: Target, where: Mapping[str, Any]) -> Any:
    """The row with what the server stores for these values; None if there is none, or they are refused."""
    if not is_staged(target, where):
        return None
    connection = connection_of(source, target)
    backend = rows_backend(connection)
    columns, keys = [target.columns[name] for name in where], [tuple(where.values())]
    try:
        with savepoint(connection, backend, _AROUND), staged(connection, backend, columns, keys) as stage:
            [stored] = stage.stored()
            return _row_at(source, target, stage, (tuple(where), 0, stored), backend.latest)
    except DBAPIError as error:
        if backend.ended(error):
            raise
        return None  # To make it is what says why.


def is_staged(target: Target, names: Iterable[str]) -> bool:
    """Whether a temporary table can have the columns of a key: they are of one table."""
    return len({target.columns[name].table for name in names}) == 1


def got_as_stored(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    given: tuple[Sequence[_Key], Sequence[Mapping[str, Any]]],
    make: Callable[..., list[Any]],
) -> list[tuple[Any, bool]]:
    """The rows with keys that the server may store otherwise, or alike: rounded, padded, in capitals.

    A savepoint has to be around it.

    Args:
        source: What asks for them.
        target: What they are.
        names: What the columns of the key are called.
        given: The keys, and the rows that are made if they are not there.
        make: Makes rows of a target with these names for the key, by keys and rows.

    Returns:
        For each key, the row, and whether it was made now.
    """
    keys, wanted = given
    connection = connection_of(source, target)
    backend = rows_backend(connection)
    columns = [target.columns[name] for name in names]
    with staged(connection, backend, columns, keys) as stage:
        stored = stage.stored()
        first = {one.rank: number for number, one in reversed(list(enumerate(stored)))}
        found = _at(source, target, names, stage, stored, first.values())
        new = dict.fromkeys(number for number in first.values() if number not in found)
        rows = make(source, target, names, [keys[each] for each in new], [wanted[each] for each in new])
        made = {_identity(target, names, row) for row in rows}
        found |= _at(source, target, names, stage, stored, new)
        for number in new:
            if number not in found:
                found[number] = _row_at(
                    source, target, stage, (names, number, stored[number]), backend.latest
                )
    lost = [number for number, row in found.items() if row is None]
    if lost and target.made_by_orm:  # It may have been refused for any reason, which is said now.
        make(source, target, names, [keys[n] for n in lost], [wanted[n] for n in lost], OnConflict.ERROR)
    if lost:
        raise gone(target)
    results = []
    for number, one in enumerate(stored):
        row = found[first[one.rank]]
        fresh = number in new and _identity(target, names, row) in made
        results.append((row, fresh))
    return results


def _identity(target: Target, names: Sequence[str], row: Any) -> Any:
    """What tells a row that was stored, also if it is read once more."""
    key = key_of(target, [name for name, one in target.columns.items() if one.primary_key] or names, row)
    return key if is_hashable(key) else repr(key)


def _at(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    stage: Stage,
    stored: Sequence[Stored],
    numbers: Iterable[int],
) -> dict[int, Any]:
    """The rows whose keys have these numbers in a stage."""
    found = _rows_at(source, target, names, stage)
    for number in numbers:
        if any(stored[number].nulls):
            row = _row_at(source, target, stage, (names, number, stored[number]), lambda query: query)
            found |= {} if row is None else {number: row}
    return found


@lru_cache(maxsize=1024)
def _lookup_as_stored(
    model: Any, names: tuple[str, ...], held: tuple[str, ...], backend: Any, dialect: str
) -> tuple[Select[Any] | None, bool]:
    """The SELECT of a row by these names, for values of any type; and whether a column may round one.

    Args:
        model: What is looked for.
        names: What tells it.
        held: Those of the names whose values are not NULL.
        backend: Says how the server compares them.
        dialect: Its name.
    """
    target = target_of(model)
    if not all(name in target.columns and is_plain(target.attributes[name]) for name in names):
        return None, False
    given = parameters(target, names)
    stored = {name: backend.as_stored(dialect, target.columns[name], given[name]) for name in held}
    same = (target.attributes[name] == stored.get(name) for name in names)
    rounds = any(stored[name] is not given[name] for name in held)
    return limited(target, select(model).where(*same)), rounds


def limited(target: Target, query: Select[Any]) -> Select[Any]:
    """The SELECT of one row, which is enough to see that there are several."""
    if target.joins:  # It would become a subquery, which takes no locks: so it would not see the latest.
        return query
    return query.limit(literal_column("2"))  # One parameter less to send.


def is_plain(attribute: Any) -> bool:
    """Whether a condition on it is one on its column: an app may say otherwise."""
    made_by = getattr(getattr(attribute, "prop", None), "comparator_factory", ColumnProperty.Comparator)
    return made_by is ColumnProperty.Comparator


def parameters(target: Target, names: tuple[str, ...]) -> dict[str, BindParameter[Any]]:
    return {
        name: bindparam(f"{GIVEN}{number}", type_=target.columns[name].type)
        for number, name in enumerate(names)
    }


def numbered(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{GIVEN}{number}": value for number, value in enumerate(values.values())}


def is_hashable(key: _Key) -> bool:
    try:
        hash(key)
    except TypeError:  # A list for an ARRAY, say.
        return False
    return True


def key_of(target: Target, names: Sequence[str], row: Any) -> tuple[Any, ...]:
    if isinstance(target.model, type) and isinstance(row, target.model):
        return tuple(getattr(row, name) for name in names)
    return tuple(row._mapping[target.columns[name]] for name in names)


def gone(target: Target) -> RowRefused:
    return RowRefused(
        f"A row of {target.name} is gone.",
        why="It was there when it was to be made, and has been deleted since; or a trigger, a rule or"
        " a policy of the table leaves it out, or the session hides it.",
        hint="Try again.",
    )


def _rows_at(
    source: Session | Connection, target: Target, names: Sequence[str], stage: Stage
) -> dict[int, Any]:
    """The rows whose keys are in a stage, by the numbers of the keys; none for a key with NULL in it.

    Args:
        source: What asks for them.
        target: What they are.
        names: What the columns of the key are called.
        stage: The keys.
    """
    same = (target.columns[name] == given for name, given in zip(names, stage.key, strict=True))
    query = select(target.model, stage.ordinal).join(stage.rows, and_(*same))
    if isinstance(source, Session) and target.mapped:
        return {number: row for row, number in source.execute(query).unique()}
    found = source.execute(alone(source, target.model, query)).freeze()
    plain = found().columns(*range(len(found().keys()) - 1))
    return dict(zip((row[-1] for row in found.data), plain, strict=True))


def _row_at(
    source: Session | Connection,
    target: Target,
    stage: Stage,
    key: tuple[Sequence[str], int, Stored],
    how: Callable[[Select[Any]], Select[Any]],
) -> Any:
    """The row with one key of a stage, where NULL is the same as NULL; None if there is none.

    Args:
        source: What asks for it.
        target: What it is.
        stage: The keys.
        key: What the columns of the key are called; its number; and what the server says of it.
        how: What is done to the SELECT before it is executed.
    """
    names, number, stored = key
    same = (
        target.columns[name] == (None if null else stage.value(place, number))
        for place, (name, null) in enumerate(zip(names, stored.nulls, strict=True))
    )
    query = how(limited(target, select(target.model).where(*same)))
    return objects_or_rows(source, target.model, query).one_or_none()
