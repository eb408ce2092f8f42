"""Objects are found by their keys, by texts, and by their place in an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import String, func, inspect, select, tuple_
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.orm import Mapper, Session

from penstock.errors import InvalidValue, NotSupported, UnknownColumn
from penstock.models.softdelete import is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from sqlalchemy import ColumnElement, ColumnExpressionArgument
    from sqlalchemy.orm import InstrumentedAttribute
    from sqlalchemy.orm.interfaces import ORMOption

_Object = TypeVar("_Object")
_KEYS_AT_A_TIME = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The order in which objects come; the primary key is added, so that it is always the same.

    Args:
        by: An attribute, or several; none for the primary key alone.
        descending: Whether the largest come first.
        case_sensitive: Whether "Z" and "a" are told apart by their case.
    """

    by: str | Sequence[str] = ()
    descending: bool = False
    case_sensitive: bool = True

    def columns(self, model: type[Any]) -> Iterator[ColumnElement[Any]]:
        """The expressions of an ORDER BY; raises UnknownColumn."""
        names = (self.by,) if isinstance(self.by, str) else tuple(self.by)
        key = [each.key for each in _key_of(_mapper(model))]
        for name in dict.fromkeys((*names, *key)):
            column: Any = _attribute(model, name)
            if not self.case_sensitive and isinstance(column.type, String):
                column = func.lower(column)
            yield column.desc() if self.descending else column.asc()


# --- by the primary key ---------------------------------------------------------------------------


def by_id(
    session: Session, model: type[_Object], key: Any, *, options: Sequence[ORMOption] = ()
) -> _Object | None:
    """The object with this primary key, whatever its columns are called; None if there is none.

    One that the session has already is not loaded again.

    Args:
        session: The session.
        model: A mapped class.
        key: The value; for a key of several columns a tuple in their order, or a mapping by attribute.
        options: Of the statement.

    Raises:
        InvalidValue: The key has not as many values as columns.
    """
    identity = _identity(model, key)
    if None in identity:
        return None
    found = session.get(model, identity, options=options)
    return None if is_hidden(session, found, options) else found


def by_ids(session: Session, model: type[_Object], keys: Iterable[Any]) -> list[_Object]:
    """The objects with these primary keys, in the order of the keys; keys of no object are left out.

    Args:
        session: The session.
        model: A mapped class.
        keys: See `by_id`; of any number.

    Raises:
        InvalidValue: A key has not as many values as columns.
    """
    identities = [_identity(model, key) for key in keys]
    known: dict[Any, _Object] = {}
    columns = _key_of(_mapper(model))
    wanted = [key for key in dict.fromkeys(identities) if None not in key]
    for start in range(0, len(wanted), _KEYS_AT_A_TIME):
        some = wanted[start : start + _KEYS_AT_A_TIME]
        among = columns[0].in_([key[0] for key in some]) if len(columns) == 1 else tuple_(*columns).in_(some)
        for each in session.scalars(select(model).where(among)).unique():
            known[tuple(_mapper(model).primary_key_from_instance(each))] = each
    if set(known) - set(wanted):  # The server has keys for equal that Python tells apart: "a" and "A".
        missing = [key for key in wanted if key not in known]
        known |= {key: found for key in missing if (found := by_id(session, model, key)) is not None}
    return [known[key] for key in identities if key in known]


# --- by a text ------------------------------------------------------------------------------------


def by_lower(session: Session, model: type[_Object], column: str, text: str) -> _Object | None:
    """The one object whose attribute is this text, in whatever case; None if there is none.

    The server makes both lower; SQLite knows the case of the letters of ASCII only.

    Args:
        session: The session.
        model: A mapped class.
        column: The attribute.
        text: What it is.

    Raises:
        UnknownColumn: There is no such attribute.
        sqlalchemy.exc.MultipleResultsFound: There are several; see `all_by_lower`.
    """
    found = all_by_lower(session, model, column, text, limit=2)
    if len(found) > 1:
        raise MultipleResultsFound(f"There are several {model.__name__} with this {column}.")
    return found[0] if found else None


