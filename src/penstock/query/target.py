"""The arguments of a call: a mapped class or a table, and its connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, cast

from sqlalchemy import ARRAY, JSON, Column, ColumnElement, Connection, Engine, Table, inspect
from sqlalchemy.engine import TwoPhaseTransaction
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Mapper, Session, lazyload

from penstock.backends import backend_for
from penstock.errors import NoPrimaryKey, NotSupported, NotWritable, UnknownColumn, WrongObject
from penstock.query.among import one_of
from penstock.query.given import asked, called, check_where
from penstock.query.versions import Version
from penstock.sqlalchemy_compat import is_prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Result, ScalarResult, Select
    from sqlalchemy.orm import RelationshipProperty

    from penstock.backends.rows import RowBackend

On: TypeAlias = Session | Connection | Engine
"""Where it is asked: in the caller's transaction, but for an engine, which gets one of its own."""

Model: TypeAlias = type[Any] | Table
"""What is asked for: rows as objects of a mapped class, or the rows of a table."""

Where: TypeAlias = Mapping[str, Any] | ColumnElement[bool] | Sequence[ColumnElement[bool]] | None
"""Which rows: values by attribute, one expression, or several that must all hold."""


_Result = TypeVar("_Result")
_ALONE = lazyload("*")
_BY_SESSION = "Add objects to a session, or ask a session by get_or_create."
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Stands for every text that begins so; nothing in it is a wildcard."""

    text: str


@dataclass(frozen=True, slots=True)
class Contains:
    """Stands for every text with this inside; nothing in it is a wildcard."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A mapped class or a table, with its columns by the names that callers use.

    Args:
        model: The class, or the table.
        table: Where its rows are.
        columns: Its columns: by attribute, for a class.
        attributes: What a condition is put on, by the same names; relationships included.
        fixed: What every row has that is an object of the class, by column.
        version: How the versions of its rows are counted, if they are.
        criterion: What holds of the rows of the class, where those of others are in the table, too.
        unwritable: Why rows can't be written but by the ORM; empty if they can.
        uncreatable: Why there are no new rows of it; empty if there can be.
        joins: Whether others are loaded along, by a join.
        made_by_orm: Whether only the ORM can make objects of it.
    """

    model: Model
    table: Table
    columns: Mapping[str, Column[Any]]
    attributes: Mapping[str, Any]
    fixed: Mapping[Column[Any], Any] = field(default_factory=dict)
    version: Version | None = None
    criterion: ColumnElement[bool] | None = None
    unwritable: str = ""
    uncreatable: str = ""
    joins: bool = False
    made_by_orm: bool = False

    def check_writable(self, *, new: bool) -> None:
        """Raise NotSupported if rows of it, or new ones, can't be written."""
        why = self.unwritable or (self.uncreatable if new else "")
        if why:
            raise NotSupported(f"Rows of {self.name} can't be written in bulk.", why=why, hint=_BY_SESSION)

    @property
    def mapped(self) -> bool:
        """Whether rows are objects of a class."""
        return self.model is not self.table

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.model.__name__ if isinstance(self.model, type) else self.table.name

    @property
    def key(self) -> tuple[str, ...]:
        """The names of its primary key; raises NoPrimaryKey."""
        key = tuple(name for name, column in self.columns.items() if column.primary_key)
        if not key:
            raise NoPrimaryKey(
                f"{self.name} has no primary key.", hint="Say which columns name a row: key=(…)."
            )
        return key

    def column(self, name: str) -> Column[Any]:
        """The column that callers call so; raises UnknownColumn."""
        try:
            return self.columns[name]
        except KeyError:
            raise self.unknown(name) from None

    def unknown(self, *names: str) -> UnknownColumn:
        """The error for names that it does not have."""
        said = ", ".join(map(repr, names))
        return UnknownColumn(f"{self.name} has no column {said}.", why=f"It has: {', '.join(self.columns)}.")

    def conditions(self, where: Where) -> list[ColumnElement[bool]]:
        """What must hold of a row; raises UnknownColumn."""
        if where is None:
            return []
        check_where(where)
        if isinstance(where, Mapping):
            return [self._condition(name, value) for name, value in where.items()]
        return list(where) if isinstance(where, Sequence) else [where]

    def _condition(self, name: str, value: Any) -> ColumnElement[bool]:
        if name not in self.attributes:
            raise self.unknown(name)
        attribute = self.attributes[name]
        if isinstance(value, StartsWith):
            found: ColumnElement[bool] = attribute.startswith(value.text, autoescape=True)
        elif isinstance(value, Contains):
            found = attribute.contains(value.text, autoescape=True)
        elif isinstance(value, list | tuple | set | frozenset) and not self._holds_lists(name):
            found = one_of(attribute, value)
        else:
            found = attribute == value
        return found

    def _holds_lists(self, name: str) -> bool:
        column = self.columns.get(name)
        return column is not None and isinstance(column.type, ARRAY | JSON)


