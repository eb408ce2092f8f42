"""For those who declare tables: a base, mixins, column types, finders."""

from penstock.models.base import NAMING_CONVENTION, Base
from penstock.models.finders import (
    Finders,
    Order,
    all_by_lower,
    by_id,
    by_ids,
    by_lower,
    columns_as_dict,
    containing,
    exact_then_insensitive,
    in_range,
    loaded_columns_as_dict,
    starting_with,
)
from penstock.models.keys import UuidKey, uuid7
from penstock.models.names import TableNames
from penstock.models.softdelete import SoftDelete, showing_deleted, with_deleted
from penstock.models.timestamps import Timestamps
from penstock.models.types import UTCDateTime, render_item, utc_now

__all__ = [
    "NAMING_CONVENTION",
    "Base",
    "Finders",
    "Order",
    "SoftDelete",
    "TableNames",
    "Timestamps",
    "UTCDateTime",
    "UuidKey",
    "all_by_lower",
    "by_id",
    "by_ids",
    "by_lower",
    "columns_as_dict",
    "containing",
    "exact_then_insensitive",
    "in_range",
    "loaded_columns_as_dict",
    "render_item",
    "showing_deleted",
    "starting_with",
    "utc_now",
    "uuid7",
    "with_deleted",
]