def all_by_lower(
    session: Session,
    model: type[_Object],
    column: str,
    text: str,
    *,
    offset: int = 0,
    limit: int | None = None,
) -> list[_Object]:
    """The objects whose attribute is this text, in whatever case, in the order of their keys. See `by_lower`.

    Args:
        session: The session.
        model: A mapped class.
        column: The attribute.
        text: What it is.
        offset: How many to leave out at the beginning.
        limit: How many at most; all by default.

    Raises:
        UnknownColumn: There is no such attribute.
    """
    alike = func.lower(_attribute(model, column)) == func.lower(text)
    return in_range(session, model, alike, offset=offset, limit=limit)


def starting_with(
    session: Session,
    model: type[_Object],
    column: str,
    seed: str,
    *,
    offset: int = 0,
    limit: int | None = None,
) -> list[_Object]:
    """The objects whose attribute begins with a text, in whatever case, in the order of the attribute.

    Nothing in the text is a wildcard.

    Args:
        session: The session.
        model: A mapped class.
        column: The attribute.
        seed: How it begins.
        offset: How many to leave out at the beginning.
        limit: How many at most; all by default.

    Raises:
        UnknownColumn: There is no such attribute.
    """
    alike = _attribute(model, column).istartswith(seed, autoescape=True)
    return in_range(session, model, alike, order=Order(by=column), offset=offset, limit=limit)


def containing(
    session: Session,
    model: type[_Object],
    column: str,
    seed: str,
    *,
    offset: int = 0,
    limit: int | None = None,
) -> list[_Object]:
    """The objects whose attribute contains a text, in whatever case. See `starting_with`."""
    alike = _attribute(model, column).icontains(seed, autoescape=True)
    return in_range(session, model, alike, order=Order(by=column), offset=offset, limit=limit)


def exact_then_insensitive(session: Session, model: type[_Object], column: str, seed: str) -> _Object | None:
    """The first object whose attribute is exactly this text; else the first with it in another case.

    Args:
        session: The session.
        model: A mapped class.
        column: The attribute.
        seed: The text; nothing in it is a wildcard.

    Raises:
        UnknownColumn: There is no such attribute.
    """
    equal = _attribute(model, column) == seed
    for start in count(0, _KEYS_AT_A_TIME):
        some = in_range(session, model, equal, offset=start, limit=_KEYS_AT_A_TIME)
        for found in some:  # The server may have "a" and "A" for equal.
            if getattr(found, column) == seed:
                return found
        if len(some) < _KEYS_AT_A_TIME:
            break
    return next(iter(all_by_lower(session, model, column, seed, limit=1)), None)


# --- by their place -------------------------------------------------------------------------------


def in_range(
    session: Session,
    model: type[_Object],
    *where: ColumnExpressionArgument[bool],
    order: Order = Order(),
    offset: int = 0,
    limit: int | None = None,
) -> list[_Object]:
    """Some of the objects, by their place in an order.

    Args:
        session: The session.
        model: A mapped class.
        where: Conditions that hold of them.
        order: The order; that of the primary key by default.
        offset: How many to leave out at the beginning.
        limit: How many at most; all by default.

    Raises:
        UnknownColumn: The order has an attribute that there is not.
        ValueError: `offset` or `limit` is negative.
    """
    if offset < 0 or (limit is not None and limit < 0):
        raise ValueError("Offset and limit can't be negative.")
    query = select(model).where(*where).order_by(*order.columns(model)).limit(limit)
    return list(session.scalars(query.offset(offset) if offset else query).unique())


# --- as a dict ------------------------------------------------------------------------------------


def columns_as_dict(found: object) -> dict[str, Any]:
    """The values of an object by the names of their columns; what is not loaded yet is loaded.

    Args:
        found: An object of a mapped class.
    """
    return {column: getattr(found, attribute) for column, attribute in _columns(found).items()}


def loaded_columns_as_dict(found: object) -> dict[str, Any]:
    """The same, for the attributes that are loaded already.

    Args:
        found: An object of a mapped class.
    """
    loaded = inspect(found).dict
    return {column: loaded[name] for column, name in _columns(found).items() if name in loaded}


