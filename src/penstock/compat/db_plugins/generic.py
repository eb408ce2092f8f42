"""What a database plugin is: a connection, a query, and pages of its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import ceil
from typing import TYPE_CHECKING, Any

from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BaseQuery",
    "DatabaseConnection",
    "DatabaseCreator",
    "Pagination",
    "PaginationNoCount",
    "new_DBConnection",
]


class DatabaseCreator(ABC):
    """Makes connections of one kind."""

    @classmethod
    @abstractmethod
    def create_database(cls) -> DatabaseConnection:
        """A new connection, which is not connected yet."""


def new_DBConnection(creator: type[DatabaseCreator]) -> DatabaseConnection:  # noqa: N802  (as it is called)
    """A new connection of a kind, which is not connected yet.

    Args:
        creator: Makes it.

    >>> from penstock.compat.db_plugins import SQLDatabaseCreator
    >>> new_DBConnection(SQLDatabaseCreator).engine is None
    True
    """
    return creator.create_database()


class DatabaseConnection(ABC):
    """A way to one database."""

    @abstractmethod
    def connect(self, config: Any) -> None:
        """Lead to the database that a configuration names."""

    @abstractmethod
    def create_db(self) -> None:
        """Make the tables."""

    @abstractmethod
    def drop_db(self) -> None:
        """Drop the tables."""

    @abstractmethod
    def query(self, *args: Any) -> Any:
        """A query of models or columns; without any, each call of its methods says of what."""


class BaseQuery(ABC):
    """What queries of every kind can do."""

    @abstractmethod
    def check_exists(self, model: Any = None, filter_by: Any = None) -> bool:
        """Whether a row with these values exists."""

    @abstractmethod
    def get_or_create(self, model: Any = None, filter_by: Any = None, **values: Any) -> tuple[Any, bool]:
        """The row that is like this, made if there is none; and whether it was."""

    @abstractmethod
    def update(self, instance: Any, args: Any = None, **options: Any) -> Any:
        """Set attributes of an object."""

    @abstractmethod
    def paginate(self, page: int = 1, per_page: int = 10, count: bool = True) -> Any:
        """One page of the result."""

    @abstractmethod
    def bulk_insert(self, objects: Any, model: Any = None) -> Any:
        """Store many rows."""

    @abstractmethod
    def find_all(self) -> Any:
        """All that is there."""

    @abstractmethod
    def find_one(self, model: Any = None, filter_by: Any = None) -> Any:
        """The one row that is like this, or None."""


class Pagination:
    """One page of a result.

    Args:
        query: The query that it is a page of.
        page: Its number, from 1.
        per_page: How many rows a page has at most.
        total: How many rows there are on all pages; None if they were not counted.
        items: Its rows.

    Attributes:
        capped: Whether counting was ended at `total`, and there are more.

    >>> page = Pagination(None, 2, 10, 25, [])
    >>> page.pages, page.prev_num, page.next_num
    (3, 1, 3)
    """

    capped = False
    _more: bool | None = None
    _turn: Callable[[int], Pagination] | None = None

    def __init__(self, query: Any, page: int, per_page: int, total: int | None, items: Sequence[Any]) -> None:
        self.query = query
        self.page = page
        self.per_page = per_page
        self.total = total
        self.items = items

    @property
    def pages(self) -> int:
        """How many pages there are; 0 if rows were not counted."""
        return ceil(self.total / self.per_page) if self.per_page and self.total else 0

    @property
    def has_prev(self) -> bool:
        """Whether there is a page before it."""
        return self.page > 1

    @property
    def prev_num(self) -> int | None:
        """The number of the page before it; None if there is none."""
        return self.page - 1 if self.has_prev else None

    @property
    def has_next(self) -> bool:
        """Whether there is a page after it; known without a count, too."""
        return self.page < self.pages if self._more is None else self._more

    @property
    def next_num(self) -> int | None:
        """The number of the page after it; None if there is none."""
        return self.page + 1 if self.has_next else None

    def prev(self) -> Pagination:
        """The page before it, asked for in the same way.

        Raises:
            NotSupported: The page was made without a query.
        """
        return self._turned(self.page - 1)

    def next(self) -> Pagination:
        """The page after it, asked for in the same way.

        Raises:
            NotSupported: The page was made without a query.
        """
        return self._turned(self.page + 1)

    def _turned(self, number: int) -> Pagination:
        if self._turn is not None:
            return self._turn(number)
        if self.query is None:
            raise NotSupported("This page was made without a query, so there is no other one.")
        found: Pagination = self.query.paginate(number, self.per_page)
        return found


class PaginationNoCount(Pagination):
    """One page of a result whose rows were not counted.

    Args:
        query: The query that it is a page of.
        page: Its number, from 1.
        per_page: How many rows a page has at most.
        items: Its rows.
        has_next: Whether there is a page after it.
    """

    def __init__(self, query: Any, page: int, per_page: int, items: Sequence[Any], has_next: bool) -> None:
        super().__init__(query, page, per_page, None, items)
        self._more = has_next
