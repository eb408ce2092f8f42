"""The query class: what SQLAlchemy's has, and finding, making, storing and paging."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.orm import Query, Session

from penstock import query
from penstock.compat.db_plugins import durable
from penstock.compat.db_plugins.durable import BulkOptions
from penstock.compat.db_plugins.generic import BaseQuery, Pagination
from penstock.compat.db_plugins.work import check_thread
from penstock.errors import NotSupported, RowRefused
from penstock.query.target import target_of

if TYPE_CHECKING:
    from penstock.query import OnConflict, Written

_MOST = 50_000
"""Where counting the rows of a page's query ends."""


class IgnoredKeys(UserWarning):
    """Rows have keys that are no columns of their table; what they hold is not stored."""


class Bulk(TypedDict, total=False):
    """What `bulk_insert` takes besides; see there."""

    strict: bool
    on_conflict: OnConflict | str
    key: tuple[str, ...] | None
    nan: str


class SQLQuery(Query[Any], BaseQuery):
    """A query of SQLAlchemy's that can do more.

    The model is what the query selects first, else the argument `model`. `filter_by` is a mapping by
    attribute, or an expression.

    >>> from penstock.compat.db_plugins import SQLConnection
    >>> from penstock.compat.db_plugins.models import Object
    >>> db = SQLConnection()
    >>> db.connect({"SQLALCHEMY_DATABASE_URL": "sqlite://"})
    >>> db.create_db()
    >>> db.query(Object).bulk_insert([{"oid": "ZTF1", "ndet": 1}, {"oid": "ZTF2"}])
    Written(inserted=2, updated=0, skipped=0)
    >>> db.query(Object).get_or_create(filter_by={"oid": "ZTF1"})
    (<Object(oid='ZTF1')>, False)
    >>> db.end_session()
    """

    def __init__(self, entities: Any = (), session: Session | None = None) -> None:
        if session is not None:
            check_thread(session)
        super().__init__(entities, session)

    # --- one row ---

    def check_exists(self, model: Any = None, filter_by: Any = None) -> bool:
        """Whether a row with these values exists.

        Args:
            model: The model, if the query is of none.
            filter_by: Which row; by default any.

        Raises:
            UnknownColumn: There is no such attribute.
            NotSupported: Nothing says of which model.
        """
        found = self._like(model, filter_by)
        rows: Any = found.enable_eagerloads(False).statement
        return bool(self._session().query(rows.exists()).scalar())

    def get_or_create(self, model: Any = None, filter_by: Any = None, **values: Any) -> tuple[Any, bool]:
        """The row that is like this, made if there is none; and whether it was.

        A new row is there for good when this returns, and what the session has pending is neither committed
        nor lost. Where the session has written rows that the new one may depend on, it is made in the
        session's transaction.

        Args:
            model: The model, if the query is of none.
            filter_by: What tells the row.
            values: What a new row gets besides.

        Returns:
            An object of the session; of several that are like this, the first by its key.

        Raises:
            UnknownColumn: There is no such attribute.
            NotSupported: Nothing says of which model, or which row.
            RowRefused: The row that an expression asks for can't be made of the values.
            sqlalchemy.exc.IntegrityError: It can't be made; what is pending is as it was.
        """
        model, session = self._model(model), self._session()
        if filter_by is None or (isinstance(filter_by, Mapping) and not filter_by):
            raise NotSupported(
                f"Nothing says which row of {target_of(model).name} is meant.",
                hint="get_or_create(filter_by={…}, …)",
            )
        if not isinstance(_checked(filter_by), Mapping):
            return self._got_by_expression(session, model, filter_by, values)
        try:
            return durable.get_or_create(session, model, filter_by, values)
        except MultipleResultsFound:
            return self._first(model, filter_by), False

    def _got_by_expression(
        self, session: Session, model: Any, filter_by: Any, values: Mapping[str, Any]
    ) -> tuple[Any, bool]:
        found = self._first(model, filter_by)
        if found is not None:
            return found, False
        target = target_of(model)
        lacking = ", ".join(name for name in target.key if name not in values)
        if lacking:
            raise RowRefused(
                f"The row of {target.name} has no value for {lacking}.",
                why="There is none that the expression means, and a new one needs a key.",
            )
        made, new = durable.get_or_create(session, model, {name: values[name] for name in target.key}, values)
        if not new and self._first(model, filter_by) is None:
            raise RowRefused(f"There is another row of {target.name} with this key.")
        return made, new

    def update(  # type: ignore[override]
        self, instance: Any, args: Any = None, **options: Any
    ) -> Any:
        """Set attributes of an object; `session.commit()` stores them.

        Args:
            instance: The object; or what `get_or_create` gave. A mapping, and it is SQLAlchemy's
                `Query.update`.
            args: The new values, by attribute.
            options: Of SQLAlchemy's.

        Returns:
            The object.

        Raises:
            UnknownColumn: There is no such attribute; then none is set.
        """
        if isinstance(instance, Mapping):
            how = {} if args is None else {"synchronize_session": args}
            return super().update(dict(instance), **how, **options)
        return query.update(instance[0] if isinstance(instance, tuple) else instance, args or {})

    def find_one(self, model: Any = None, filter_by: Any = None) -> Any:
        """The one row that is like this, or None.

        Args:
            model: The model, if the query is of none.
            filter_by: Which row.

        Raises:
            UnknownColumn: There is no such attribute.
            sqlalchemy.exc.MultipleResultsFound: There are several.
        """
        return self._like(model, filter_by).one_or_none()

    # --- many rows ---

    def find(
        self, model: Any = None, filter_by: Any = None, paginate: bool = True, **pages: Any
    ) -> Pagination | list[Any]:
        """The rows that are like this.

        Args:
            model: The model, if the query is of none.
            filter_by: Which rows; by default all.
            paginate: Whether to give one page of them, or a list of all.
            pages: Which page, and how it is made; see `paginate`.

        Raises:
            UnknownColumn: There is no such attribute.
        """
        found = self._like(model, filter_by)
        return found.paginate(**pages) if paginate else found.all()

    find_all = find

    def bulk_insert(self, objects: Any, model: Any = None, **options: Unpack[Bulk]) -> Written:
        """Store many rows for good: all of them, or none; those whose key is there are skipped.

        Where the session has written rows that these may depend on, it is done in the session's transaction.

        Args:
            objects: Mappings by attribute, which may differ in what they have; or one; or whatever
                `penstock.query.bulk_insert` takes. None is no row.
            model: The model or table, if the query is of none.
            options: `strict=True` makes a key that is no column an error; else it is left out, with a
                warning. `on_conflict`, `key` and `nan` are those of `penstock.query.bulk_insert`, but for
                the defaults "nothing" and "null".

        Returns:
            How many were inserted, updated, skipped.

        Raises:
            RowRefused: A row can't be stored: the message says which, and which column of it.
            UnknownColumn: A row has a key that is no column, and `strict` is true.
        """
        how = BulkOptions(**options)
        model = self._model(model)
        rows: Any = () if objects is None else objects
        done, ignored = durable.bulk_insert(self._session(), model, rows, how)
        if ignored:
            said = ", ".join(map(repr, ignored))
            message = f"{target_of(model).name} has no column {said}: what rows hold there is not stored."
            warnings.warn(message, IgnoredKeys, stacklevel=2)
        return done

    def paginate(
        self, page: int = 1, per_page: int = 10, count: bool = True, max_results: int | None = _MOST
    ) -> Pagination:
        """One page of the result, in the query's order and then in that of the primary key.

        Args:
            page: The page, from 1.
            per_page: Rows on a page.
            count: Whether to count all rows; `has_next` is right without it, too.
            max_results: Where counting ends; `capped` says if it did.

        Raises:
            NotSupported: The rows have no order of their own, and the query gives none.
        """
        page, per_page = max(page, 1), 10 if per_page < 0 else per_page
        found = query.paginate(
            self._session(),
            self._selected(),
            page=page,
            per_page=per_page or 1,
            count=count,
            max_count=max_results,
        )
        made = Pagination(self, page, per_page, found.total, found.items if per_page else [])
        made.capped, made._more = found.capped, found.has_next and per_page > 0
        made._turn = lambda number: self.paginate(number, per_page, count, max_results)
        return made

    # --- what is asked of what ---

    def _session(self) -> Session:
        session = self.session
        if session is None:
            raise NotSupported("This query has no session.", hint="Ask a session, or a connection, for it.")
        check_thread(session)
        return session

    def _of(self) -> Any:
        """What the query selects first; None if it selects nothing."""
        described = self.column_descriptions
        return described[0].get("entity") if described else None

    def _model(self, model: Any) -> Any:
        own = self._of()
        if own is None and model is None:
            raise _no_model()
        if own is not None and model is not None and own is not model:
            raise NotSupported(
                f"This query is of {target_of(own).name}, and rows of {target_of(model).name} are asked for.",
                hint="Give the model once.",
            )
        found: Any = model if own is None else own
        target_of(found)  # Raises NotSupported for what has no rows.
        return found

    def _like(self, model: Any, filter_by: Any) -> SQLQuery:
        """The query of the rows that are like this."""
        model = self._model(model)
        conditions = target_of(model).conditions(_checked(filter_by))
        found = self if self._of() is not None else SQLQuery([model], self._session())
        return found.filter(*conditions) if conditions else found

    def _first(self, model: Any, filter_by: Any) -> Any:
        target = target_of(model)
        return next(iter(query.find(self._session(), model, filter_by, order_by=_key(target), limit=1)), None)

    def _selected(self) -> Any:
        """The query as a SELECT."""
        if not self.column_descriptions:
            raise _no_model()
        return self.statement


def _key(target: Any) -> list[Any]:
    return [target.attributes[name] for name in target.key]


def _checked(filter_by: Any) -> Any:
    """The filter; raises NotSupported for a text, which is a list of letters otherwise."""
    if isinstance(filter_by, str):
        raise NotSupported("A text is no filter.", hint="filter_by={…}, or an expression of columns.")
    return filter_by


def _no_model() -> NotSupported:
    return NotSupported("Nothing says of which model.", hint="query(MODEL), or model=MODEL.")
