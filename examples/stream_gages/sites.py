"""Reads gages from a site file of the US Geological Survey, given or built in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stream_gages.model import Gage
from stream_gages.rdb import read_rdb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream_gages.rdb import Row

BUILT_IN = Path(__file__).with_name("built_in.rdb")

_TEXTS = {
    "number": ("site_no", 15),
    "name": ("station_nm", 50),
    "kind": ("site_tp_cd", 7),
    "datum": ("alt_datum_cd", 10),
    "basin": ("huc_cd", 16),
}
"""The texts of a gage: the column of each, and how many characters the model has room for."""

_NUMBERS = {
    "latitude": ("dec_lat_va", 90),
    "longitude": ("dec_long_va", 180),
    "altitude": ("alt_va", 50_000),
}
"""The numbers of a gage: the column of each, and how far from zero it can be."""

COLUMNS = [column for column, _ in (_TEXTS | _NUMBERS).values()]
"""The columns a site file must have; it may have others, and any order."""


def gages_file() -> Path:
    """The file that the environment variable GAGES names, else the built-in one."""
    return Path(os.environ.get("GAGES") or BUILT_IN)


def read_gages(path: Path) -> Iterator[Gage]:
    """The gages of a site file, one at a time.

    Args:
        path: An RDB file with the columns of `COLUMNS`.

    Raises:
        RdbError: A line can't be understood, lacks number or name, or repeats a number.
        OSError: The file can't be read.
    """
    seen: dict[str, int] = {}
    for row in read_rdb(path, COLUMNS):
        gage = _gage(row)
        if gage.number in seen:
            raise row.error(f"gage {gage.number} again; it is on line {seen[gage.number]} already")
        seen[gage.number] = row.line
        yield gage


def _gage(row: Row) -> Gage:
    texts = {name: row.text(column, longest) for name, (column, longest) in _TEXTS.items()}
    numbers = {name: row.number(column, limit) for name, (column, limit) in _NUMBERS.items()}
    for name in ("number", "name"):
        if texts[name] is None:
            raise row.error(f"{_TEXTS[name][0]} is empty")
    return Gage(**texts, **numbers)
