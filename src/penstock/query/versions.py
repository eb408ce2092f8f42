"""How the versions of a class's rows are counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ClauseElement, Column

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """How the versions of a class's rows are counted (`version_id_col`).

    Args:
        column: Where they are.
        generator: What makes the next one of the one before, or of None; None if the server does.
    """

    column: Column[Any]
    generator: Callable[[Any], Any] | None

    def after(self) -> Any:
        """The next version of a row, whatever it has: an expression of the column, or a value.

        Raises:
            NotSupported: It can't be said without the version before.
        """
        try:
            made = cast("Callable[[Any], Any]", self.generator)(_Stored(self.column))
        except Exception as error:
            raise NotSupported(
                f"The next version in {self.column} can't be told without the one before.",
                why=f"What makes it raised {type(error).__name__}.",
                hint="Give rows the version that they were read with.",
            ) from error
        return made

    def expression(self) -> ColumnElement[Any] | None:
        """The next version as an expression of the one before; None if it is none, or can't be said."""
        try:
            made = self.after()
        except NotSupported:
            return None
        return made if isinstance(made, ClauseElement) else None  # type: ignore[return-value]


class _Stored:
    """Stands for the version that a row has, as far as one can count with it."""

    def __init__(self, column: Column[Any]) -> None:
        self._column = column

    def __add__(self, more: Any) -> Any:
        return self._column + more

    def __radd__(self, more: Any) -> Any:
        return more + self._column
