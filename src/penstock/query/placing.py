"""Fits the rows that are written to the table as the server has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import MetaData
from sqlalchemy import Sequence as Numbering

from penstock.backends.expressions import with_columns
from penstock.backends.keys import schema_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Column, Connection

    from penstock.backends.rows import Expressions, Writing


def placed(connection: Connection, writing: Writing) -> Writing:
    """What is written, as this server has it, in the schema that the caller's `schema_translate_map` says."""
    table = writing.table
    if writing.defaults:
        writing = replace(writing, defaults=_known(connection, writing.defaults))
    schema: Any = schema_of(connection, table)
    if schema == table.schema:
        return writing
    there = table.to_metadata(MetaData(), schema=schema)

    def same(columns: Sequence[Column[Any]]) -> list[Column[Any]]:
        return [there.columns[column.key] for column in columns]

    def made(expressions: Expressions) -> Expressions:
        old = {
            column: with_columns(e, table, lambda each: there.columns[each.key])
            for column, e in expressions.items()
        }
        return dict(zip(same(list(old)), old.values(), strict=True))

    return replace(
        writing,
        table=there,
        columns=same(writing.columns),
        key=same(writing.key),
        update=same(writing.update),
        defaults=made(writing.defaults),
        onupdates=made(writing.onupdates),
    )


def _known(connection: Connection, defaults: Expressions) -> Expressions:
    """Those that the server has: where it has no sequences, it numbers rows in its own way."""
    dialect = connection.dialect
    left = {
        column
        for column in defaults
        if isinstance(column.default, Numbering)
        and (not dialect.supports_sequences or (column.default.optional and dialect.sequences_optional))
    }
    return {column: made for column, made in defaults.items() if column not in left}
