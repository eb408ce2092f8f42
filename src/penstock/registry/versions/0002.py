"""Identities and versions, so that no update is lost; a count of the changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.schema import Operations

revision = "0002"
down_revision = "0001"


def upgrade(op: Operations) -> None:
    """Add the new columns, and fill them in for what is there."""
    _add(op, "penstock_registry", {sa.Column("generation", sa.BigInteger): 0})
    # Releases before this one look at the format, and then leave the registry alone.
    op.execute(sa.text("UPDATE penstock_registry SET format = 2"))
    _identify_services(op)
    _add(op, "penstock_assignment", {sa.Column("version", sa.Integer): 1})
    _extend_stores(op)


def _identify_services(op: Operations) -> None:
    with op.batch_alter_table("penstock_service") as table:
        table.add_column(sa.Column("id", sa.String(32)))
        table.add_column(sa.Column("max_connections", sa.Integer))
    connection = op.get_bind()
    write = sa.text("UPDATE penstock_service SET id = :id WHERE name = :name")
    for (name,) in connection.execute(sa.text("SELECT name FROM penstock_service")).all():
        connection.execute(write, {"id": uuid4().hex, "name": name})
    with op.batch_alter_table("penstock_service") as table:
        table.alter_column("id", existing_type=sa.String(32), nullable=False)
        table.create_unique_constraint("penstock_service_id_key", ["id"])
    new: dict[sa.Column[Any], object] = {
        sa.Column("pooled", sa.Boolean): False,
        sa.Column("version", sa.Integer): 1,
        sa.Column("written_by", sa.Text): "",
    }
    _add(op, "penstock_service", new)


def _extend_stores(op: Operations) -> None:
    new: dict[sa.Column[Any], object] = {
        sa.Column("version", sa.Integer): 1,
        sa.Column("kind", sa.String(200)): "",
        sa.Column("record_id", sa.String(36)): "",
    }
    _add(op, "penstock_known_store", new)
    connection = op.get_bind()
    write = sa.text("UPDATE penstock_known_store SET kind = :kind WHERE name = :name")
    for (name,) in connection.execute(sa.text("SELECT DISTINCT name FROM penstock_known_store")).all():
        kind, dot, _ = name.partition(".")
        if dot:  # A store of a kind is named `kind.name`.
            connection.execute(write, {"kind": kind, "name": name})


def _add(op: Operations, table: str, columns: Mapping[sa.Column[Any], object]) -> None:
    """Add columns that are never null, with one value in every row that is there."""
    with op.batch_alter_table(table) as changed:
        for column in columns:
            changed.add_column(column)
    values = {column.name: value for column, value in columns.items()}
    op.execute(sa.update(sa.table(table, *(sa.column(c.name, c.type) for c in columns))).values(values))
    with op.batch_alter_table(table) as changed:
        for column in columns:
            changed.alter_column(column.name, existing_type=column.type, nullable=False)
