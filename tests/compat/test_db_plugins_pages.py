"""Rows are found and paged through by the names of db-plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, func
from sqlalchemy.exc import MultipleResultsFound
from sqlalchemy.orm import selectinload

from fix_brokers import detections
from penstock.compat.db_plugins import Pagination, PaginationNoCount
from penstock.compat.db_plugins.models import Detection, Object
from penstock.errors import NotSupported, UnknownColumn

if TYPE_CHECKING:
    from penstock.compat.db_plugins import SQLConnection


@pytest.fixture
def full(db: SQLConnection) -> SQLConnection:
    """The database, with 25 objects of which five are alike, and detections of one."""
    db.query(Object).bulk_insert([{"oid": f"ZTF{number:02}", "ndet": number // 5} for number in range(25)])
    db.query(Detection).bulk_insert(detections(1, 2, 3, oid="ZTF00"))
    return db


def oids(page: Any) -> list[str]:
    return [each.oid for each in getattr(page, "items", page)]


def test_whether_a_row_is_there_is_told(full: SQLConnection) -> None:
    assert full.session.query().check_exists(Object, {"oid": "ZTF01"}) is True
    assert full.query(Object).check_exists(filter_by=Object.ndet > 50) is False
    assert full.query(Object).filter(Object.ndet == 4).check_exists(filter_by={"oid": "ZTF01"}) is False
    assert full.query().check_exists(Object) is True


def test_one_row_is_found_or_none_but_not_one_of_several(full: SQLConnection) -> None:
    assert full.query(Object).find_one(filter_by={"oid": "ZTF07"}).ndet == 1
    assert full.query().find_one(Object, {"oid": "nobody"}) is None
    with pytest.raises(MultipleResultsFound):
        full.query(Object).find_one(filter_by={"ndet": 1})


@pytest.mark.parametrize("name", ["find", "find_all"])
def test_rows_are_found_as_a_page_or_as_a_list(full: SQLConnection, name: str) -> None:
    page = getattr(full.query(), name)(Object, {"ndet": 2})
    assert isinstance(page, Pagination)
    assert (oids(page), page.total) == ([f"ZTF{number}" for number in range(10, 15)], 5)
    assert len(getattr(full.query(Object), name)(paginate=False)) == 25
    found = getattr(full.query(Object), name)(filter_by=Object.oid.in_(["ZTF03"]), paginate=False)
    assert oids(found) == ["ZTF03"]
    assert oids(getattr(full.query(Object), name)(page=3)) == [f"ZTF{number}" for number in range(20, 25)]


def test_a_query_is_narrowed_down_before_rows_of_it_are_found(full: SQLConnection) -> None:
    query = full.query(Object).filter(Object.ndet < 2).order_by(Object.oid.desc())
    assert oids(query.find(filter_by={"ndet": [1, 2]}, per_page=2)) == ["ZTF09", "ZTF08"]


@pytest.mark.parametrize("name", ["check_exists", "find", "find_one", "get_or_create"])
def test_what_is_no_attribute_is_an_error_that_says_what_there_is(full: SQLConnection, name: str) -> None:
    with pytest.raises(UnknownColumn, match=r"(?s)Object has no column 'ztf'.*ndethist"):
        getattr(full.query(Object), name)(filter_by={"ztf": 1})


@pytest.mark.parametrize("name", ["check_exists", "find", "find_one", "get_or_create", "bulk_insert"])
def test_which_model_is_meant_has_to_be_said_once(full: SQLConnection, name: str) -> None:
    given = ([],) if name == "bulk_insert" else ()
    with pytest.raises(NotSupported, match="of which model"):
        getattr(full.query(), name)(*given)
    with pytest.raises(NotSupported, match="This query is of Object, and rows of Detection"):
        getattr(full.query(Object), name)(*given, model=Detection)


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [True, False])
def test_d6_pages_have_every_row_once_and_know_what_comes(full: SQLConnection, count: bool) -> None:
    page = full.query(Object).order_by(Object.ndet.desc()).paginate(per_page=10, count=count)
    seen = oids(page)
    assert (page.has_prev, page.prev_num, page.next_num) == (False, None, 2)
    while page.has_next:
        page = page.next()
        seen += oids(page)
    assert seen == [f"ZTF{number:02}" for block in range(20, -1, -5) for number in range(block, block + 5)]
    assert (page.page, page.has_next, page.next_num, page.prev_num) == (3, False, None, 2)
    assert (page.total, page.pages) == ((25, 3) if count else (None, 0))
    assert oids(page.prev()) == seen[10:20]


def test_d6_a_count_that_was_ended_says_so_on_every_page(full: SQLConnection) -> None:
    page = full.query(Object).paginate(max_results=12)
    assert (page.total, page.capped, page.pages) == (12, True, 2)
    assert (page.next().total, page.next().capped) == (12, True)
    assert (page.next().has_next, oids(page.next().next())[0]) == (True, "ZTF20")
    assert full.query(Object).paginate(max_results=25).capped is False


def test_a_page_that_is_not_there_is_empty_and_odd_numbers_are_put_right(full: SQLConnection) -> None:
    beyond = full.query(Object).paginate(9)
    assert (beyond.items, beyond.has_next, beyond.has_prev, beyond.total) == ([], False, True, 25)
    assert full.query(Object).paginate(-3, -1).page == 1
    assert len(full.query(Object).paginate(-3, -1).items) == 10
    none = full.query(Object).paginate(per_page=0)
    assert (none.items, none.pages, none.total, none.has_next) == ([], 0, 25, False)


def test_pages_of_a_join_have_rows_of_both(full: SQLConnection) -> None:
    query = full.query(Object, Detection).outerjoin(Detection).filter(Object.ndet == 0)
    page = query.order_by(Object.oid, Detection.candid).paginate(per_page=4)
    assert [(each.Object.oid, each.Detection and each.Detection.candid) for each in page.items] == [
        ("ZTF00", 1),
        ("ZTF00", 2),
        ("ZTF00", 3),
        ("ZTF01", None),
    ]
    assert page.total == 7


def test_pages_load_along_what_the_query_says(full: SQLConnection) -> None:
    page = full.query(Object).options(selectinload(Object.detections)).paginate(per_page=2)
    sent: list[str] = []
    event.listen(full.engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    assert [len(each.detections) for each in page.items] == [3, 0]
    assert sent == []


def test_pages_can_be_made_by_hand() -> None:
    page = Pagination(None, 2, 10, 25, ["row"])
    assert (page.pages, page.has_prev, page.prev_num, page.has_next, page.next_num) == (3, True, 1, True, 3)
    assert (page.total, page.items, page.per_page) == (25, ["row"], 10)
    assert (Pagination(None, 1, 0, 5, []).pages, Pagination(None, 1, 10, None, []).pages) == (0, 0)
    assert Pagination(None, 1, 10, None, []).has_next is False
    with pytest.raises(NotSupported, match="without a query"):
        page.next()
    unknown = PaginationNoCount(None, 1, 10, [], True)
    assert (unknown.total, unknown.has_next, unknown.pages) == (None, True, 0)


def test_a_page_made_by_hand_is_turned_by_its_query(full: SQLConnection) -> None:
    page = Pagination(full.query(Object), 1, 10, 25, [])
    assert oids(page.next())[0] == "ZTF10"
    assert oids(page.next().prev())[0] == "ZTF00"


def test_pages_are_of_whatever_a_query_selects(full: SQLConnection) -> None:
    groups = full.query(Object.ndet, func.count(Object.oid)).group_by(Object.ndet).paginate(per_page=2)
    assert ([tuple(row) for row in groups.items], groups.total) == ([(0, 5), (1, 5)], 5)
    assert full.query(Object.__table__.c.oid).paginate(per_page=1).items[0].oid == "ZTF00"
    with pytest.raises(NotSupported, match="of which model"):
        full.query().paginate()


def test_what_is_no_model_or_no_filter_is_told(full: SQLConnection) -> None:
    for ask in ("check_exists", "find", "find_one", "get_or_create"):
        with pytest.raises(NotSupported, match="neither a mapped class nor a table"):
            getattr(full.query(), ask)("Object", {"oid": "ZTF01"})
        with pytest.raises(NotSupported, match="A text is no filter"):
            getattr(full.query(Object), ask)(filter_by="oid = 'ZTF01'")
    with pytest.raises(NotSupported, match="neither a mapped class nor a table"):
        full.query().bulk_insert([{"oid": "ZTF01"}], dict)
