"""Helpers on a plain session: find, get or create, write many rows, page."""

from __future__ import annotations

from penstock.backends.rows import OnConflict, Written
from penstock.query.bulk import bulk_insert, bulk_update, upsert
from penstock.query.create import get_or_create, get_or_create_many
from penstock.query.find import exists, find, find_one, update
from penstock.query.frames import to_arrow, to_arrow_batches, to_pandas, to_polars
from penstock.query.page import KeysetPage, Page, count_estimate, paginate, paginate_keyset
from penstock.query.progress import Progress
from penstock.query.target import Contains, StartsWith

__all__ = [
    "Contains",
    "KeysetPage",
    "OnConflict",
    "Page",
    "Progress",
    "StartsWith",
    "Written",
    "bulk_insert",
    "bulk_update",
    "count_estimate",
    "exists",
    "find",
    "find_one",
    "get_or_create",
    "get_or_create_many",
    "paginate",
    "paginate_keyset",
    "to_arrow",
    "to_arrow_batches",
    "to_pandas",
    "to_polars",
    "update",
    "upsert",
]
