"""The tables as the first release makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa

if TYPE_CHECKING:
    from penstock.schema import Operations

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    """Make every table, and the one row with the registry's identity and format."""
    registry = op.create_table(
        "penstock_registry",
        sa.Column("format", sa.Integer, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
    )
    op.bulk_insert(registry, [{"format": 1, "generation": 0, "id": str(uuid4())}])
    _make_services(op)
    _make_stores(op)
    _make_credentials(op)
    _make_journal(op)


def _make_services(op: Operations) -> None:
    op.create_table(
        "penstock_service",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("password", sa.Text),
        sa.Column("admin_url", sa.Text),
        sa.Column("admin_password", sa.Text),
        sa.Column("pooled", sa.Boolean, nullable=False),
        sa.Column("max_connections", sa.Integer),
        sa.Column("roles", sa.String(20), nullable=False),
        sa.Column("next_password", sa.Text),
        sa.Column("next_admin_password", sa.Text),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("written_by", sa.Text, nullable=False),
        sa.UniqueConstraint("id", name="penstock_service_id_key"),
    )
    op.create_table(
        "penstock_link",
        sa.Column("app", sa.String(200), primary_key=True),
        sa.Column("setting", sa.String(200), primary_key=True),
        sa.Column("service", sa.String(200), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )


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
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("was", sa.String(400), nullable=False),
        sa.Column("kept_until", sa.DateTime(timezone=True)),
        sa.Column("version", sa.Integer, nullable=False),
        sa.UniqueConstraint("app", "name", "service", "database"),
    )
    op.create_index("ix_penstock_known_store_app", "penstock_known_store", ["app"])


def _make_credentials(op: Operations) -> None:
    op.create_table(
        "penstock_credential",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("service", sa.String(400), nullable=False),
        sa.Column("database", sa.String(400), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("login", sa.String(200), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_penstock_credential_store", "penstock_credential", ["service", "database"])


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
