"""A cursor that was changed is refused, and the transaction goes on."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import given as given_by
from hypothesis import strategies as st

from fix_pages import BEFORE, Shelf, shelf_of
from penstock.errors import InvalidCursor
from penstock.query import paginate_keyset

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fix_doors import Doors

# SQLAlchemy 2.1 warns of types of its own, when something is sorted by them.
pytestmark = pytest.mark.filterwarnings("ignore:Type object <class 'sqlalchemy")

QUICK = settings(max_examples=30, phases=[Phase.generate])
DEEP = "[" * 100_000
JUNK = (
    *(
        None,
        True,
        0,
        -1,
        2**63 - 1,
        2**63,
        2**64,
        10**400,
        0.5,
        float("nan"),
        "",
        "x",
        "a\0b",
        "\ud800",
        "'; --",
    ),
    *(
        "infinity",
        "2020-02-31",
        "2020-02-31T00:00:00",
        "T",
        "-",
        ":",
        "text:a",
        "real:x",
        "money:1",
        "{",
        "'",
    ),
    *("99:99:99", "838:59:60", "0000-00-00", "1 fortnight", "10.0.0.1/99", "LAKE", "POND ", "[1,", "NaN"),
    *(
        [],
        {},
        [[]],
        ["text", "a"],
        ["decimal", "x"],
        ["decimal", "sNaN"],
        ["decimal", "NaN7"],
        ["decimal", "1E+9"],
    ),
    *(
        ["decimal", "1E+999999"],
        ["decimal", "Infinity"],
        ["decimal", "0.10"],
        ["float", "nan"],
        ["float", "inf"],
    ),
    *(
        ["float", "1e999"],
        ["float", "1_0"],
        ["bytes", ""],
        ["bytes", "00"],
        ["bytes", "zz"],
        ["bytes", "7ff8"],
    ),
    *(["bytes", "7ff8000000000000"], ["uuid", "x"], ["uuid", "0" * 32], ["uuid", 5], ["decimal", None]),
    *(["datetime", "2020-01-01"], ["int", "5"], ["float", ["float", "1.0"]], {"float": "1.0"}),
)


@pytest.fixture
def shelf(door_to: Doors) -> Shelf:
    """A table with a column of every type, behind every door."""

    def prepare(connection: sa.Connection, first_time: bool) -> None:
        for statement in BEFORE.get(connection.dialect.name, ()):
            connection.exec_driver_sql(statement)

    made = shelf_of(door_to(sa.MetaData(), prepare), not_null=True)

    def fill(session: Session) -> None:
        columns = {name: kind.values[0] for name, kind in made.kinds.items()}
        made.fill(session, [{"id": number, **columns} for number in range(4)])

    made.door.do(fill)
    return made


def read(cursor: str) -> Any:
    return json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))


def written(said: Any) -> str:
    text = said if isinstance(said, str) else json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return urlsafe_b64encode(text.encode(errors="surrogatepass")).decode().rstrip("=")


def is_refused(session: Session, shelf: Shelf, name: str, cursor: Any) -> bool:
    """Whether a cursor is refused; in any case the transaction goes on."""
    query, order = sa.select(shelf.table.c.id), [shelf.table.c[name]]
    try:
        paginate_keyset(session, query, order_by=order, per_page=2, after=cursor)
    except InvalidCursor:
        refused = True
    else:
        refused = False
    assert session.scalar(sa.select(sa.func.count()).select_from(shelf.table)) == 4
    return refused


def cursor_of(session: Session, shelf: Shelf, name: str) -> str:
    query = sa.select(shelf.table.c.id)
    found = paginate_keyset(session, query, order_by=[shelf.table.c[name]], per_page=2).next_cursor
    assert found is not None
    return found


def test_junk_in_the_place_of_a_value_is_refused_or_a_value(shelf: Shelf) -> None:
    def work(session: Session) -> None:
        for name in shelf.kinds:
            fingerprint, value, key = read(cursor_of(session, shelf, name))
            assert not is_refused(session, shelf, name, written([fingerprint, value, key]))
            for junk in JUNK:
                is_refused(session, shelf, name, written([fingerprint, junk, key]))
                if type(junk) is not int and "decimal" not in str(junk):
                    assert is_refused(session, shelf, name, written([fingerprint, value, junk])), (name, junk)
            if not shelf.table.c[name].nullable:
                assert is_refused(session, shelf, name, written([fingerprint, None, key]))

    shelf.door.do(work)


def test_what_is_none_of_ours_is_refused(shelf: Shelf) -> None:
    def work(session: Session) -> None:
        cursor = cursor_of(session, shelf, "whole")
        fingerprint, value, key = read(cursor)
        broken: list[Any] = [
            "",
            "x",
            "é",
            "\ud800",
            "====",
            cursor + "=",
            cursor + "!",
            f"{cursor[:4]}\n{cursor[4:]}",
        ]
        broken += [
            cursor[:-1],
            cursor[1:],
            cursor + cursor,
            cursor.swapcase(),
            5,
            b"",
            cursor.encode(),
            object(),
        ]
        broken += [
            written(text) for text in ("", "[", DEEP, DEEP + "]" * 100_000, "null", "{}", "[]", "5", '"x"')
        ]
        broken += [
            written(said) for said in ([value, key], [fingerprint], [fingerprint, value], [None, value, key])
        ]
        broken += [written([fingerprint, value, key, key]), written([[fingerprint], value, key])]
        broken += [written(f'["{fingerprint}", {value},{key}]'), "W" * 2_000_000]
        for each in broken:
            assert is_refused(session, shelf, "whole", each), each
        assert is_refused(session, shelf, "real", cursor)

    shelf.door.do(work)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(JUNK),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(
            st.sampled_from(["decimal", "float", "bytes", "uuid"]),
            st.text("0123456789abcdefE+-.", max_size=16),
        )
    ),
    max_leaves=3,
)


@QUICK
@given_by(data=st.data())
def test_nothing_that_is_put_into_a_cursor_raises_anything_else(shelf: Shelf, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(shelf.kinds)))
    values = data.draw(st.lists(ANYTHING, min_size=2, max_size=2))

    def work(session: Session) -> None:
        fingerprint, *there = read(cursor_of(session, shelf, name))
        is_refused(session, shelf, name, written([fingerprint, *values]))
        is_refused(session, shelf, name, written([fingerprint, there[0], values[1]]))

    shelf.door.do(work)
