"""Keys on PostgreSQL: what its types and collations make equal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, CHAR, Dialect, Enum, Float, Numeric, Text, bindparam, cast, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import TypeDecorator, UserDefinedType

from penstock.backends.keys import ORDINAL, inner_type, name_of, told_apart
from penstock.backends.postgresql.relations import relation_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, ColumnElement, Connection

_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_WITH_NULLS_NOT_DISTINCT = (15,)
_NULLS_NOT_DISTINCT = text("""
    SELECT COUNT(*) FROM pg_catalog.pg_index i
    WHERE i.indrelid = CAST(:table AS pg_catalog.regclass) AND i.indnullsnotdistinct AND i.indpred IS NULL
    AND CAST(:names AS pg_catalog.text[]) = ARRAY(
        SELECT CAST(a.attname AS pg_catalog.text) COLLATE pg_catalog."C"
        FROM pg_catalog.unnest(CAST(i.indkey AS pg_catalog.int2[])) WITH ORDINALITY k (attnum, place)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts ORDER BY 1)""").bindparams(bindparam("names", type_=ARRAY(Text)))


class _Padded(UserDefinedType[str]):
    """A text that is the same with more blanks at its end, however long."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "BPCHAR"


class PostgreSQLKeys:
    """Compares keys on PostgreSQL (see `KeyBackend`)."""

    def tells_apart(self, connection: Connection, key: Sequence[Column[Any]], keys: Sequence[Any]) -> bool:
        """Whether the server tells keys from each other as Python does; it is asked if there are texts."""
        columns = list(zip(*keys, strict=True))
        kinds = [column.type for column in key]
        if all(map(told_apart, kinds, columns)):
            return True
        made = (kind for kind, values in zip(kinds, columns, strict=True) if not told_apart(kind, values))
        if any(isinstance(kind, TypeDecorator | Enum) for kind in made):
            return False  # What is read of these is of another type than what may be given.
        types = relation_of(connection, name_of(connection, key[0].table).replace("%%", "%")).columns
        how = [types[column.name].compared if column.name in types else None for column in key]
        given = [[value for value in values if value is not None] for values in columns]
        return all(one and (not values or one.holds(values)) for one, values in zip(how, given, strict=True))

    def as_stored(self, dialect: str, column: Column[Any], given: ColumnElement[Any]) -> ColumnElement[Any]:
        """A value as the column rounds it, which the server does not when it compares."""
        kind = inner_type(column.type, _DIALECT)
        kind = kind.data_type if isinstance(kind, DOMAIN) else kind
        if isinstance(kind, CHAR):
            return cast(given, _Padded())
        # A text or bits would be cut off by a cast, and not by an assignment.
        rounds = isinstance(kind, Float | Numeric) or getattr(kind, "precision", None) is not None
        return cast(given, column.type) if rounds else given

    def make_stage(self, connection: Connection, key: Sequence[Column[Any]], name: str) -> str:
        """Make a temporary table for keys; see `KeyBackend.make_stage`."""
        names = ", ".join(map(connection.dialect.identifier_preparer.format_column, key))
        ordinal, table = f'CAST(NULL AS pg_catalog.int4) AS "{ORDINAL}"', name_of(connection, key[0].table)
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS"
            f" SELECT {ordinal}, {names} FROM {table} WITH NO DATA"
        )
        return "pg_temp"

    def drop_stage(self, connection: Connection, name: str) -> None:
        """Drop that table."""
        connection.exec_driver_sql(f"DROP TABLE pg_temp.{name}")


def nulls_are_same(connection: Connection, table: str, key: Sequence[Column[Any]]) -> bool:
    """Whether a unique index of the key takes NULL for the same as NULL.

    Args:
        connection: In a transaction.
        table: The name of the table, quoted.
        key: The columns of the key.
    """
    if (connection.dialect.server_version_info or ()) < _WITH_NULLS_NOT_DISTINCT:
        return False
    given = {"table": table, "names": sorted(column.name for column in key)}
    return bool(connection.execute(_NULLS_NOT_DISTINCT, given).scalar_one())
