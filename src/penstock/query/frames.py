"""The rows of a SELECT as a table: of Arrow, of pandas, of polars."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Engine, Executable, Select, TextClause
from sqlalchemy.orm import Session
from sqlalchemy.orm.interfaces import UserDefinedOption
from sqlalchemy.sql.selectable import SelectBase

from penstock.backends import PINNED, backend_for
from penstock.backends.arrow import load_arrow, missing
from penstock.backends.frames import RowFrames, Selected
from penstock.engines.pool import StorePool
from penstock.errors import NotSupported, WrongObject
from penstock.query.target import attributes_of, reading
from penstock.sqlalchemy_compat import columns_as_given, name_in_row, options_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from sqlalchemy import Connection

    from penstock.backends.frames import FrameBackend
    from penstock.query.target import On

_BY_ROWS = RowFrames()


def to_arrow(on: On, statement: Executable) -> pa.Table:
    """The rows of a SELECT as a table of Arrow.

    With an engine of PostgreSQL they are read over a connection beside its pool, by ADBC, at about the
    speed at which the server sends them; they are one snapshot, of what is committed. With a session or a
    connection they are read in its transaction, so what it has written is among them; that takes at most
    twice as long.

    Args:
        on: An engine; or a session or a connection, in whose transaction it is done.
        statement: A SELECT of columns, or of mapped classes, whose attributes become the columns. A
            deferred one is left out.

    Returns:
        A table whose types follow from those of the columns (see "Read a table into pandas"), also if it
        has no rows.

    Raises:
        NotSupported: It is not a SELECT, two columns have one name, or values do not fit their type.
        MissingExtra: `penstock[frames]` is not installed.
        sqlalchemy.exc.DBAPIError: The server refuses it.

    >>> from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, select
    >>> from sqlalchemy.pool import StaticPool
    >>> from penstock.query import bulk_insert
    >>> engine = create_engine("sqlite://", poolclass=StaticPool)
    >>> gage = Table("gage", MetaData(), Column("number", Integer, primary_key=True), Column("name", String))
    >>> gage.create(engine)
    >>> bulk_insert(engine, gage, [{"number": 1, "name": "Weber"}]).inserted
    1
    >>> to_arrow(engine, select(gage)).to_pylist()
    [{'number': 1, 'name': 'Weber'}]
    """
    load_arrow()
    with _opened(on, Selected(*_named(statement), whole=True)) as reader:
        return reader.read_all()


@contextmanager
def to_arrow_batches(
    on: On, statement: Executable, *, batch_size: int | None = None
) -> Iterator[pa.RecordBatchReader]:
    """The rows of a SELECT as batches of Arrow, for results that are larger than memory. See `to_arrow`.

    Args:
        on: An engine, a session or a connection.
        statement: The SELECT.
        batch_size: How many rows a batch has at most; by default as many as come at a time: some 16 MB
            from an engine of PostgreSQL, else 50,000 rows. From a session of PostgreSQL they come several
            times slower than by `to_arrow`: it can be used between them.

    Returns:
        A block with a `pyarrow.RecordBatchReader`, whose batches are read as it is asked for them. With an
        engine, a connection is in use until the end of the block.

    Raises:
        NotSupported, MissingExtra: See `to_arrow`.

    >>> from sqlalchemy import create_engine, literal, select
    >>> with to_arrow_batches(create_engine("sqlite://"), select(literal(1).label("one"))) as reader:
    ...     [batch.num_rows for batch in reader]
    [1]
    """
    load_arrow()
    with _opened(on, Selected(*_named(statement), batch_size)) as reader:
        yield reader


def to_pandas(on: On, statement: Executable) -> pd.DataFrame:
    """The rows of a SELECT as a data frame of pandas. See `to_arrow`.

    Its columns are those of the Arrow table (`pandas.ArrowDtype`): NULL is `pandas.NA` in every one of them,
    whole numbers stay whole, and nothing is copied. For the types of numpy use
    `to_arrow(…).to_pandas()`.

    Args:
        on: An engine, a session or a connection.
        statement: The SELECT.

    Raises:
        NotSupported, MissingExtra: See `to_arrow`.
    """
    try:
        from pandas import ArrowDtype
    except ImportError as error:
        raise missing("pandas", error) from error
    frame: pd.DataFrame = to_arrow(on, statement).to_pandas(types_mapper=ArrowDtype)
    return frame


def to_polars(on: On, statement: Executable) -> pl.DataFrame:
    """The rows of a SELECT as a data frame of polars. See `to_arrow`.

    Args:
        on: An engine, a session or a connection.
        statement: The SELECT.

    Raises:
        NotSupported, MissingExtra: See `to_arrow`.
    """
    try:
        from polars import from_arrow
    except ImportError as error:
        raise missing("polars", error) from error
    return cast("pl.DataFrame", from_arrow(to_arrow(on, statement), rechunk=False))


# --- from where -----------------------------------------------------------------------------------


@contextmanager
def _opened(on: On, selected: Selected) -> Iterator[Any]:
    selected.alone = isinstance(on, Engine) and not on.get_execution_options().get(PINNED)
    beside = _beside(on, selected) if isinstance(on, Engine) else None
    if beside is not None:
        with beside as reader:
            yield reader
    else:
        with reading(on) as source, _within(source, selected) as reader:
            yield reader


def _beside(engine: Engine, selected: Selected) -> AbstractContextManager[Any] | None:
    """A block with a reader on a connection outside the engine, if the dialect can make one."""
    if engine.get_execution_options().get(PINNED):
        return None  # What a test has written is seen by its own connection only.
    pool = engine.pool
    if not isinstance(pool, StorePool):
        return _frames(engine).beside(engine, selected, nullcontext)
    if pool.budget.is_reserved:
        return None  # All that its work may have was taken before it began.
    return _frames(engine).beside(engine, selected, pool.one_more)


def _within(source: Session | Connection, selected: Selected) -> AbstractContextManager[Any]:
    bind = source.get_bind(clause=selected.statement) if isinstance(source, Session) else source
    return _frames(bind.engine).within(source, selected)


def _frames(engine: Engine) -> FrameBackend:
    return backend_for(engine.url).frames or _BY_ROWS


# --- of what --------------------------------------------------------------------------------------


def _named(statement: Any) -> tuple[SelectBase, Sequence[str]]:
    """A SELECT of plain columns, and what they are called; raises NotSupported."""
    if not isinstance(statement, SelectBase):
        raise WrongObject(
            f"This is no SELECT but {type(statement).__name__}.",
            hint="Give select(…); a text as text(…).columns(…).",
        )
    made = _of_attributes(statement) if isinstance(statement, Select) else statement
    names = [_name(column, number) for number, column in enumerate(made.selected_columns, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names:
        raise NotSupported("The SELECT has no columns, so a table could not tell how many rows it has.")
    if twice:
        raise NotSupported(
            f"Two columns of the SELECT are called {', '.join(map(repr, twice))}.",
            hint="Give them names of their own: column.label(…).",
        )
    return made, names


def _of_attributes(statement: Select[Any]) -> Select[Any]:
    """The same with the attributes of mapped classes in the place of these."""
    if any(isinstance(each, TextClause) for each in columns_as_given(statement)):
        raise NotSupported(
            "A column of the SELECT is a text of no known type.",
            hint="Give literal_column(…, Type).label(…).",
        )
    found: list[Any] = []
    for each in statement.column_descriptions:
        entity = each.get("entity")
        whole = entity is not None and each["expr"] is entity
        found += attributes_of(entity) if whole else [each["expr"]]
    # An app's own options go with the columns they were given with.
    own = [each for each in options_of(statement) if isinstance(each, UserDefinedOption)]
    return statement.with_only_columns(*found).options(*own)


def _name(column: Any, number: int) -> str:
    """What a row calls it."""
    return str(name_in_row(column) or f"column_{number}")
