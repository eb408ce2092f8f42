"""Which registry it is, for the records of its stores."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import sqlalchemy as sa

if TYPE_CHECKING:
    from penstock.schema import Operations

revision = "0004"
down_revision = "0003"


def upgrade(op: Operations) -> None:
    """Give the registry an id of its own."""
    with op.batch_alter_table("penstock_registry") as table:
        table.add_column(sa.Column("id", sa.String(36)))
    op.execute(sa.text("UPDATE penstock_registry SET id = :id").bindparams(id=str(uuid4())))
    with op.batch_alter_table("penstock_registry") as table:
        table.alter_column("id", existing_type=sa.String(36), nullable=False)
