"""Where a page ended: what it is ordered by, as a text and as a condition."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import ColumnElement, UnaryExpression, and_, false, or_, true, tuple_
from sqlalchemy.sql import operators

from penstock.errors import InvalidCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock.backends.rows import RowBackend


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One column of an order.

    Args:
        column: The column.
        descending: Whether the largest comes first.
        nullable: Whether it can be NULL, which counts as the largest.
    """

    column: ColumnElement[Any]
    descending: bool
    nullable: bool

    def order(self, rows: RowBackend) -> Sequence[ColumnElement[Any]]:
        """It as items of ORDER BY."""
        if self.nullable:
            return rows.in_order(self.column, descending=self.descending)
        return [self.column.desc() if self.descending else self.column.asc()]

    def reversed(self) -> Term:
        """The other way round."""
        return replace(self, descending=not self.descending)

    def after(self, value: Any) -> ColumnElement[bool]:
        """The condition that a row comes later than this value."""
        if self.descending:
            return self.column.is_not(None) if value is None else self.column < value
        if value is None:
            return false()
        return or_(self.column > value, self.column.is_(None)) if self.nullable else self.column > value

    def not_before(self, value: Any) -> ColumnElement[bool]:
        """The condition that a row comes no earlier than this value."""
        if self.descending:
            return true() if value is None else self.column <= value
        if value is None:
            return self.column.is_(None)
        return or_(self.column >= value, self.column.is_(None)) if self.nullable else self.column >= value


class Order:
    """What rows are ordered by, each column once.

    Args:
        by: Columns, each with `.desc()` or not.
    """

    def __init__(self, by: Iterable[Any]) -> None:
        self.terms: list[Term] = []
        for each in by:
            clause = each.__clause_element__() if hasattr(each, "__clause_element__") else each
            descending = False
            while isinstance(clause, UnaryExpression) and clause.modifier in (
                operators.desc_op,
                operators.asc_op,
            ):
                descending = clause.modifier is operators.desc_op
                clause = clause.element
            if not any(term.column.compare(clause) for term in self.terms):
                self.terms.append(Term(clause, descending, bool(getattr(clause, "nullable", True))))

    @cached_property
    def fingerprint(self) -> str:
        """What tells it from others, in a cursor."""
        said = ",".join(f"{term.column} {term.descending}" for term in self.terms)
        return sha256(said.encode()).hexdigest()[:8]


def beyond(terms: Sequence[Term], values: Sequence[Any]) -> ColumnElement[bool]:
    """The condition that a row comes after the one with these values."""
    alike = len({term.descending for term in terms}) == 1 and not any(term.nullable for term in terms)
    if alike and len(terms) > 1:
        row = tuple_(*(term.column for term in terms))
        given = tuple_(*values, types=[term.column.type for term in terms])
        return row < given if terms[0].descending else row > given
    first, value = terms[0], values[0]
    if len(terms) == 1:
        return first.after(value)
    return and_(first.not_before(value), or_(first.after(value), beyond(terms[1:], values[1:])))


# --- as a text ------------------------------------------------------------------------------------

_READ: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": bytes.fromhex,
    "float": float,
}
_WRITE: tuple[tuple[type[Any], str, Callable[[Any], str]], ...] = (
    (datetime, "datetime", datetime.isoformat),
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (Decimal, "decimal", str),
    (UUID, "uuid", str),
    (bytes, "bytes", bytes.hex),
    (float, "float", repr),
)


def write_cursor(order: Order, values: Sequence[Any]) -> str:
    """A row's place in an order, as a text to hand out."""
    said = json.dumps([order.fingerprint, *map(_written, values)], separators=(",", ":"))
    return urlsafe_b64encode(said.encode()).decode().rstrip("=")


def read_cursor(cursor: str, order: Order) -> list[Any]:
    """The values that a cursor stands for.

    Raises:
        InvalidCursor: It was made for another order, or was changed.
    """
    try:
        said = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        fingerprint, *values = said
        found = [_read(value) for value in values]
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise _invalid("It is none of ours, or was changed.") from error
    if fingerprint != order.fingerprint or len(found) != len(order.terms):
        raise _invalid("It was made for another order.")
    return found


def _invalid(why: str) -> InvalidCursor:
    return InvalidCursor("This cursor can't be used.", why=why, hint="Begin with the first page.")


def _written(value: Any) -> Any:
    for kind, name, write in _WRITE:
        if isinstance(value, kind):
            return [name, write(value)]
    if value is None or isinstance(value, str | int):
        return value
    raise InvalidCursor(
        f"A page can't end at a {type(value).__name__}.", hint="Order by numbers, texts, times or ids."
    )


def _read(value: Any) -> Any:
    if isinstance(value, list):
        name, text = value
        return _READ[name](text)
    return value
