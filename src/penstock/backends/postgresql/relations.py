"""What a table of PostgreSQL is: it decides by which way rows are written to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from sqlalchemy import text

from penstock.backends.postgresql.ordering import CHAR, COMPARED, TEXTS, Comparison
from penstock.backends.rows import OnConflict
from penstock.errors import NotSupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Connection

    from penstock.backends.rows import Writing

_STAGE = "penstock_rows"
_PLAIN, _FOREIGN, _VIEW = "r", "f", "v"
_COPIED = ("r", "p", "f")
_THERE = "penstock.there"
_VARHDRSZ = 4
"""What the modifier of a text is larger than its length."""

# A domain is sent as what it is made of; the label of an enumeration as a text. Of what is always generated
# COPY would take a value, or refuse it otherwise than INSERT does.
_DESCRIBED = text("""
    WITH relation AS MATERIALIZED (
        SELECT c.oid, CAST(c.relkind AS pg_catalog.text) AS kind,
            pg_catalog.row_security_active(c.oid) AS secured,
            c.relhasrules AND EXISTS (SELECT FROM pg_catalog.pg_rewrite r
                WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3') AND r.ev_enabled <> 'D') AS ruled,
            c.relhastriggers AND EXISTS (SELECT FROM pg_catalog.pg_trigger g
                WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS triggered,
            pg_catalog.has_table_privilege(c.oid, 'SELECT') AS readable,
            pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS may_stage,
            EXISTS (SELECT FROM pg_catalog.pg_class o WHERE o.relname = 'penstock_rows'
                AND (o.relpersistence <> 't' OR o.relnamespace = pg_catalog.pg_my_temp_schema())) AS taken
        FROM pg_catalog.pg_class c WHERE c.oid = CAST(:table AS pg_catalog.regclass))
    SELECT relation.kind, relation.secured, relation.ruled, relation.triggered, relation.readable,
        relation.may_stage, relation.taken,
        a.attname, CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'e' THEN 25 ELSE t.oid END,
        t.typname, pg_catalog.format_type(t.oid, -1),
        t.typtype = 'e' OR COALESCE(c.collisdeterministic, FALSE), GREATEST(a.atttypmod, t.typtypmod),
        pg_catalog.format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attcollation = 0 THEN ''
            ELSE pg_catalog.format(' COLLATE %I.%I', n.nspname, c.collname) END,
        a.attidentity = 'a' OR a.attgenerated <> ''
    FROM relation LEFT JOIN (pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid)
        ON a.attrelid = relation.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_collation c ON c.oid = a.attcollation
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace""")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What the server has a column as.

    Args:
        oid: The number of its type, or of what a domain is made of.
        name: The name of that.
        cast: What a cast calls it.
        exact: Whether two texts are the same only if their bytes are.
        modifier: How long or how exact values may be; -1 if that is not said.
        definition: What makes a column like it.
        generated: Whether the server always makes its values.
    """

    oid: int
    name: str
    cast: str
    exact: bool
    modifier: int
    definition: str
    generated: bool

    @property
    def by_bytes(self) -> bool:
        """Whether it is a text, and two of them are the same only if their bytes are."""
        return self.exact and self.oid in (*TEXTS, CHAR)

    @property
    def compared(self) -> Comparison | None:
        """How Python tells values from each other, and in the order of the server's; None if it can't."""
        known = COMPARED.get(self.oid)
        if known is None or (self.oid in TEXTS and not self.exact):
            return None
        if self.modifier < 0:
            return Comparison(known)
        # A text that is longer may be cut, if it ends in blanks; a moment is rounded.
        return Comparison(known, self.modifier - _VARHDRSZ) if self.oid in TEXTS else None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, a view, or what else rows are written to.

    Args:
        kind: Its `relkind`.
        secured: Whether row-level security applies to the role.
        ruled: Whether rules rewrite what is inserted or updated.
        triggered: Whether it has triggers.
        readable: Whether the role may read all of it.
        may_stage: Whether the role may make temporary tables.
        stage: The name for a temporary table that hides no other one.
        columns: Its columns by name.
    """

    kind: str
    secured: bool
    ruled: bool
    triggered: bool
    readable: bool
    may_stage: bool
    stage: str
    columns: Mapping[str, ColumnType]

    @property
    def marks_new(self) -> bool:
        """Whether RETURNING can tell a new row by `xmax`, which only a table of the server's own has."""
        return self.kind == _PLAIN and self.readable

    @property
    def stores_all(self) -> bool:
        """Whether it stores every row that it is given, as it is given; and all rows can be locked."""
        return self.kind == _PLAIN and not self.triggered and not self.secured

    @property
    def can_be_locked(self) -> bool:
        """Whether FOR UPDATE can be said of its rows: not of every view's."""
        return self.kind != _VIEW

    def not_copied(self, columns: Sequence[Column[object]]) -> str:
        """Why COPY can't write to it, or would write something else than INSERT; empty if it can."""
        if self.kind not in _COPIED:
            return "it is a view"
        if self.secured:
            return "it has row-level security"
        if self.ruled:
            return "it has rules"
        generated = [column.name for column in columns if self.columns[column.name].generated]
        return f"its {generated[0]} is generated" if generated else ""

    def check(self, writing: Writing) -> None:
        """Refuse what the server can't do with it.

        Raises:
            NotSupported: There is no telling whether a row is there.
        """
        if writing.on_conflict is OnConflict.ERROR:
            return
        if self.ruled:
            why = "It has rules, with which there is no ON CONFLICT."
        elif self.kind == _FOREIGN:
            why = "It is a foreign table, and unique keys of it are known to its own server only."
        elif self.kind == _VIEW and self.triggered:
            why = "It is a view with triggers, which has no unique key."
        else:
            return
        raise NotSupported(
            f"It can't be told which rows are in {writing.table.name} already.",
            why=why,
            hint="Write to the table behind it; or say on_conflict='error', and use bulk_update.",
        )


def relation_of(connection: Connection, table: str) -> Relation:
    """What the server knows of a table, asked by one query.

    Args:
        connection: In a transaction; one is begun on it, if it is in none.
        table: The name of the table, quoted.
    """
    found = [tuple(row) for row in connection.execute(_DESCRIBED, {"table": table})]
    columns = {str(row[7]): ColumnType(int(row[8]), *row[9:]) for row in found if row[7] is not None}
    kind, secured, ruled, triggered, readable, may_stage, taken, *_ = found[0]
    stage = f"{_STAGE}_{uuid4().hex}" if taken else _STAGE
    return Relation(kind, secured, ruled, triggered, readable, may_stage, stage, columns)


def new_row(alias: str, key: Sequence[str], update: Sequence[str]) -> tuple[str, str]:
    """How a statement tells new rows where there is no `xmax`: by a note of the row that it has locked.

    The condition of DO UPDATE is looked at once for each row that is there, just before that is updated and
    given by RETURNING; a setting that ends with the transaction holds the row's key meanwhile. So it is
    also right if others insert and delete the same rows.

    Args:
        alias: What the statement calls the table.
        key: What tells a row.
        update: What a row that is there gets.

    Returns:
        The condition, which is always true; and what RETURNING says of a new row.
    """
    old = ", ".join(f"{'EXCLUDED' if name in update else alias}.{name}" for name in key)
    new = ", ".join(f"{alias}.{name}" for name in key)

    def note(names: str) -> str:  # The moment is that of the statement.
        return f"CAST(ROW(pg_catalog.statement_timestamp(), {names}) AS pg_catalog.text)"

    return (
        f"pg_catalog.set_config('{_THERE}', {note(old)}, TRUE) IS NOT NULL",
        f"pg_catalog.current_setting('{_THERE}', TRUE) IS DISTINCT FROM {note(new)}",
    )
