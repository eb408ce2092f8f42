"""Whether rows are there, and what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from sqlalchemy import Select, select
from sqlalchemy import exists as exists_clause
from sqlalchemy.exc import MultipleResultsFound

from penstock.query.given import check_values
from penstock.query.target import objects_or_rows, reading, target_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from penstock.query.target import Model, On, Where

_Object = TypeVar("_Object")


def exists(on: On, model: Model, where: Where = None) -> bool:
    """Whether a row meets the conditions.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        where: Which rows: values by attribute, or expressions. A list of values stands for any of them,
            None for NULL, `StartsWith` and `Contains` for texts.

    Raises:
        UnknownColumn: There is no such attribute.

    >>> from sqlalchemy import Column, Integer, MetaData, Table, create_engine, insert
    >>> from sqlalchemy.pool import StaticPool
    >>> engine = create_engine("sqlite://", poolclass=StaticPool)
    >>> gage = Table("gage", MetaData(), Column("number", Integer, primary_key=True))
    >>> gage.create(engine)
    >>> exists(engine, gage, {"number": [1, 2]})
    False
    """
    target = target_of(model)
    found = exists_clause().select_from(target.model).where(*target.conditions(where))
    with reading(on) as source:
        return bool(source.execute(select(found)).scalar())


@overload
def find(
    on: Session,
    model: type[_Object],
    where: Where = None,
    *,
    order_by: Any = (),
    limit: int | None = None,
) -> Sequence[_Object]: ...


@overload
def find(
    on: On, model: Model, where: Where = None, *, order_by: Any = (), limit: int | None = None
) -> Sequence[Any]: ...


def find(
    on: On, model: Model, where: Where = None, *, order_by: Any = (), limit: int | None = None
) -> Sequence[Any]:
    """The rows that meet the conditions: objects of a class from a session, else plain rows.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        where: Which rows; see `exists`.
        order_by: A column or several; unordered by default.
        limit: How many at most; all by default.

    Raises:
        UnknownColumn: There is no such attribute.
    """
    query = _select(model, where).limit(limit)
    columns = order_by if isinstance(order_by, tuple | list) else (order_by,)
    return _all(on, model, query.order_by(*columns))


@overload
def find_one(on: Session, model: type[_Object], where: Where = None) -> _Object | None: ...


@overload
def find_one(on: On, model: Model, where: Where = None) -> Any | None: ...


def find_one(on: On, model: Model, where: Where = None) -> Any | None:
    """The one row that meets the conditions, or None.

    Args:
        on: A session, a connection, or an engine.
        model: A mapped class, or a table.
        where: Which row; see `exists`.

    Raises:
        UnknownColumn: There is no such attribute.
        sqlalchemy.exc.MultipleResultsFound: There are several.
    """
    found = _all(on, model, _select(model, where).limit(2))
    if len(found) > 1:
        raise MultipleResultsFound(f"There are several rows of {target_of(model).name} like this.")
    return found[0] if found else None


def update(instance: _Object, values: Mapping[str, Any]) -> _Object:
    """Set attributes of an object; the caller's session writes them when it flushes.

    Args:
        instance: An object of a mapped class.
        values: The new values, by attribute.

    Returns:
        The object.

    Raises:
        UnknownColumn: There is no such attribute; then none is set.
    """
    check_values(values, "values")
    target = target_of(type(instance))
    unknown = [name for name in values if name not in target.attributes]
    if unknown:
        raise target.unknown(*unknown)
    for name, value in values.items():
        setattr(instance, name, value)
    return instance


def _select(model: Model, where: Where) -> Select[Any]:
    conditions = target_of(model).conditions(where)
    return select(model).where(*conditions)


def _all(on: On, model: Model, query: Select[Any]) -> Sequence[Any]:
    with reading(on) as source:
        return objects_or_rows(source, model, query).all()