def _columns(found: object) -> Mapping[str, str]:
    """The attributes by the names of their columns; of two columns of a name, the second by its attribute."""
    named: dict[str, str] = {}
    for each in _mapper(type(found)).column_attrs:
        column = each.columns[0]
        if getattr(column, "table", None) is not None:
            named[each.key if column.name in named else column.name] = each.key
    return named


class Finders:
    """A mixin with the finders as methods of the class: `Dam.by_id(session, 1)`."""

    @classmethod
    def by_id(cls, session: Session, key: Any, *, options: Sequence[ORMOption] = ()) -> Self | None:
        """See `penstock.models.by_id`."""
        return by_id(session, cls, key, options=options)

    @classmethod
    def by_ids(cls, session: Session, keys: Iterable[Any]) -> list[Self]:
        """See `penstock.models.by_ids`."""
        return by_ids(session, cls, keys)

    @classmethod
    def by_lower(cls, session: Session, column: str, text: str) -> Self | None:
        """See `penstock.models.by_lower`."""
        return by_lower(session, cls, column, text)

    @classmethod
    def all_by_lower(
        cls, session: Session, column: str, text: str, *, offset: int = 0, limit: int | None = None
    ) -> list[Self]:
        """See `penstock.models.all_by_lower`."""
        return all_by_lower(session, cls, column, text, offset=offset, limit=limit)

    @classmethod
    def starting_with(
        cls, session: Session, column: str, seed: str, *, offset: int = 0, limit: int | None = None
    ) -> list[Self]:
        """See `penstock.models.starting_with`."""
        return starting_with(session, cls, column, seed, offset=offset, limit=limit)

    @classmethod
    def containing(
        cls, session: Session, column: str, seed: str, *, offset: int = 0, limit: int | None = None
    ) -> list[Self]:
        """See `penstock.models.containing`."""
        return containing(session, cls, column, seed, offset=offset, limit=limit)

    @classmethod
    def exact_then_insensitive(cls, session: Session, column: str, seed: str) -> Self | None:
        """See `penstock.models.exact_then_insensitive`."""
        return exact_then_insensitive(session, cls, column, seed)

    @classmethod
    def in_range(
        cls,
        session: Session,
        *where: ColumnExpressionArgument[bool],
        order: Order = Order(),
        offset: int = 0,
        limit: int | None = None,
    ) -> list[Self]:
        """See `penstock.models.in_range`."""
        return in_range(session, cls, *where, order=order, offset=offset, limit=limit)

    def columns_as_dict(self) -> dict[str, Any]:
        """See `penstock.models.columns_as_dict`."""
        return columns_as_dict(self)

    def loaded_columns_as_dict(self) -> dict[str, Any]:
        """See `penstock.models.loaded_columns_as_dict`."""
        return loaded_columns_as_dict(self)


# --- what is named --------------------------------------------------------------------------------


def _mapper(model: type[Any]) -> Mapper[Any]:
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise NotSupported(f"{model!r} is no mapped class.")
    return mapper


def _key_of(mapper: Mapper[Any]) -> list[InstrumentedAttribute[Any]]:
    """The attributes of the primary key, in the order of its columns."""
    names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    return [mapper.all_orm_descriptors[name] for name in names]  # type: ignore[misc]


def _attribute(model: type[Any], name: str) -> Any:
    """A column of a class by its attribute; raises UnknownColumn."""
    attributes = _mapper(model).column_attrs
    if name not in attributes:
        known = ", ".join(attributes.keys())
        raise UnknownColumn(f"{model.__name__} has no column {name!r}.", why=f"It has: {known}.")
    return getattr(model, name)


def _identity(model: type[Any], key: Any) -> tuple[Any, ...]:
    columns = [each.key for each in _key_of(_mapper(model))]
    if isinstance(key, dict):
        given: Any = tuple(key[name] for name in columns) if set(key) == set(columns) else ()
    else:
        given = tuple(key) if isinstance(key, tuple | list) else (key,)
    if len(given) != len(columns):
        several = isinstance(key, tuple | list) and len(columns) == 1
        raise InvalidValue(
            f"The primary key of {model.__name__} is {', '.join(columns)}.",
            why="Other values were given.",
            hint="For several objects, call by_ids." if several else f"Give ({', '.join(columns)}).",
        )
    return cast("tuple[Any, ...]", given)
