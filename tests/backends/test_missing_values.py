"""NULL takes the place of NaN and the like, and of nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import ARRAY, JSON, Column, Float, Numeric, Text
from sqlalchemy.sql.elements import Null

from penstock.backends.values import without_nan

COLUMNS: list[Column[Any]] = [
    Column("real", Float()),
    Column("exact", Numeric()),
    Column("text", Text()),
    Column("document", JSON()),
    Column("series", ARRAY(Float())),
]
NUMBERS = st.none() | st.integers() | st.floats() | st.decimals() | st.floats().map(np.float64)
WITHIN = NUMBERS | st.lists(NUMBERS, max_size=3) | st.dictionaries(st.text(max_size=3), NUMBERS, max_size=3)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, st.none() | st.text(), WITHIN, WITHIN), max_size=6)


def is_nan(value: Any) -> bool:
    return value.is_nan() if isinstance(value, Decimal) else isinstance(value, float) and value != value  # noqa: PLR0124


def told(value: Any) -> Any:
    """What can be compared: NaN is None, and NULL of a document, too."""
    if isinstance(value, dict):
        return {name: told(each) for name, each in value.items()}
    if isinstance(value, list):
        return [told(each) for each in value]
    return None if isinstance(value, Null) or is_nan(value) else value


def has_nan(value: Any) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return any(map(is_nan, inside))


@given(ROWS)
def test_each_value_is_what_it_was_but_for_nan(rows: list[tuple[Any, ...]]) -> None:
    made = without_nan(COLUMNS, rows)
    assert [told(list(row)) for row in made] == [told(list(row)) for row in rows]
    assert not any(has_nan(value) for row in made for value in row)


@given(st.lists(st.tuples(st.floats(allow_nan=False) | st.none(), st.integers(), st.text())))
def test_rows_without_nan_stay_themselves(rows: list[tuple[Any, ...]]) -> None:
    assert without_nan(COLUMNS[:3], rows) is rows
