"""Gets rows, or inserts those that do not exist, while others do the same."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack, cast, overload

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from penstock.backends.keys import kind_as_given
from penstock.backends.rows import OnConflict
from penstock.backends.transactions import savepoint
from penstock.errors import RowRefused
from penstock.query.among import among
from penstock.query.given import asked, check_names, check_values
from penstock.query.incoming import frame_of
from penstock.query.loading import has_pending, loader_of, row_query
from penstock.query.making import made_one, make_many
from penstock.query.nonfinite import all_in_python, check_nonfinite, in_python, nulls_nan, without_nan_in
from penstock.query.stored import (
    gone,
    got_as_stored,
    is_hashable,
    is_plain,
    is_staged,
    key_of,
    limited,
    numbered,
    one_as_stored,
    one_staged,
    parameters,
)
from penstock.query.target import (
    Target,
    connection_of,
    objects_or_rows,
    rows_backend,
    target_of,
    with_retry,
    writing,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Select

    from penstock.backends.rows import RowBackend
    from penstock.query.nonfinite import Missing
    from penstock.query.target import Model, On

_Object = TypeVar("_Object")
_Key: TypeAlias = "tuple[Any, ...]"

_KEYS_AT_A_TIME = 500

_AROUND = "penstock_many"
"""The savepoint around what is done for many rows."""


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
    """The row with these values, inserted if there is none; and whether it was inserted.

    It is safe against others who do the same: one of them makes it, the others get it. It is made by a
    statement of its own (but for a class of several tables, by the ORM), so the constructor of a class is not
    called. What a session has pending is flushed, as before every query, and neither committed nor lost if
    this fails.

    Args:
        on: A session or a connection, in whose transaction it is done; or an engine, for one of its own.
        model: A mapped class, or a table.
        where: What tells the row: values by attribute. Let there be a unique constraint on them.
        defaults: What a new row gets besides.

    Returns:
        An object of the class if a session is asked for one, else a plain row; and whether it is new.

    Raises:
        UnknownColumn: There is no such attribute.
        NotSupported: See `bulk_insert`; or the class is abstract, or in several tables and no session is
            asked.
        NotWritable: See `bulk_insert`.
        RowRefused: It would have NaN for a column that does not hold it; or a trigger or a rule of the
            table leaves it out.
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
    _check_creatable(on, target)
    check_values(where, "where")
    check_values({} if defaults is None else defaults, "defaults")
    where, values = in_python(where), in_python({**(defaults or {}), **where})
    _check(target, values)
    return with_retry(on, lambda: _got_or_created(on, target, where, values))


def _got_or_created(
    on: On, target: Target, where: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, bool]:
    with writing(on, target) as source:
        return _got_or_made(source, target, where, values)


def _got_or_made(
    source: Session | Connection, target: Target, where: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Any, bool]:
    """The row with these values, and whether it was made now."""
    found = _one(source, target, where)
    if found is not None:
        return found, False
    made = made_one(source, target, values, OnConflict.NOTHING)
    if made is not None:
        return made, True
    found = _one(source, target, where, latest=True)
    if found is None:
        found = one_staged(source, target, where)
    if found is not None:
        return found, False
    made = made_one(source, target, values, OnConflict.ERROR)  # It is another row that is there.
    if made is None:
        raise RowRefused(
            f"The row of {target.name} was not made.",
            why="The server took it and stored none: a trigger or a rule of the table may have left it out.",
        )
    return made, True


def get_or_create_many(
    on: On,
    model: Model,
    rows: Iterable[Mapping[str, Any]],
    *,
    key: Sequence[str] | None = None,
    **missing: Unpack[Missing],
) -> list[tuple[Any, bool]]:
    """The rows with these keys; those that do not exist are inserted. See `get_or_create`.

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
    _check_creatable(on, target)
    check_names(key=key)
    names = tuple(key or target.key)
    frame = frame_of(rows, target)
    given = all_in_python(rows if frame is None else frame.mappings())
    if nulls_nan(**missing):
        given = [without_nan_in(target, row) for row in given]
    keys = [_key(target, names, number, row) for number, row in enumerate(given)]
    return with_retry(on, lambda: _got_or_created_many(on, target, names, keys, given))


def _got_or_created_many(
    on: On, target: Target, names: Sequence[str], keys: Sequence[_Key], given: Sequence[Mapping[str, Any]]
) -> list[tuple[Any, bool]]:
    """For each key, the row with it, and whether it was made now."""
    with writing(on, target) as source:
        _flush(source)
        connection = connection_of(source, target)
        backend = rows_backend(connection)
        check_nonfinite(target, given, backend)
        with savepoint(connection, backend, _AROUND) if _may_fail(target, names, keys) else nullcontext():
            found = _by_key(source, target, names, _distinct(keys))
        missing = [number for number, key in enumerate(keys) if not _is_in(found, key)]
        if not missing:
            return [(found[key], False) for key in keys]
        with savepoint(connection, backend, _AROUND), _nested(source, target):
            if not is_staged(target, names):
                where = (dict(zip(names, key, strict=True)) for key in keys)
                return [_got_or_made(source, target, *each) for each in zip(where, given, strict=True)]
            if not _tells_apart(source, target, names, keys):
                # What was found may be read as one of the keys and be stored as another: "A" as "a".
                return got_as_stored(source, target, names, (keys, given), make_many)
            rest, rows = [keys[number] for number in missing], [given[number] for number in missing]
            made = _made_or_found(source, target, names, rest, rows)
    new = dict(zip(missing, made, strict=True))
    return [new.get(number) or (found[key], False) for number, key in enumerate(keys)]


def _may_fail(target: Target, names: Sequence[str], keys: Sequence[_Key]) -> bool:
    """Whether the server may refuse to look for keys: a number may be too large for its column, say."""
    asked: Any = (target.model, tuple(names))
    _, kinds = _lookup(*asked)
    if kinds is None:
        return True
    columns = zip(*keys, strict=True)
    return any(set(map(type, values)) != {kind} for kind, values in zip(kinds, columns, strict=False))


def _distinct(keys: Sequence[_Key]) -> Iterable[_Key]:
    """The distinct values, where they can be hashed."""
    try:
        return dict.fromkeys(keys)
    except TypeError:  # A list for an ARRAY, say.
        return dict.fromkeys(filter(is_hashable, keys))


def _is_in(found: Mapping[Any, Any], key: _Key) -> bool:
    try:
        return key in found
    except TypeError:
        return False


def _made_or_found(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    keys: Sequence[_Key],
    given: Sequence[Mapping[str, Any]],
) -> list[tuple[Any, bool]]:
    """The rows with keys that were not there, made now or by others at this moment.

    The server tells these keys from each other as Python does.
    """
    first = dict(zip(reversed(keys), reversed(given), strict=True))
    rows = make_many(source, target, names, list(first), list(first.values()))
    made = {key_of(target, names, row): row for row in rows}
    found = made | _by_key(source, target, names, [key for key in first if key not in made])
    _find_others(source, target, names, {key: row for key, row in first.items() if key not in found}, found)
    return [(found[key], made.pop(key, None) is not None) for key in keys]


def _nested(source: Session | Connection, target: Target) -> AbstractContextManager[Any]:
    """What makes the session forget the objects that the ORM made, if others can't be made."""
    return source.begin_nested() if isinstance(source, Session) and target.made_by_orm else nullcontext()


