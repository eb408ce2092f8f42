"""Reads the rows that exist, before they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from sqlalchemy import ColumnElement, and_, join, not_, or_, select

from penstock.backends.keys import places_in_order, staged
from penstock.backends.rows import OnConflict, Writing, Written, chosen_of, column_of, keys_of
from penstock.errors import RowRefused, RowStale
from penstock.query.among import among

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, Connection, Select

    from penstock.backends.keys import Stage
    from penstock.backends.rows import RowBackend
    from penstock.query.shapes import Shape
    from penstock.query.target import Target
    from penstock.query.versions import Version

_AT_A_TIME = 500


class _Keys(Protocol):
    """The keys of the rows that are looked for."""

    def differ(self, version: Column[Any], seen: Sequence[tuple[int, Any]]) -> ColumnElement[bool]:
        """Whether a row lacks these versions, which are given by the positions of their keys."""

    def rows(self, some: Sequence[int], condition: ColumnElement[bool]) -> Select[Any]:
        """Whether a condition holds of the rows with some of the keys; the server compares them."""


class _Given(NamedTuple):
    """Keys that the server tells from each other as Python does."""

    key: Sequence[Column[Any]]
    keys: Sequence[tuple[Any, ...]]

    def differ(self, version: Column[Any], seen: Sequence[tuple[int, Any]]) -> ColumnElement[bool]:
        """See `_Keys.differ`."""
        known = [(*self.keys[place], one) for place, one in seen]
        return or_(~among((*self.key, version), known), version.is_(None))

    def rows(self, some: Sequence[int], condition: ColumnElement[bool]) -> Select[Any]:
        """See `_Keys.rows`."""
        there = among(self.key, [self.keys[place] for place in some])
        return select(condition).where(there).order_by(*self.key)


class _Staged(NamedTuple):
    """Keys as their columns store them."""

    key: Sequence[Column[Any]]
    stage: Stage

    def differ(self, version: Column[Any], seen: Sequence[tuple[int, Any]]) -> ColumnElement[bool]:
        """See `_Keys.differ`."""
        return or_(~among((self.stage.ordinal, version), seen), version.is_(None))

    def rows(self, some: Sequence[int], condition: ColumnElement[bool]) -> Select[Any]:
        """See `_Keys.rows`."""
        same = (column == given for column, given in zip(self.key, self.stage.key, strict=True))
        rows = join(self.key[0].table, self.stage.rows, and_(*same))
        query = select(condition).select_from(rows).where(self.stage.ordinal.in_(some))
        return query.order_by(*self.key)


class Rest(NamedTuple):
    """Rows that are to be written, with their numbers, and how many others are not."""

    skipped: int
    numbers: Sequence[int]
    rows: Sequence[Sequence[Any]]


class Look:
    """A look at the rows that are there; they are locked, so that nothing changes until they are written.

    Args:
        target: The class.
        shape: What will be written.
        backend: Of the server.

    Attributes:
        stale: The places of rows whose version is not the one that was given.
        foreign: The places of rows that are of another class.
    """

    def __init__(self, target: Target, shape: Shape, backend: RowBackend) -> None:
        self._target = target
        self._shape = shape
        self._backend = backend
        self._writing = shape.writing
        self._key = list(shape.writing.key)
        self._marks: Sequence[Any] = ()
        self.stale: list[int] = []
        self.foreign: list[int] = []

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to look at."""
        asks = self._shape.version is not None or self._target.criterion is not None
        return asks and self._writing.on_conflict is OnConflict.UPDATE and bool(self._writing.update)

    def look(self, connection: Connection, writing: Writing, rows: Sequence[Sequence[Any]]) -> Written:
        """Look at the rows of these keys; called as what writes rows, so that bad ones are refused alike."""
        keys = keys_of(self._writing, rows)
        if self._backend.tells_apart(connection, self._key, keys):
            self._marks = keys
            columns = list(zip(*keys, strict=True))
            self._look((connection, writing), _Given(self._key, keys), rows, columns)
            return Written()
        with staged(connection, self._backend, self._key, keys) as stage:
            self._marks = [None if any(one.nulls) else one.rank for one in stage.stored()]
            self._look((connection, writing), _Staged(self._key, stage), rows, [self._marks])
        return Written()

    def _look(
        self,
        where: tuple[Connection, Writing],
        keys: _Keys,
        rows: Sequence[Sequence[Any]],
        columns: Sequence[Sequence[Any]],
    ) -> None:
        lone = {place for values in columns for place, value in enumerate(values) if value is None}
        # NULL in a key equals nothing.
        places = [p for p in places_in_order(len(rows), columns, last_of_each=True) if p not in lone]
        criterion = self._target.criterion
        if criterion is not None:
            wrong = or_(not_(criterion), criterion.is_(None))
            self.foreign = self._found(where, keys, places, lambda _: wrong)
        if self._shape.version is not None:
            version = self._writing.columns[self._shape.version]
            seen = column_of(rows, self._shape.version)
            self.stale = self._found(
                where,
                keys,
                places,
                lambda some: keys.differ(version, [(place, seen[place]) for place in some]),
            )

    def _found(
        self,
        where: tuple[Connection, Writing],
        keys: _Keys,
        places: Sequence[int],
        condition: Callable[[Sequence[int]], ColumnElement[bool]],
    ) -> list[int]:
        """The rows for which a condition holds."""
        connection, writing = where

        def holds(some: Sequence[int]) -> bool:
            query = self._backend.locked(connection, writing, keys.rows(some, condition(some)))
            return any(connection.execute(query).scalars())

        found: list[int] = []
        for start in range(0, len(places), _AT_A_TIME):
            some = places[start : start + _AT_A_TIME]
            if holds(some):
                found += [place for place in some if holds([place])]
        return found

    def rest(self, numbers: Sequence[int], rows: Sequence[Sequence[Any]], *, refuses: bool) -> Rest:
        """What is left to be written.

        Raises:
            RowStale: There is a row with another version than the one given.
            RowRefused: There is one of another class, and that `refuses`.
        """
        if self.foreign and refuses:
            raise RowRefused(
                f"Row {numbers[min(self.foreign)]} of {self._target.name} can't be stored:"
                " the row with its key is of another class.",
                hint="Nothing was stored. Mend the row, then write all of them again.",
                row=numbers[min(self.foreign)],
            )
        stale = set(self.stale) - set(self.foreign)
        if stale:
            raise RowStale(
                f"Row {numbers[min(stale)]} of {self._target.name} is stale: there is another version of it.",
                why="Somebody has written it since it was read.",
                hint="Nothing was stored. Read the row again, then write all of them again.",
                row=numbers[min(stale)],
            )
        given = len(rows)
        if self.foreign:
            foreign = {self._marks[place] for place in self.foreign}
            kept = [place for place, mark in enumerate(self._marks) if mark not in foreign]
            numbers, rows = [numbers[place] for place in kept], chosen_of(rows, kept)
        return Rest(given - len(rows), numbers, self._renewed(rows))

    def _renewed(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows, with the versions that Python makes of those that were given."""
        if not self._shape.renews:
            return rows
        place, version = cast("int", self._shape.version), cast("Version", self._target.version)
        make = cast("Callable[[Any], Any]", version.generator)
        return [[*row[:place], make(row[place]), *row[place + 1 :]] for row in rows]
