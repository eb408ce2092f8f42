"""A walk through pages meets every row once, in order, whatever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import Phase, settings
from hypothesis import given as given_by
from hypothesis import strategies as st

from fix_pages import BEFORE, Shelf, in_one_go, order_by, shelf_of, walked
from penstock.query import paginate_keyset

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fix_doors import Doors

Rows = list[dict[str, Any]]
Order = list[tuple[str, bool, bool | None]]

# SQLAlchemy 2.1 warns of types of its own, when something is sorted by them.
pytestmark = pytest.mark.filterwarnings("ignore:Type object <class 'sqlalchemy")

QUICK = settings(max_examples=25, phases=[Phase.generate])


@pytest.fixture
def shelves(door_to: Doors) -> list[Shelf]:
    """Two tables behind every door: one whose columns can be NULL, and one whose columns can't."""

    def prepare(connection: sa.Connection, first_time: bool) -> None:
        for statement in BEFORE.get(connection.dialect.name, ()):
            connection.exec_driver_sql(statement)

    door = door_to(sa.MetaData(), prepare)
    return [shelf_of(door), shelf_of(door, "full_shelf", not_null=True)]


def rows_for(shelf: Shelf, names: list[str], ids: st.SearchStrategy[int]) -> st.SearchStrategy[Rows]:
    """Rows with these columns; the others are NULL, or have one value where they can't be."""
    every = {name: st.just(kind.values[0]) for name, kind in shelf.kinds.items()}
    some = {
        name: st.sampled_from(
            [*shelf.kinds[name].values, *(["NULL"] if shelf.table.c[name].nullable else [])]
        )
        for name in names
    }
    row = st.fixed_dictionaries({"id": ids} | ({} if shelf.table.name == "shelf" else every) | some)
    return st.lists(row, max_size=12, unique_by=lambda row: row["id"])


def orders_for(names: list[str]) -> st.SearchStrategy[Order]:
    one = st.tuples(st.booleans(), st.sampled_from([None, None, True, False]))
    return st.tuples(*(one for _ in names)).map(
        lambda ways: [(name, *way) for name, way in zip(names, ways, strict=True)]
    )


def names_for(shelf: Shelf) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(sorted(shelf.kinds)), min_size=1, max_size=3, unique=True)


def test_a_walk_by_each_type_is_one_sorted_select(shelves: list[Shelf]) -> None:
    for shelf in shelves:
        for name, kind in shelf.kinds.items():
            values = [*kind.values, *(["NULL"] * 2 if shelf.table.c[name].nullable else []), *kind.values[:2]]
            others = {} if shelf.table.name == "shelf" else {n: k.values[0] for n, k in shelf.kinds.items()}
            rows = [{"id": number, **others, name: value} for number, value in enumerate(values)]
            for descending in (False, True):
                check(shelf, rows, [(name, descending, None)], 3)


@QUICK
@given_by(data=st.data())
def test_a_walk_is_one_sorted_select_whatever_the_order(shelves: list[Shelf], data: st.DataObject) -> None:
    shelf = data.draw(st.sampled_from(shelves))
    names = data.draw(names_for(shelf))
    rows = data.draw(rows_for(shelf, names, st.integers(0, 99)))
    check(shelf, rows, data.draw(orders_for(names)), data.draw(st.integers(1, 5)))


def check(shelf: Shelf, rows: Rows, order: Order, per_page: int) -> None:
    def work(session: Session) -> tuple[list[int], list[int]]:
        shelf.fill(session, rows)
        found = walked(session, sa.select(shelf.table.c.id), order_by(shelf.table, order), per_page)
        return [row.id for row in found], in_one_go(session, shelf.table, order)

    found, expected = shelf.door.do(work)
    assert found == expected, (order, rows)


@QUICK
@given_by(data=st.data())
def test_no_row_that_stays_is_lost_or_repeated_while_others_come_and_go(
    shelves: list[Shelf], data: st.DataObject
) -> None:
    shelf = data.draw(st.sampled_from(shelves))
    names = data.draw(names_for(shelf))
    rows = data.draw(rows_for(shelf, names, st.integers(0, 99)))
    order = data.draw(orders_for(names))
    per_page = data.draw(st.integers(1, 3))
    shelf.door.do(lambda session: shelf.fill(session, rows))
    expected = shelf.door.do(lambda session: in_one_go(session, shelf.table, order))
    gone, seen, cursor = set[int](), list[int](), None
    for turn in range(60):
        new = data.draw(rows_for(shelf, names, st.integers(100 + turn * 100, 199 + turn * 100)))[:2]
        leaving = (
            data.draw(st.sets(st.sampled_from([row["id"] for row in rows]), max_size=2)) if rows else set()
        )
        page = shelf.door.do(lambda session, after=cursor: next_page(session, shelf, order, per_page, after))
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        gone |= leaving
        shelf.door.do(lambda session, new=new, leaving=leaving: change(session, shelf, new, leaving))
    stayed = [number for number in expected if number not in gone]
    assert [number for number in seen if number in set(stayed)] == stayed, (order, rows)
    assert len(seen) == len(set(seen))


def next_page(session: Session, shelf: Shelf, order: Order, per_page: int, after: str | None) -> Any:
    query = sa.select(shelf.table.c.id)
    page = paginate_keyset(
        session, query, order_by=order_by(shelf.table, order), per_page=per_page, after=after
    )
    return type(page)(items=[row.id for row in page.items], next_cursor=page.next_cursor)


def change(session: Session, shelf: Shelf, new: Rows, leaving: set[int]) -> None:
    session.execute(sa.delete(shelf.table).where(shelf.table.c.id.in_(leaving)))
    shelf.fill(session, new, anew=False)
