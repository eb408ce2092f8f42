"""Conditions that a row has one of many values, however these differ in type."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import TupleType, bindparam, or_, tuple_

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement


def one_of(attribute: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Whether an attribute is one of these; None is NULL.

    Values of each type are in a list of their own: SQLAlchemy sends all of a list as what the first one is,
    so that 1.5 after 7 would be an integer.
    """
    known = sorted((value for value in values if value is not None), key=lambda value: str(type(value)))
    lists = [list(some) for _, some in groupby(known, type)]
    found = or_(*(attribute.in_(some) for some in lists)) if lists else attribute.in_([])
    return found if len(known) == len(values) else found | attribute.is_(None)


def among(columns: Sequence[ColumnElement[Any]], keys: Sequence[tuple[Any, ...]]) -> ColumnElement[bool]:
    """Whether a row has one of these keys in its columns; each value is sent with the type of its column.

    Said for the keys as a whole, since SQLAlchemy takes the types of the first key, and may also take
    those of an earlier statement with other types: its cache does not tell them apart.
    """
    if len(columns) == 1:
        values: Any = bindparam(None, [key[0] for key in keys], type_=columns[0].type, expanding=True)
        return columns[0].in_(values)
    kind: Any = TupleType(*(column.type for column in columns))
    return tuple_(*columns).in_(bindparam(None, list(keys), type_=kind, expanding=True))
