"""Cursors of pages: their text, and the condition that they stand for."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, or_, true, tuple_

from penstock.backends.pages import Carrier, kind_of
from penstock.errors import InvalidCursor, NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.backends.pages import PageBackend


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One expression of an order.

    Args:
        carrier: The expression, and how its values travel.
        descending: Whether the largest comes first.
        nulls_first: Whether NULL comes before all values.
        nullable: Whether it can be NULL.
    """

    carrier: Carrier
    descending: bool
    nulls_first: bool
    nullable: bool

    def order(self, pages: PageBackend) -> Sequence[ColumnElement[Any]]:
        """It as items of ORDER BY."""
        column = self.carrier.ordered
        if self.nullable:
            return pages.in_order(column, descending=self.descending, nulls_first=self.nulls_first)
        return [column.desc() if self.descending else column.asc()]

    def reversed(self) -> Term:
        """The other way round."""
        return replace(self, descending=not self.descending, nulls_first=not self.nulls_first)

    def bound(self, value: Any) -> ColumnElement[Any] | None:
        """A value as what is compared with; None for NULL. Raises ValueError if it can't be one."""
        if value is None and self.nullable:
            return None
        if kind_of(value) not in self.carrier.kinds:
            raise ValueError("another type")
        return self.carrier.bound(value)

    def after(self, value: ColumnElement[Any] | None) -> ColumnElement[bool]:
        """The condition that a row comes later than this value."""
        column = self.carrier.compared
        if value is None:
            return column.is_not(None) if self.nulls_first else false()
        later = column < value if self.descending else column > value
        return or_(later, column.is_(None)) if self.nullable and not self.nulls_first else later

    def not_before(self, value: ColumnElement[Any] | None) -> ColumnElement[bool]:
        """The condition that a row comes no earlier than this value."""
        column = self.carrier.compared
        if value is None:
            return true() if self.nulls_first else column.is_(None)
        later = column <= value if self.descending else column >= value
        return or_(later, column.is_(None)) if self.nullable and not self.nulls_first else later


def beyond(
    terms: Sequence[Term], values: Sequence[ColumnElement[Any] | None], *, row_values: bool
) -> ColumnElement[bool]:
    """The condition that a row comes after the one with these values.

    Args:
        terms: What rows are ordered by.
        values: The row's, as each is compared.
        row_values: Whether an index is used for a comparison of rows.
    """
    alike = len({term.descending for term in terms}) == 1 and not any(term.nullable for term in terms)
    if row_values and alike and len(terms) > 1:
        row: Any = tuple_(*(term.carrier.compared for term in terms))
        given: Any = tuple_(*values)
        later: ColumnElement[bool] = row < given if terms[0].descending else row > given
        return later
    first, value = terms[0], values[0]
    if len(terms) == 1:
        return first.after(value)
    rest = beyond(terms[1:], values[1:], row_values=row_values)
    return and_(first.not_before(value), or_(first.after(value), rest))


# --- as a text ------------------------------------------------------------------------------------

_READ: dict[str, Callable[[str], Any]] = {
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": bytes.fromhex,
    "float": float,
}
_WRITE: dict[str, Callable[[Any], str]] = {
    "decimal": str,
    "uuid": str,
    "bytes": bytes.hex,
    "float": repr,
}
_LONGEST = 1_000_000


def fingerprint_of(said: str) -> str:
    """What tells an order from others, in a cursor."""
    return sha256(said.encode(errors="surrogatepass")).hexdigest()[:8]


def write_cursor(fingerprint: str, terms: Sequence[Term], values: Sequence[Any]) -> str:
    """A row's place in an order, as a text to hand out.

    Raises:
        NotSupported: A value is of a type that can't be gone on after.
    """
    for term, value in zip(terms, values, strict=True):
        if not (term.nullable if value is None else kind_of(value) in term.carrier.kinds):
            raise _unfit(term, value)
    return _written(fingerprint, values)


def read_cursor(
    cursor: str, fingerprint: str, terms: Sequence[Term]
) -> tuple[list[ColumnElement[Any] | None], bool]:
    """The values that a cursor stands for, as each is compared; and whether the server takes them for sure.

    Raises:
        InvalidCursor: It was made for another order, or was changed.
    """
    try:
        found, values = _read(cursor)
        canonical = _written(found, values) == cursor
    except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError, RecursionError) as error:
        raise invalid("It is none of ours, or was changed.") from error
    if not canonical:
        raise invalid("It is none of ours, or was changed.")
    if found != fingerprint or len(values) != len(terms):
        raise invalid("It was made for another order.")
    try:
        bound = [term.bound(value) for term, value in zip(terms, values, strict=True)]
    except ValueError as error:
        raise invalid("It is none of ours, or was changed.") from error
    placed = zip(terms, values, strict=True)
    return bound, all(value is None or term.carrier.sure(value) for term, value in placed)


def invalid(why: str) -> InvalidCursor:
    """The error for a text that is no cursor."""
    return InvalidCursor("This cursor can't be used.", why=why, hint="Begin with the first page.")


def _read(cursor: str) -> tuple[str, list[Any]]:
    if len(cursor) > _LONGEST:
        raise ValueError("too long")
    fingerprint, *values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return fingerprint, [_value(value) for value in values]


def _value(said: Any) -> Any:
    if not isinstance(said, list):
        return said
    name, text = said
    return _READ[name](text)


def _written(fingerprint: str, values: Sequence[Any]) -> str:
    said = json.dumps([fingerprint, *map(_said, values)], separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _said(value: Any) -> Any:
    name = kind_of(value)
    if name in _WRITE:
        return [name, _WRITE[name](value)]
    if value is None or name:
        return value
    raise TypeError(type(value).__name__)


def _unfit(term: Term, value: Any) -> NotSupported:
    column = term.carrier.column
    if value is None:
        why = f"{column} is NULL there, though it is declared to be never so."
    else:
        why = f"{column} has a {type(value).__name__} there, and that type can't hold it."
    return NotSupported("A page can't end at this row.", why=why, hint="Declare the column as it is.")