def target_of(model: Model) -> Target:
    """The class or table as a target.

    Raises:
        WrongObject: It is neither.
    """
    key: Any = model
    return _target_of(key) if isinstance(key, type | Table) else _no_model(key)


@lru_cache(maxsize=1024)
def _target_of(model: Any) -> Target:
    if isinstance(model, Table):
        columns = {column.key: column for column in model.columns}
        return Target(model, model, columns, columns)
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        return _no_model(model)
    table: Any = mapper.local_table
    found = {attribute.key: attribute.columns[0] for attribute in mapper.column_attrs}
    columns = {name: column for name, column in found.items() if isinstance(column, Column)}
    attributes = {name: getattr(model, name) for name, _ in mapper.all_orm_descriptors.items()}
    unwritable = uncreatable = ""
    if len(mapper.tables) > 1 or not isinstance(table, Table):
        unwritable = "They are spread over several tables, or are what a query gives."
    if mapper.polymorphic_abstract:
        uncreatable = "The class is abstract: each row is of one of its subclasses."
    return Target(
        model,
        table,
        columns,
        attributes,
        fixed=_fixed(mapper),
        version=_version(mapper),
        criterion=_criterion(mapper),
        unwritable=unwritable,
        uncreatable=uncreatable,
        joins=any(each.lazy in ("joined", False) for each in _relationships(mapper)),
        made_by_orm=bool(unwritable) or (mapper.polymorphic_on is not None and not _has_kind(mapper)),
    )


def _no_model(model: object) -> NoReturn:
    raise WrongObject(
        f"{called(model)} is neither a mapped class nor a table.",
        hint="Give them in this order: on, model, …",
    )


def _relationships(mapper: Mapper[Any]) -> Iterator[RelationshipProperty[Any]]:
    return chain.from_iterable(each.relationships for each in mapper.self_and_descendants)


def _fixed(mapper: Mapper[Any]) -> Mapping[Column[Any], Any]:
    if mapper.polymorphic_identity is None or not _has_kind(mapper):
        return {}
    return {cast("Column[Any]", mapper.polymorphic_on): mapper.polymorphic_identity}


def _has_kind(mapper: Mapper[Any]) -> bool:
    """Whether the discriminator of a class is a column of its tables, not an expression or a union's."""
    kind = mapper.polymorphic_on
    return any(kind is column for table in mapper.tables for column in table.c)


def _version(mapper: Mapper[Any]) -> Version | None:
    if mapper.version_id_col is None:
        return None
    return Version(cast("Column[Any]", mapper.version_id_col), mapper.version_id_generator or None)


def _criterion(mapper: Mapper[Any]) -> ColumnElement[bool] | None:
    if not mapper.single or mapper.polymorphic_on is None:
        return None
    identities = [each.polymorphic_identity for each in mapper.self_and_descendants]
    return mapper.polymorphic_on.in_([identity for identity in identities if identity is not None])


