"""The tables as release 0.1.0 made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from penstock.schema import Operations

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    """Make every table, and the one row that says which format it is."""
    registry = op.create_table("penstock_registry", sa.Column("format", sa.Integer, primary_key=True))
    op.bulk_insert(registry, [{"format": 1}])
    op.create_table(
        "penstock_service",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("admin_url", sa.Text),
        sa.Column("admin_password", sa.Text),
    )
    op.create_table(
        "penstock_assignment",
        sa.Column("app", sa.String(200), primary_key=True),
        sa.Column("setting", sa.String(200), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
    )
    _make_stores(op)
    _make_journal(op)


def _make_stores(op: Operations) -> None:
    op.create_table(
        "penstock_known_store",
        sa.Column("service", sa.String(400), primary_key=True),
        sa.Column("database", sa.String(400), primary_key=True),
        sa.Column("app", sa.String(200), nullable=False),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("dynamic", sa.Boolean, nullable=False),
        sa.Column("connection", sa.String(200), nullable=False),
        sa.Column("initializer", sa.Text, nullable=False),
        sa.Column("spatial", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.UniqueConstraint("app", "name", "service", "database"),
    )
    op.create_index("ix_penstock_known_store_app", "penstock_known_store", ["app"])


def _make_journal(op: Operations) -> None:
    op.create_table(
        "penstock_journal",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
