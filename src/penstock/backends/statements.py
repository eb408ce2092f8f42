"""What a statement does, as far as its words tell, and where it ends."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASIDE = re.compile(
    r"'(?:[^']|'')*'"  # a text
    r'|"(?:[^"]|"")*"|`[^`]*`'  # a name
    r"|--[^\n]*|/\*.*?\*/",  # a comment
    re.DOTALL,
)
_FIRST = re.compile(r"[\s(;]*(\w+)")
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO|REPLACE(?!\s*\())\b", re.IGNORECASE)
_INTO = re.compile(r"\bINTO\b", re.IGNORECASE)
_PRAGMA = re.compile(
    r"\s*PRAGMA\s+(?:\w+\s*\.\s*)?"
    r"(?:(?:foreign_key_list|index_info|index_list|index_xinfo|table_info|table_list|table_xinfo)\b"
    r"|(?:foreign_key_check|integrity_check|quick_check)\b"
    r"|(?!(?:incremental_vacuum|optimize|shrink_memory|wal_checkpoint)\b)\w*\s*;?\s*\Z)",
    re.IGNORECASE,
)
_WRITES_IN_A_SELECT = re.compile(
    r"\b(?:add\w*geometrycolumn|auto(?:fdo|gpkg)st\w+|clonetable|create\w+|disablespatialindex|discard\w+"
    r"|drop\w+|elementarygeometries|gpkg(?:add|create|insert)\w+|import\w+|init\w*metadata\w*"
    r"|insertepsgsrid|invalidate\w+|(?:un)?register\w+|re(?:build|cover|create|name)\w+"
    r"|removeduplicaterows|rl2_\w+|se_\w+|setdatalicenseurl|sqlproc_execute\w*|stored(?:proc|var)_\w+"
    r"|st_(?:add(?:edge|iso|link)|change|createtopo|init|loginet|mod|moveiso|new|rem(?:edge|iso|ovelink)|spatnet)"
    r"\w*|topo(?:geo|net)_\w+|up(?:date|grade)\w+|wms_\w+)\s*\(",
    re.IGNORECASE,
)
"""Functions of SpatiaLite that write, by how their names begin; one too many costs a lock, no more."""

_KEPT = 2048
_LONGEST = 50_000


def first_word(statement: str) -> str:
    """The word that a statement begins with, in capitals; empty if there is none.

    >>> first_word("/* all of them */ (select * FROM gage)")
    'SELECT'
    """
    found = _FIRST.match(_ASIDE.sub(" ", statement) if statement.lstrip()[:1] in "-/" else statement)
    return found[1].upper() if found else ""


def only_reads(statement: str) -> bool:
    """Whether a statement plainly changes nothing; what can't be told is taken for a change.

    Args:
        statement: As it is sent.

    >>> only_reads("SELECT * FROM gage"), only_reads("WITH x AS (SELECT 1) INSERT INTO gage SELECT 1 FROM x")
    (True, False)
    """
    if statement.startswith(("INSERT", "UPDATE", "DELETE")):
        return False
    return _only_reads(statement) if len(statement) > _LONGEST else _known(statement)


def statements_in(script: str) -> Iterator[str]:
    """The statements of a script, as SQLite divides it: a semicolon in a text or a trigger ends none.

    Args:
        script: As a driver's `executescript` has it, which SQLite's drivers alone know.

    >>> list(statements_in("INSERT INTO gage VALUES ('a;b'); SELECT 1"))
    ["INSERT INTO gage VALUES ('a;b');", 'SELECT 1']
    """
    from sqlite3 import complete_statement

    statement = ""
    for piece in re.split(r"(?<=;)", script):
        statement += piece
        if complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        yield statement.strip()


def _only_reads(statement: str) -> bool:
    word = first_word(statement)
    plain = _ASIDE.sub(" ", statement)
    if word == "SELECT":
        return _INTO.search(plain) is None and _WRITES_IN_A_SELECT.search(plain) is None
    if word in {"WITH", "EXPLAIN"}:
        return _CHANGES.search(plain) is None
    if word == "PRAGMA":
        return _PRAGMA.match(plain) is not None
    return word in {"VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC", ""}


_known = lru_cache(_KEPT)(_only_reads)
