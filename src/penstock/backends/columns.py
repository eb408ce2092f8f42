"""Columns that mean the same on every server, whatever each calls their types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, JSON, DateTime, Index, String, Text
from sqlalchemy.dialects import mysql

if TYPE_CHECKING:
    from sqlalchemy import TextClause

_MARIADB = ("mysql", "mariadb")
_KEY_LENGTH = 190
"""Characters of a text in a key there: four of them have to fit into the 3,072 bytes of an index."""

KEY = String().with_variant(mysql.VARCHAR(_KEY_LENGTH, collation="utf8mb4_bin"), *_MARIADB)
"""A text that is part of a key or an index; texts that differ in case are different."""

TEXT = String().with_variant(Text(), *_MARIADB)
"""Any other text."""

TEXTS = ARRAY(String()).with_variant(JSON(), "sqlite", *_MARIADB)
"""A list of texts: as JSON where there are no arrays."""

MOMENT = DateTime().with_variant(mysql.DATETIME(fsp=6), *_MARIADB)
"""Date and time, to the microsecond."""


def hash_index(name: str, *columns: str) -> Index:
    """An index of hashes, where there is one; else a plain one."""
    return Index(name, *columns, postgresql_using="hash")


def partial_index(name: str, *columns: str, where: TextClause) -> Index:
    """An index of some of the rows, where there is one; else of all.

    Args:
        name: Its name.
        columns: Its columns.
        where: Which rows.
    """
    return Index(name, *columns, postgresql_where=where, sqlite_where=where)
