"""What rows get besides what is given: defaults, versions, updates."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import literal

from penstock.backends.rows import OnConflict
from penstock.query.shapes import NoRow, RowContext, made_by_python, made_by_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Table

    from penstock.backends.rows import Expressions, Writing
    from penstock.query.shapes import Make
    from penstock.query.target import Target

    Columns = Sequence[Column[Any]]


class Filling:
    """For new rows, which may be there already.

    Args:
        target: Where they are written.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    def makers(self, given: Columns) -> Mapping[Column[Any], Make]:
        """What makes the values that are not given, and that Python has to make."""
        found: dict[Column[Any], Make] = {}
        there = frozenset(given)  # In a list, each is compared by an expression that SQLAlchemy makes.
        for column in self.target.table.columns:
            make = None if column in there else self._maker(column)
            if make is not None:
                found[column] = make
        return found

    def completed(self, writing: Writing, given: Columns) -> Writing:
        """The same, with what the server makes, and with what a row that is there gets by itself.

        Args:
            writing: What is written; a row that is there gets `update`, if that is not empty.
            given: Those of its columns that the caller gave.
        """
        defaults = self._expressions("default", writing.columns)
        if writing.on_conflict is not OnConflict.UPDATE:
            return replace(writing, defaults=defaults, update=())
        update = [column for column in writing.update if not self._is_version(column)]
        if not update:
            return replace(writing, defaults=defaults, update=(), on_conflict=OnConflict.NOTHING)
        more, onupdates = self._by_itself(given, (*update, *writing.key))
        return replace(writing, defaults=defaults, update=(*update, *more), onupdates=onupdates)

    def renews(self, given: Columns) -> bool:
        """Whether a version that is given has to be replaced by the one that Python makes of it."""
        version = self.target.version
        if version is None or version.generator is None or version.column not in given:
            return False
        return version.expression() is None

    def _maker(self, column: Column[Any]) -> Make | None:
        version = self.target.version
        if column in self.target.fixed:
            return lambda _: self.target.fixed[column]
        if version is not None and version.generator is not None and column is version.column:
            return lambda _: cast("Any", version.generator)(None)
        return made_by_python(column.default)

    def _expressions(self, which: str, known: Columns) -> Expressions:
        there = frozenset(known)
        others = (column for column in self.target.table.columns if column not in there)
        made = ((column, made_by_server(getattr(column, which))) for column in others)
        return {column: expression for column, expression in made if expression is not None}

    def _is_version(self, column: Column[Any]) -> bool:
        return self.target.version is not None and column is self.target.version.column

    def _by_itself(self, given: Columns, known: Columns) -> tuple[Columns, Expressions]:
        """What a row that is there gets: columns as a new row has them, and expressions."""
        columns, expressions = self._next_version(given)
        there = frozenset((*given, *known, *columns, *expressions))
        for column in self.target.table.columns:
            if column in there or column.onupdate is None:
                continue
            if _is_as_default(column):
                columns.append(column)
            else:
                made = made_by_server(column.onupdate)
                expressions[column] = _made_once(column) if made is None else made
        return columns, expressions

    def _next_version(
        self, given: Columns
    ) -> tuple[list[Column[Any]], dict[Column[Any], ColumnElement[Any]]]:
        version = self.target.version
        if version is None or version.generator is None:
            return [], {}
        made = version.expression()
        if made is not None:
            return [], {version.column: made}
        if version.column not in given:
            version.after()  # It raises if the version of a new row may be no version for another.
        return [version.column], {}


class UpdateFilling(Filling):
    """For rows that are there: columns that are not given stay, but for those with `onupdate`."""

    def completed(self, writing: Writing, given: Columns) -> Writing:
        """The same, with what the server makes."""
        kept = [column for column in writing.update if not self._is_version(column)]
        if not kept:
            return replace(writing, update=())
        columns, onupdates = self._next_version(given)
        onupdates |= self._expressions("onupdate", (*writing.columns, *columns, *onupdates))
        return replace(writing, update=(*kept, *columns), onupdates=onupdates)

    def _maker(self, column: Column[Any]) -> Make | None:
        version = self.target.version
        if version is not None and column is version.column:
            counted = version.generator is None or version.expression() is not None
            return None if counted else lambda _: version.after()
        return made_by_python(column.onupdate)


def with_defaults(target: Target, row: Mapping[str, Any]) -> dict[str, Any]:
    """A new row by attribute, with what Python makes for it, which sees what is given."""
    values = dict(row)
    for column in target.table.columns:
        make = made_by_python(column.default)
        name = next((name for name, own in target.columns.items() if own is column), None)
        if make is not None and name is not None and name not in values:
            context = RowContext([target.columns[each] for each in values], target.table)
            context.values = list(values.values())
            values[name] = make(context)
    return values


@lru_cache(maxsize=1024)
def asks_for_others(table: Table) -> bool:
    """Whether a default may look at the other values of its row, which it knows by their columns' names."""
    defaults: list[Any] = [column.default for column in table.columns if column.default is not None]
    # What takes no context is wrapped by SQLAlchemy in something that does.
    return any(each.is_callable and not hasattr(each.arg, "__wrapped__") for each in defaults)


def own_values(target: Target, given: Sequence[Column[Any]]) -> dict[Column[Any], Callable[[], Any]]:
    """What the ORM adds to a new row of a class, and nobody to a row of its table."""
    made: dict[Column[Any], Callable[[], Any]] = {}
    for column, value in target.fixed.items():
        made[column] = partial(lambda same: same, value)
    version = target.version
    if version is not None and version.generator is not None:
        made[version.column] = partial(version.generator, None)
    return {column: make for column, make in made.items() if column not in given}


def _is_as_default(column: Column[Any]) -> bool:
    """Whether what an update sets is what a new row gets, made in the same way."""
    default: Any = column.default
    onupdate: Any = column.onupdate
    if default is None or made_by_python(default) is None or made_by_python(onupdate) is None:
        return False
    one, other = (getattr(each.arg, "__wrapped__", each.arg) for each in (default, onupdate))
    return one is other


def _made_once(column: Column[Any]) -> ColumnElement[Any]:
    """What Python makes for all rows that are there: nobody knows yet which they are."""
    return literal(cast("Make", made_by_python(column.onupdate))(NoRow([], column.table)), column.type)
