"""Files become rows of a table: which column goes where, and what a text means."""

from __future__ import annotations

from penstock.loading.files import Input
from penstock.loading.formats import Dialect, Format, format_of, opened
from penstock.loading.load import Loading, LoadOptions, Transaction
from penstock.loading.mapping import Fate, Mapped, check_names, mapped, renamed
from penstock.loading.sources import Source
from penstock.loading.tables import Found, find_table, type_of

__all__ = [
    "Dialect",
    "Fate",
    "Format",
    "Found",
    "Input",
    "LoadOptions",
    "Loading",
    "Mapped",
    "Source",
    "Transaction",
    "check_names",
    "find_table",
    "format_of",
    "mapped",
    "opened",
    "renamed",
    "type_of",
]