def attributes_of(entity: Any) -> list[Any]:
    """The attributes of a mapped class, or of an alias of one, that are read with it."""
    mapper = inspect(entity).mapper
    return [getattr(entity, each.key) for each in mapper.column_attrs if not each.deferred]


def objects_or_rows(
    source: Session | Connection,
    model: Model,
    query: Select[Any],
    values: Mapping[str, Any] | None = None,
) -> ScalarResult[Any] | Result[Any]:
    """What a SELECT of a model gives: objects of a class to a session, each once; else plain rows.

    Args:
        source: What is asked.
        model: What is selected.
        query: The SELECT.
        values: Its parameters.
    """
    if isinstance(source, Session) and not isinstance(model, Table):
        # Collections that are loaded along, by a join, have an object come several times.
        return source.scalars(query, values).unique()
    return source.execute(alone(source, model, query), values)


def alone(source: Session | Connection, model: Model, query: Select[Any]) -> Select[Any]:
    """The SELECT, without what a class loads along where plain rows are asked for."""
    if isinstance(source, Session) or isinstance(model, Table) or not target_of(model).joins:
        return query
    return query.options(_ALONE)


@contextmanager
def reading(on: On) -> Iterator[Session | Connection]:
    """Something to read with: what the caller has, or a connection of its own to the engine."""
    on = asked(on)
    if isinstance(on, Engine):
        with on.connect().execution_options(penstock_readonly=True) as connection:
            yield connection
    else:
        yield on


@contextmanager
def writing(on: On, target: Target, *, reads_first: bool = False) -> Iterator[Session | Connection]:
    """Something to write with: in the caller's transaction, or in one of its own on the engine.

    Args:
        on: What the caller has.
        target: Where rows are written.
        reads_first: Whether rows are read first, which may come from a result of the same connection.

    Raises:
        NotSupported: Rows can't be written on this connection as it is.
        NotWritable: Nothing can be written in the transaction.
        WrongObject: It is nothing to write with.
    """
    on = asked(on)
    if isinstance(on, Engine):
        with on.begin() as connection, writing(connection, target, reads_first=reads_first):
            yield connection
        return
    connection = connection_of(on, target)
    backend = rows_backend(connection)
    what = f"Rows of {target.name} can't be written in this transaction."
    _check_not_prepared(connection, what)
    if not reads_first:
        backend.check(connection)
    try:
        yield on
    except DBAPIError as error:
        known = backend.not_writable(error, what)
        if known is None:
            raise
        raise known from error


def _check_not_prepared(connection: Connection, what: str) -> None:
    whole = connection.get_transaction()
    # What is written now would be in no transaction.
    if isinstance(whole, TwoPhaseTransaction) and is_prepared(whole):
        raise NotWritable(what, why="It is prepared.", hint="Commit it, or roll it back, then begin another.")


def with_retry(on: On, attempt: Callable[[], _Result]) -> _Result:
    """What an attempt gives; on an engine it is made again when the server has ended its transaction."""
    for _ in range(_ATTEMPTS - 1 if isinstance(on, Engine) else 0):
        try:
            return attempt()
        except OperationalError as error:
            if not isinstance(on, Engine) or not rows_backend(on).ended(error):
                raise
    return attempt()


def rows_backend(on: Connection | Engine) -> RowBackend:
    """How its server writes many rows, and gives pages of them."""
    rows = backend_for(on.engine.url).rows
    if rows is None:
        raise NotSupported(
            f"Rows can't be written or paged on {on.dialect.name}: its backend does not say how.",
            hint="Use session.add(), or execute insert(), update() and select() of SQLAlchemy.",
        )
    return rows


def connection_of(on: Session | Connection, target: Target) -> Connection:
    """The connection on which rows of the target are written; what a session has pending stays so."""
    if isinstance(on, Connection):
        return on
    key = "mapper" if target.mapped else "clause"
    return on.connection(bind_arguments={key: target.model if target.mapped else target.table})
