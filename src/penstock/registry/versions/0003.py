"""Logins of stores' own; passwords about to be used; dropped stores that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from penstock.schema import Operations

revision = "0003"
down_revision = "0002"


def upgrade(op: Operations) -> None:
    """Add the new columns and the table of logins."""
    # A release that does not know a second password would forget it when it edits a service.
    op.execute(sa.text("UPDATE penstock_registry SET format = 3"))
    with op.batch_alter_table("penstock_service") as table:
        table.add_column(sa.Column("roles", sa.String(20)))
        table.add_column(sa.Column("next_password", sa.Text))
        table.add_column(sa.Column("next_admin_password", sa.Text))
    op.execute(sa.text("UPDATE penstock_service SET roles = 'AUTO'"))
    with op.batch_alter_table("penstock_service") as table:
        table.alter_column("roles", existing_type=sa.String(20), nullable=False)
    with op.batch_alter_table("penstock_known_store") as table:
        table.add_column(sa.Column("was", sa.String(400)))
        table.add_column(sa.Column("kept_until", sa.DateTime(timezone=True)))
    op.execute(sa.text("UPDATE penstock_known_store SET was = ''"))
    with op.batch_alter_table("penstock_known_store") as table:
        table.alter_column("was", existing_type=sa.String(400), nullable=False)
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
