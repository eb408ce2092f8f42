"""How a cursor is read from a server, and sent to it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, bindparam, type_coerce
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Dialect
    from sqlalchemy.exc import DBAPIError

INTEGERS = range(-(2**63), 2**63)
"""What a server's integers can be."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carrier:
    """How the values of an expression travel: from the server into a cursor, and back.

    Args:
        column: The expression, as the query has it.
        ordered: It in ORDER BY.
        compared: It in conditions, which must have it in the same order.
        selected: What is asked of the server, so that nothing of the value is lost on the way.
        kinds: What Python types its values can have; see `kind_of`.
        bound: Makes of a value what is compared with; raises ValueError if it can't be one of these values.
        sure: Whether the server takes every value that `bound` takes.
        plain: Whether what is selected is the expression itself.
    """

    column: ColumnElement[Any]
    ordered: ColumnElement[Any]
    compared: ColumnElement[Any]
    selected: ColumnElement[Any]
    kinds: frozenset[str]
    bound: Callable[[Any], ColumnElement[Any]]
    sure: Callable[[Any], bool]
    plain: bool


class PageBackend(Protocol):
    """How one dialect orders rows, and goes on after one of them.

    Attributes:
        row_values: An index is used for `(a, b) > (1, 2)`.
    """

    row_values: bool

    def in_order(
        self, column: ColumnElement[Any], *, descending: bool, nulls_first: bool
    ) -> Sequence[ColumnElement[Any]]:
        """A column that can be NULL as items of ORDER BY."""

    def carriers(self, column: ColumnElement[Any], dialect: Dialect) -> Sequence[Carrier]:
        """How values of an expression travel; several, where it is compared piece by piece.

        Raises:
            NotSupported: The server has no order for it.
        """

    def trial(self, connection: Connection) -> AbstractContextManager[object]:
        """In the block, an error leaves the transaction as it was."""

    def refuses_value(self, error: DBAPIError) -> bool:
        """Whether a server's error says that a value does not fit the type it is compared with."""


class StandardPages(PageBackend):
    """How servers order rows that know NULLS FIRST, and compare rows by an index."""

    row_values = True

    def in_order(
        self, column: ColumnElement[Any], *, descending: bool, nulls_first: bool
    ) -> Sequence[ColumnElement[Any]]:
        sorted_by = column.desc() if descending else column.asc()
        return [sorted_by.nulls_first() if nulls_first else sorted_by.nulls_last()]


def plain_type(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type that a dialect has for a column, whatever Python makes of its values."""
    made = kind.dialect_impl(dialect)
    while isinstance(made, TypeDecorator):
        made = made.impl_instance
    return made


def untyped(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """An expression whose values are left as the driver gives them, and which is compared as SQL does it."""
    return type_coerce(column, NullType())


def given(value: Any) -> BindParameter[Any]:
    """A value that goes to the driver as it is; the server finds out by what it is compared with."""
    return bindparam(None, value, type_=NullType(), unique=True)


def carried(
    column: ColumnElement[Any],
    kinds: frozenset[str],
    bound: Callable[[Any], ColumnElement[Any]],
    sure: Callable[[Any], bool] = lambda _: True,
    **instead: ColumnElement[Any],
) -> Carrier:
    """How values of an expression travel, which is sorted by, compared and asked for as it is.

    Args:
        column: The expression.
        kinds: See `Carrier`, also for those that follow.
        bound: Makes of a value what is compared with.
        sure: Whether the server takes every such value.
        instead: What is `compared` or `selected` in its place.
    """
    compared = instead.get("compared", untyped(column))
    selected = instead.get("selected", compared)
    plain = selected is compared
    return Carrier(
        column=column,
        ordered=untyped(column),
        compared=compared,
        selected=selected,
        kinds=kinds,
        bound=bound,
        sure=sure,
        plain=plain,
    )


def unordered(kind: object) -> NotSupported:
    """The error for what the server can't put into an order."""
    return NotSupported(
        f"Rows can't be paged in the order of {kind}.",
        why="The server has no order for it that could be gone on in.",
        hint="Order by columns of other types.",
    )


# --- checks ---------------------------------------------------------------------------------------


def integer(value: int) -> int:
    """The value, if a server's integer can be it; raises ValueError."""
    if value not in INTEGERS:
        raise ValueError("too large")
    return value


def finite(value: float) -> float:
    """The value, if it is a number; raises ValueError."""
    if not isfinite(value):
        raise ValueError("no number")
    return value


# --- kinds ----------------------------------------------------------------------------------------


def kind_of(value: Any) -> str:
    """What a driver's value is called in a cursor; empty if it can't be in one."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "")


_KINDS: tuple[tuple[type[Any], str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (str, "text"),
    (Decimal, "decimal"),
    (float, "float"),
    (UUID, "uuid"),
    (bytes, "bytes"),
)
