"""The bytes of a COPY are those that psycopg would send, or none."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from struct import pack
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.pq import Format

from penstock.backends.postgresql.encoder import Encoder, Field, field_of
from penstock.backends.rows import Unfit

VALUES: dict[int, st.SearchStrategy[Any]] = {
    16: st.booleans(),
    17: st.binary(max_size=9),
    19: st.text(st.characters(codec="utf-8"), max_size=9),
    20: st.integers(-(2**63), 2**63 - 1),
    21: st.integers(-(2**15), 2**15 - 1),
    23: st.integers(-(2**31), 2**31 - 1) | st.booleans(),
    25: st.text(st.characters(codec="utf-8"), max_size=9),
    26: st.integers(0, 2**32 - 1),
    700: st.floats(width=32),
    701: st.floats() | st.integers(-(2**60), 2**60) | st.booleans(),
    1043: st.text(st.characters(codec="utf-8"), max_size=9),
    1082: st.dates() | st.datetimes(),
    1083: st.times(),
    1114: st.datetimes(),
    1184: st.datetimes(timezones=st.just(UTC)),
    1186: st.timedeltas(),
    2950: st.uuids(),
}
UNFIT: dict[int, list[Any]] = {
    16: ["yes", 2, [], 0.5],
    17: ["text", 5, [1]],
    20: [2**63, 1.0, "1"],
    21: [2**15, -(2**15) - 1, 1.5],
    23: [2**31, 2**40, "1", 1.0],
    25: [5, b"bytes", "\ud800"],
    26: [-1, 2**32],
    700: [1e300, "1"],
    701: ["1", 1j, 10**400],
    1082: ["2020-01-01", 5],
    1083: ["01:02", 5],
    1114: [datetime(2020, 1, 1, tzinfo=UTC), date(2020, 1, 1)],
    1184: [datetime(2020, 1, 1), "now"],  # noqa: DTZ001  (that is what is wrong with it)
    1186: ["1 day", 5],
    2950: ["0000", 5],
}


def encoder(*oids: int) -> Encoder:
    fields = [field_of(oid) for oid in oids]
    return Encoder([field for field in fields if field is not None])


def by_psycopg(oids: list[int], rows: list[tuple[Any, ...]]) -> bytes:
    """As psycopg writes rows, value by value."""
    made = b""
    for row in rows:
        made += pack("!h", len(row))
        for oid, value in zip(oids, row, strict=True):
            if value is None:
                made += pack("!i", -1)
            else:
                dumper = psycopg.adapters.get_dumper_by_oid(oid, Format.BINARY)(type(value), None)
                data = bytes(dumper.dump(value) or b"")
                made += pack("!i", len(data)) + data
    return made


@given(
    st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=8).flatmap(
        lambda oids: st.tuples(
            st.just(oids), st.lists(st.tuples(*(st.none() | VALUES[oid] for oid in oids)), max_size=6)
        )
    )
)
def test_rows_are_written_as_psycopg_writes_them(given: tuple[list[int], list[tuple[Any, ...]]]) -> None:
    oids, rows = given
    made = encoder(*oids)
    assert made.encode(rows) == by_psycopg(oids, rows)
    assert made.encode(rows[::-1]) == by_psycopg(oids, rows[::-1])


@pytest.mark.parametrize("oid", sorted(UNFIT))
def test_what_does_not_fit_is_named_by_row_and_column(oid: int) -> None:
    good = {
        16: True, 17: b"", 20: 1, 21: 1, 23: 1, 25: "", 26: 1, 700: 1.0, 701: 1.0, 1082: date(2020, 1, 1),
        1083: time(1, 2), 1114: datetime(2020, 1, 1), 1184: datetime(2020, 1, 1, tzinfo=UTC),  # noqa: DTZ001
        1186: timedelta(1),
    }.get(oid)  # fmt: skip
    for value in UNFIT[oid]:
        with pytest.raises(Unfit) as unfit:
            encoder(23, oid, 25).encode([(1, good, "a"), (None, None, None), (2, value, "b"), (3, good, "c")])
        assert (unfit.value.row, unfit.value.column) == (2, 1)
        assert unfit.value.__cause__ is not None


def test_values_are_bound_and_dumped_before_they_are_written() -> None:
    fields = [
        Field("{}.encode(codec)", bind=lambda value: value and value.upper()),
        Field(dump=lambda value: b"<" + value + b">" if value else None),
        Field("{}", "h", bind=lambda value: None if value == 0 else value),
    ]
    rows: list[tuple[Any, ...]] = [("a", b"b", 1), (None, None, None), ("c", b"", 0)]
    null, head = pack("!i", -1), pack("!h", 3)
    assert Encoder(fields, "latin-1").encode(rows) == (
        head + pack("!i", 1) + b"A" + pack("!i", 3) + b"<b>" + pack("!ih", 2, 1)
        + head + null * 3
        + head + pack("!i", 1) + b"C" + null * 2
    )  # fmt: skip
    with pytest.raises(Unfit) as unfit:
        Encoder(fields).encode([*rows, ("a", "text", 1)])
    assert (unfit.value.row, unfit.value.column) == (3, 1)


def test_a_stranger_is_not_guessed() -> None:
    assert field_of(3614) is None
