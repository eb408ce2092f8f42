"""Rows are got, or made if they are not there, whoever else does the same."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload
from uuid import UUID

from sqlalchemy import Connection, bindparam, inspect, literal_column, select, tuple_
from sqlalchemy.orm import ColumnProperty, Session

from penstock.backends import backend_for
from penstock.backends.rows import GIVEN, OnConflict, Writing, savepoint
from penstock.errors import RowRefused
from penstock.query.incoming import frame_of
from penstock.query.nonfinite import check_nonfinite, in_python, nulls_nan, without_nan_in
from penstock.query.target import Target, again, connection_of, target_of, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import BindParameter, Select

    from penstock.backends.rows import RowBackend
    from penstock.query.nonfinite import Missing
    from penstock.query.target import Model, On

_Object = TypeVar("_Object")

_KEYS_AT_A_TIME = 500

_PLAIN = (str, int, float, bytes, Decimal, date, time, UUID)
"""Values for which a condition is the same whatever they are."""


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
        RowRefused: It would have NaN for a column that does not hold it.
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
    where, values = in_python(where), in_python({**(defaults or {}), **where})
    _check(target, values)
    return again(on, lambda: _got_or_created(on, target, where, values))


def _got_or_created(
    on: On, target: Target, where: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, bool]:
    with writing(on) as source:
        found = _one(source, target, where)
        if found is not None:
            return found, False
        made = _made_one(source, target, values, OnConflict.NOTHING)
        if made is not None:
            return made, True
        found = _one(source, target, where, latest=True)
        if found is not None:
            return found, False
        return _made_one(source, target, values, OnConflict.ERROR), True  # It is another row that is there.


def get_or_create_many(
    on: On,
    model: Model,
    rows: Iterable[Mapping[str, Any]],
    *,
    key: Sequence[str] | None = None,
    **missing: Unpack[Missing],
) -> list[tuple[Any, bool]]:
    """The rows with these keys; those that are not there are made. See `get_or_create`.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        rows: Values by attribute: the key, and what a new row gets besides.
        key: What tells a row; the primary key by default.
        missing: `nan="keep"` or `nan="null"`; see `bulk_insert`.

    Returns:
        For each of the given rows, in their order, what there is now, and whether it is new. Of several
        with one key the first is new.

    Raises:
        UnknownColumn: There is no such attribute.
        NoPrimaryKey: It can't be told whether a row is there.
        RowRefused: A row has no value for its key, or has NaN for a column that does not hold it, or was
            deleted by others at this moment.
        sqlalchemy.exc.IntegrityError: A row can't be made; then none was.
    """
    target = target_of(model)
    names = tuple(key or target.key)
    frame = frame_of(rows, target)
    given = list(map(in_python, rows if frame is None else frame.mappings()))
    if nulls_nan(**missing):
        given = [without_nan_in(target, row) for row in given]
    keys = [_key(target, names, number, row) for number, row in enumerate(given)]
    found, made = again(on, lambda: _found_and_made(on, target, names, keys, given))
    new = set(made)
    results = []
    for each in keys:
        stored = _key_of(target, names, found[each])
        results.append((found[each], stored in new))
        new.discard(stored)
    return results


def _found_and_made(
    on: On, target: Target, names: Sequence[str], keys: Sequence[Any], given: Sequence[Mapping[str, Any]]
) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """The rows with these keys, and those of them that were made now."""
    with writing(on) as source:
        check_nonfinite(target, given, _backend(source, target))
        found = _by_key(source, target, names, dict.fromkeys(keys))
        first = {
            key: row for key, row in zip(reversed(keys), reversed(given), strict=True) if key not in found
        }
        made = _make_many(source, target, names, first)
        others = [key for key in first if key not in made]
        found |= made | _by_key(source, target, names, others)
        _find_others(source, target, names, [key for key in first if key not in found], found)
    return found, made


def _find_others(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    keys: Sequence[tuple[Any, ...]],
    found: dict[Any, Any],
) -> None:
    """Add the rows whose keys are stored as something else than was given: in capitals, rounded, padded.

    And those that the transaction does not see, since it sees what was there when it began. Each is asked
    for by itself: a server that looks for many with locks may lock others on its way, and wait in turn.
    """
    for key in keys:
        row = _one(source, target, dict(zip(names, key, strict=True)), latest=True)
        if row is None:
            raise RowRefused(
                f"The row of {target.name} with the key {key!r} is gone.",
                why="It was there when it was to be made, and has been deleted since.",
                hint="Try again.",
            )
        found[key] = row


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
    wanted = Writing(
        table=target.table,
        columns=[target.columns[name] for name in rows[0]],
        on_conflict=on_conflict,
        key=[target.columns[name] for name in key],
    )
    backend = backend_for(connection.engine.url).rows
    with savepoint(connection, backend):
        if isinstance(source, Session) and target.mapped:
            with source.no_autoflush:
                return list(backend.create(source, connection, target.model, wanted, rows))
        named = [{target.columns[name].key: value for name, value in row.items()} for row in rows]
        return list(backend.create(source, connection, target.table, wanted, named))


def _made_one(
    source: Session | Connection, target: Target, values: Mapping[str, Any], on_conflict: OnConflict
) -> Any:
    """The row that was stored, or None; a failure leaves the transaction as it was."""
    connection = connection_of(source, target)
    backend = backend_for(connection.engine.url).rows
    check_nonfinite(target, [values], backend)
    plain = not isinstance(source, Session) or not target.mapped or not backend.returns_new_only
    if plain or _is_versioned(target.model):
        made = _made(source, target, [values], on_conflict)
        return made[0] if made else None
    # As the ORM does it: None leaves a column to its default.
    given = {name: value for name, value in values.items() if value is not None or _holds_none(target, name)}
    key: Any = (target.model, tuple(given), on_conflict, backend)
    statement: Any = _insertion(*key)
    session: Any = source
    with savepoint(connection, backend), session.no_autoflush:
        return session.scalars(statement, _numbered(given)).one_or_none()


def _holds_none(target: Target, name: str) -> bool:
    return target.columns[name].type.should_evaluate_none


def _one(
    source: Session | Connection, target: Target, where: Mapping[str, Any], *, latest: bool = False
) -> Any:
    key: Any = (target.model, tuple(where))
    query, values = _lookup(*key), _numbered(where)
    if query is None or not all(isinstance(value, _PLAIN) for value in where.values()):
        query, values = select(target.model).where(*target.conditions(where)).limit(2), {}
    if latest:
        query = _latest(source, target, query)
    if isinstance(source, Session) and target.mapped:
        return source.scalars(query, values).one_or_none()
    return source.execute(query, values).one_or_none()


@lru_cache(maxsize=1024)
def _lookup(model: Any, names: tuple[str, ...]) -> Select[Any] | None:
    """The SELECT of a row by these names, made once: to make it takes as long as to execute it.

    None if a condition is not simply put on a column.
    """
    target = target_of(model)
    if not all(name in target.columns and _is_plain(target.attributes[name]) for name in names):
        return None
    given = _parameters(target, names)
    query = select(model).where(*(target.attributes[name] == given[name] for name in names))
    return query.limit(literal_column("2"))  # One parameter less to send.


def _is_plain(attribute: Any) -> bool:
    """Whether a condition on it is one on its column: an app may say otherwise."""
    made_by = getattr(getattr(attribute, "prop", None), "comparator_factory", ColumnProperty.Comparator)
    return made_by is ColumnProperty.Comparator


def _is_versioned(model: Any) -> bool:
    """Whether the ORM counts the versions of its rows."""
    mapper: Any = inspect(model)
    return mapper.version_id_col is not None


@lru_cache(maxsize=1024)
def _insertion(model: Any, names: tuple[str, ...], on_conflict: OnConflict, backend: RowBackend) -> Any:
    """The INSERT of a row with these values, which gives the object."""
    target = target_of(model)
    given = _parameters(target, names)
    values = {**target.fixed, **{target.columns[name]: given[name] for name in names}}
    wanted = Writing(table=target.table, columns=(), on_conflict=on_conflict)
    statement = backend.insert(target.table, wanted).values(values).returning(*target.table.columns)
    return select(model).from_statement(statement).execution_options(populate_existing=True)


def _parameters(target: Target, names: tuple[str, ...]) -> dict[str, BindParameter[Any]]:
    return {
        name: bindparam(f"{GIVEN}{number}", type_=target.columns[name].type)
        for number, name in enumerate(names)
    }


def _numbered(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{GIVEN}{number}": value for number, value in enumerate(values.values())}


def _by_key(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    keys: Iterable[Any],
) -> dict[Any, Any]:
    attributes = [target.attributes[name] for name in names]
    wanted = list(keys)
    found: dict[Any, Any] = {}
    for key in [key for key in wanted if None in key]:  # NULL is in no list.
        row = _one(source, target, dict(zip(names, key, strict=True)))
        found |= {} if row is None else {key: row}
    wanted = [key for key in wanted if None not in key]
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


def _latest(source: Session | Connection, target: Target, query: Select[Any]) -> Select[Any]:
    """The query, but it sees what others have committed since the transaction began."""
    return _backend(source, target).latest(query)


def _backend(source: Session | Connection, target: Target) -> RowBackend:
    return backend_for(connection_of(source, target).engine.url).rows


def _key_of(target: Target, names: Sequence[str], row: Any) -> tuple[Any, ...]:
    if isinstance(target.model, type) and isinstance(row, target.model):
        return tuple(getattr(row, name) for name in names)
    return tuple(row._mapping[target.columns[name]] for name in names)
