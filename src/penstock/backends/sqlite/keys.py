"""Keys on SQLite: what affinity and collation make equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Enum, String, text

from penstock.backends.keys import ORDINAL, schema_of, told_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Connection

_TYPES = text("SELECT name, type FROM pragma_table_xinfo(:table, :schema)")
_COLLATIONS = text("""
    SELECT i.name, x.name, x.coll
    FROM pragma_index_list(:table, :schema) i, pragma_index_xinfo(i.name, :schema) x
    WHERE i."unique" AND x.key""")


class SQLiteKeys:
    """Compares keys in SQLite (see `KeyBackend`)."""

    def tells_apart(self, connection: Connection, key: Sequence[Column[Any]], keys: Sequence[Any]) -> bool:
        """Whether the library tells keys from each other as Python does; it is asked if there are texts."""
        columns = list(zip(*keys, strict=True))
        asked = [
            (column, values)
            for column, values in zip(key, columns, strict=True)
            if not told_apart(column.type, values)
        ]
        if not all(_are_texts(column, values) for column, values in asked):
            return False
        return not asked or set(_collations(connection, key).values()) <= {"BINARY"}

    def make_stage(self, connection: Connection, key: Sequence[Column[Any]], name: str) -> str:
        """Make a temporary table for keys; see `KeyBackend.make_stage`."""
        table = key[0].table
        given = {"table": table.name, "schema": schema_of(connection, table)}
        types = {str(name).lower(): str(kind) for name, kind in connection.execute(_TYPES, given)}
        collations = _collations(connection, key)
        quote = connection.dialect.identifier_preparer.quote_identifier
        made = ", ".join(
            f"{quote(column.name)} {quote(types.get(column.name.lower(), ''))}"
            f" COLLATE {quote(collations.get(column.name, 'BINARY'))}"
            for column in key
        )
        self.drop_stage(connection, name)
        connection.exec_driver_sql(f'CREATE TEMP TABLE {name} ("{ORDINAL}" INTEGER PRIMARY KEY, {made})')
        return "temp"

    def drop_stage(self, connection: Connection, name: str) -> None:
        """Drop that table."""
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS temp.{name}")


def _are_texts(column: Column[Any], values: Sequence[Any]) -> bool:
    texts = isinstance(column.type, String) and not isinstance(column.type, Enum)
    return texts and set(map(type, values)) <= {str, type(None)}


def _collations(connection: Connection, key: Sequence[Column[Any]]) -> dict[str, str]:
    """How the unique index of a key compares texts, by column; without one, how the app says it is."""
    table = key[0].table
    given = {"table": table.name, "schema": schema_of(connection, table)}
    indexes: dict[str, dict[str, str]] = {}
    for index, name, collation in connection.execute(_COLLATIONS, given):
        indexes.setdefault(index, {})[str(name).lower()] = collation
    names = {column.name.lower(): column.name for column in key}
    for found in indexes.values():
        if found.keys() == names.keys():
            return {names[name]: collation for name, collation in found.items()}
    return {column.name: getattr(column.type, "collation", None) or "BINARY" for column in key}