def _flush(source: Session | Connection) -> None:
    """Write what a session has pending, as before every query, so that nothing else undoes it."""
    if isinstance(source, Session) and source.autoflush:
        source.flush()


def _find_others(
    source: Session | Connection,
    target: Target,
    names: Sequence[str],
    rows: Mapping[_Key, Mapping[str, Any]],
    found: dict[Any, Any],
) -> None:
    """Add the rows that the transaction does not see, since it sees what was there when it began.

    Each is asked for by itself: a server that looks for many with locks may lock others on its way, and
    wait in turn.
    """
    for key, given in rows.items():
        row = _one(source, target, dict(zip(names, key, strict=True)), latest=True)
        if row is None and target.made_by_orm:  # It may have been refused for any reason, which is said now.
            make_many(source, target, names, [key], [given], OnConflict.ERROR)
        if row is None:
            raise gone(target)
        found[key] = row


def _check_creatable(on: On, target: Target) -> None:
    """Raise NotSupported if nothing can make rows of it; a session can, by the ORM, where we can't."""
    if target.uncreatable or not isinstance(asked(on), Session):
        target.check_writable(new=True)


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
            f"Row {number} has no value for {error}.",
            why="It tells whether the row is there already.",
            row=number,
        ) from None


def _one(
    source: Session | Connection, target: Target, where: Mapping[str, Any], *, latest: bool = False
) -> Any:
    key: Any = (target.model, tuple(where))
    query, kinds = _lookup(*key)
    if tuple(map(type, where.values())) != kinds:
        return one_as_stored(source, target, where, latest=latest)
    if latest:
        query = _latest(source, target, query)
    loader = None if latest else loader_of(source, target)
    if loader is not None and not has_pending(session := cast("Session", source)):
        rows = connection_of(source, target).execute(row_query(*key), numbered(where)).all()
        if len(rows) < 2:  # Several may be of one object.
            return loader.loaded(session, rows[0]) if rows else None
    return objects_or_rows(source, target.model, query, numbered(where)).one_or_none()


@lru_cache(maxsize=1024)
def _lookup(model: Any, names: tuple[str, ...]) -> tuple[Select[Any], tuple[type | None, ...] | None]:
    """The SELECT of a row by these names, made once: to make it takes as long as to execute it.

    And of what types values have to be for it: else it matters how the server compares them. None if a
    condition is not simply put on a column.
    """
    target = target_of(model)
    if not all(name in target.columns and is_plain(target.attributes[name]) for name in names):
        return select(model), None
    given = parameters(target, names)
    query = select(model).where(*(target.attributes[name] == given[name] for name in names))
    kinds = tuple(kind_as_given(target.columns[name].type) for name in names)
    return limited(target, query), kinds


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
        query = select(target.model).where(among(attributes, some))
        rows = objects_or_rows(source, target.model, query)
        found |= {key_of(target, names, row): row for row in rows}
    return found


def _latest(source: Session | Connection, target: Target, query: Select[Any]) -> Select[Any]:
    """The query, but it sees what others have committed since the transaction began."""
    return _backend(source, target).latest(query)


def _tells_apart(
    source: Session | Connection, target: Target, names: Sequence[str], keys: Sequence[_Key]
) -> bool:
    """Whether the server tells these keys from each other as Python does."""
    columns = [target.columns[name] for name in names]
    return _backend(source, target).tells_apart(connection_of(source, target), columns, keys)


def _backend(source: Session | Connection, target: Target) -> RowBackend:
    return rows_backend(connection_of(source, target))
