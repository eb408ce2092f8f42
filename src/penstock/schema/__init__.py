"""One revision folder on one connection: Alembic without anything global."""

from alembic.operations import Operations

from penstock.schema.revisions import Revisions, UnknownRevision

__all__ = ["Operations", "Revisions", "UnknownRevision"]
