"""The table that a name means: the app's own, else as the store has it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import MetaData, Table, inspect
from sqlalchemy.exc import CompileError, DBAPIError, NoSuchTableError, SAWarning

from penstock.backends import backend_for
from penstock.errors import UnknownTable
from penstock.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Column, Connection, Dialect, Engine, Inspector


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A table.

    Args:
        table: It.
        declared: Whether it is the app's own, with its types and defaults; else it is as the database says.
    """

    table: Table
    declared: bool


def find_table(engine: Engine, name: str, metadata: Any = None, but: Collection[str] = ()) -> Found:
    """The table of a name.

    Args:
        engine: Of the store.
        name: The table, or `schema.table`.
        metadata: The tables that the app declares, if it does.
        but: Tables that are nobody's to load.

    Raises:
        UnknownTable: There is none in the store.
        ServerError: The server does not let it be looked at.
    """
    try:
        with engine.connect().execution_options(penstock_readonly=True) as connection:
            return _found(connection, name, metadata, but)
    except DBAPIError as error:
        raise backend_for(engine.url).translate(error, f"The table {name} can't be looked at.") from error


def type_of(column: Column[Any], dialect: Dialect) -> str:
    """The type of a column as the database calls it."""
    try:
        return str(column.type.compile(dialect=dialect))
    except CompileError:  # SQLAlchemy does not know it.
        return "type that is known"


def _found(connection: Connection, name: str, metadata: Any, but: Collection[str]) -> Found:
    inspector = inspect(connection)
    schema, _, plain = name.rpartition(".")
    if schema and schema not in inspector.get_schema_names():
        raise UnknownTable(
            f"The store has no schema {schema}.", hint=did_you_mean(schema, inspector.get_schema_names())
        )
    if plain in but:
        raise _unknown(inspector, name, schema, but)
    declared = getattr(metadata, "tables", {}).get(name)
    if declared is not None:
        if not inspector.has_table(declared.name, schema=declared.schema):
            raise UnknownTable(
                f"The store has no table {name}, though the app declares it.", hint="penstock syncstores"
            )
        return Found(table=declared, declared=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # A type that SQLAlchemy does not know is sent as text.
        try:
            table = Table(
                plain, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False
            )
        except NoSuchTableError:
            raise _unknown(inspector, name, schema, but) from None
    return Found(table=table, declared=False)


def _unknown(inspector: Inspector, name: str, schema: str, but: Collection[str]) -> UnknownTable:
    place = schema or None
    known = [*inspector.get_table_names(place), *inspector.get_view_names(place)]
    shown = [f"{schema}.{each}" if schema else each for each in known if each not in but]
    return UnknownTable(
        f"The store has no table {name}.",
        why=f"It has: {', '.join(sorted(shown))}." if shown else "It has none.",
        hint=did_you_mean(name, shown) or "penstock syncstores makes the tables that an app declares.",
    )
