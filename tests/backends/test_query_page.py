"""Pages of a result, by number and by keyset, miss nothing and repeat nothing."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import pytest
from sqlalchemy import DateTime, LargeBinary, MetaData, Numeric, String, delete, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column

from fix_apps import engine_of
from penstock import App, Database
from penstock.errors import InvalidCursor, NotSupported
from penstock.query import bulk_insert, count_estimate, paginate, paginate_keyset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from fix_servers import TestServer
    from penstock.query import KeysetPage

ROWS = 53
ZERO = UUID(int=0)


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(100)}  # noqa: RUF012


class Gage(Base):
    __tablename__ = "gage"

    number: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    altitude: Mapped[float | None]
    depth: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    since: Mapped[date | None]
    seen: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    uuid: Mapped[UUID]
    blob: Mapped[bytes] = mapped_column(LargeBinary)


class Rivers(App):
    package = "rivers"
    gages = Database("Gages.", metadata=Base.metadata)


def gage(number: int) -> dict[str, Any]:
    """A row whose values repeat and are missing now and then."""
    return {
        "number": number,
        "site": f"site {number % 4}",
        "altitude": None if number % 3 == 0 else number % 7 / 2,
        "depth": None if number % 5 == 0 else Decimal(number % 6) / 4,
        "since": None if number % 4 == 0 else date(2000 + number % 3, 1, 1),
        "seen": datetime(2020, 1, 1 + number % 9, tzinfo=UTC),
        "uuid": uuid5(ZERO, str(number % 11)),
        "blob": bytes([number % 3, 255]),
    }


@pytest.fixture
def session(ground: TestServer) -> Iterator[Session]:
    """A session on a store with some gages."""
    with engine_of(ground, Rivers, "gages") as engine, Session(engine) as session:
        bulk_insert(session, Gage, map(gage, range(ROWS)))
        session.commit()
        yield session


# --- by number ------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_page", [1, 10, 26, 53, 100])
def test_d6_pages_by_number_have_every_row_once_and_know_what_comes(session: Session, per_page: int) -> None:
    query = select(Gage).order_by(Gage.site)
    seen: list[int] = []
    page = paginate(session, query, per_page=per_page, count=False)
    assert not page.has_prev
    while True:
        assert (page.total, page.pages) == (None, None)
        seen += [each.number for each in page.items]
        following = page.next()
        assert page.has_next == (following is not None)
        if following is None:
            break
        assert following.page == page.page + 1
        assert following.prev() == page
        page = following
    assert sorted(seen) == list(range(ROWS))
    assert [number % 4 for number in seen] == sorted(number % 4 for number in seen)


def test_d6_totals_are_counted_and_said_to_be_capped(
    session: Session,
) -> None:
    page = paginate(session, Gage, page=6)
    assert (len(page.items), page.total, page.pages, page.capped, page.has_next) == (3, 53, 6, False, False)
    page = paginate(session, Gage, max_count=20)
    assert (page.total, page.capped, page.has_next, page.pages) == (20, True, True, 2)
    assert page.next().capped  # type: ignore[union-attr]
    page = paginate(session, Gage, max_count=53)
    assert (page.total, page.capped) == (53, False)
    page = paginate(session, select(Gage).where(Gage.number < 0))
    assert (list(page.items), page.total, page.pages, page.has_next) == ([], 0, 0, False)
    page = paginate(session, Gage, page=99)
    assert (list(page.items), page.has_next, page.has_prev) == ([], False, True)


def test_every_kind_of_query_has_pages(
    session: Session,
) -> None:
    engine = session.get_bind()
    table = Gage.__table__
    assert paginate(engine, Gage).items[0].number == 0
    assert paginate(engine, table).items[3].site == "site 3"  # type: ignore[arg-type]
    other = aliased(Gage)
    found = paginate(session, select(other).where(other.number > 50)).items
    assert [each.number for each in found] == [51, 52]
    assert paginate(session, select(Gage.site, Gage.number)).items[1].number == 1
    by_site = select(Gage.site, func.count().label("n")).group_by(Gage.site)
    assert paginate(session, by_site.order_by(Gage.site)).items[0].n == 14
    assert [row.site for row in paginate(session, by_site).items] == [f"site {n}" for n in range(4)]
    assert [row.site for row in paginate(session, select(Gage.site).distinct(), per_page=2).items] == [
        "site 0",
        "site 1",
    ]
    with pytest.raises(NotSupported, match="no order of their own"):
        paginate(session, select(func.count()).select_from(Gage.__table__.alias()))
    for wrong in ({"page": 0}, {"per_page": 0}, {"page": -1}):
        with pytest.raises(ValueError, match="counted from 1"):
            paginate(session, Gage, **wrong)


def test_the_number_of_rows_is_estimated(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql("ANALYZE gage")
    assert count_estimate(session, Gage) == ROWS
    assert 0 < count_estimate(session, select(Gage).where(Gage.site == "site 3", Gage.number > 2)) < ROWS
    session.rollback()
    assert count_estimate(session.get_bind(), Gage.__table__) == ROWS  # type: ignore[arg-type]


# --- by keyset ------------------------------------------------------------------------------------

ORDERS: list[tuple[Any, ...]] = [
    (),
    (Gage.number.desc(),),
    (Gage.site,),
    (Gage.site.desc(), Gage.seen),
    (Gage.altitude,),
    (Gage.altitude.desc(),),
    (Gage.altitude, Gage.depth.desc(), Gage.since),
    (Gage.since.desc(), Gage.site.asc()),
    (Gage.uuid.desc(), Gage.blob),
    (Gage.seen, Gage.uuid, Gage.number.desc()),
    (Gage.depth, Gage.number),
]


def forward(session: Session, order: tuple[Any, ...], per_page: int) -> list[KeysetPage]:
    pages = [paginate_keyset(session, Gage, order_by=order, per_page=per_page)]
    while (after := pages[-1].next_cursor) is not None:
        pages.append(paginate_keyset(session, Gage, order_by=order, per_page=per_page, after=after))
    return pages


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ", ".join(map(str, order)) or "key")
@pytest.mark.parametrize("per_page", [1, 7, 53, 60])
def test_d6_pages_by_keyset_have_every_row_once_forward_and_backward(
    session: Session, order: tuple[Any, ...], per_page: int
) -> None:
    pages = forward(session, order, per_page)
    seen = [each.number for page in pages for each in page.items]
    assert sorted(seen) == list(range(ROWS))
    for column in order[:1]:
        assert_in_order(session, column, [gage(number) for number in seen])
    assert pages[0].prev_cursor is None
    back = pages[-1]
    for expected in reversed(pages[:-1]):
        assert back.prev_cursor is not None
        back = paginate_keyset(session, Gage, order_by=order, per_page=per_page, before=back.prev_cursor)
        assert [each.number for each in back.items] == [each.number for each in expected.items]
        assert back.next_cursor is not None
    assert back.prev_cursor is None


def assert_in_order(session: Session, column: Any, rows: list[dict[str, Any]]) -> None:
    """NULL is the largest; UUIDs have an order that is the server's own."""
    descending = hasattr(column, "modifier") and column.modifier.__name__ == "desc_op"
    name = getattr(column, "element", column).key
    uuids = list(session.scalars(select(Gage.uuid).distinct().order_by(Gage.uuid)))
    values = [uuids.index(row[name]) if name == "uuid" else row[name] for row in rows]
    keys = [(value is None, 0 if value is None else value) for value in values]
    assert all(first >= second if descending else first <= second for first, second in pairwise(keys))


def test_rows_that_come_and_go_move_no_page(session: Session) -> None:
    first = paginate_keyset(session, Gage, order_by=(Gage.site,))
    session.execute(delete(Gage).where(Gage.number.in_([each.number for each in first.items[:5]])))
    bulk_insert(session, Gage, [{**gage(100), "site": "a"}])
    second = paginate_keyset(session, Gage, order_by=(Gage.site,), after=first.next_cursor)
    assert not {each.number for each in first.items} & {each.number for each in second.items}
    again = forward(session, (Gage.site,), 10)
    assert len({each.number for page in again for each in page.items}) == ROWS - 5 + 1


def test_a_cursor_of_another_order_or_a_broken_one_is_refused(session: Session) -> None:
    cursor = paginate_keyset(session, Gage, order_by=(Gage.site,)).next_cursor
    assert cursor is not None
    said = urlsafe_b64decode(cursor + "==")
    changed = urlsafe_b64encode(said[:-1]).decode()
    longer = urlsafe_b64encode(said[:-1] + b',["uuid","x"]]').decode()
    for broken in ("", "x", "é", changed, longer, urlsafe_b64encode(b"[]").decode(), "W10"):
        with pytest.raises(InvalidCursor, match="can't be used"):
            paginate_keyset(session, Gage, order_by=(Gage.site,), after=broken)
    for order in ((Gage.site.desc(),), (Gage.seen,), ()):
        with pytest.raises(InvalidCursor, match="for another order"):
            paginate_keyset(session, Gage, order_by=order, after=cursor)
    with pytest.raises(ValueError, match="Give one cursor"):
        paginate_keyset(session, Gage, after=cursor, before=cursor)
    with pytest.raises(NotSupported):
        paginate_keyset(session, select(func.count()).select_from(Gage.__table__.alias()))


def test_plain_rows_have_their_names(session: Session) -> None:
    page = paginate_keyset(
        session, select(Gage.site, Gage.altitude), order_by=(Gage.altitude.desc(),), per_page=3
    )
    assert page.items[0]._fields == ("site", "altitude")
    engine: Engine = session.get_bind()  # type: ignore[assignment]
    session.rollback()
    assert paginate_keyset(engine, Gage, per_page=2).items[1].number == 1


def test_a_large_table_is_read_by_its_index(postgresql_ground: TestServer) -> None:
    asked: list[tuple[str, Any]] = []
    with engine_of(postgresql_ground, Rivers, "gages") as engine, Session(engine) as session:
        bulk_insert(session, Gage, map(gage, range(20_000)))
        session.connection().exec_driver_sql("ANALYZE gage")
        listen = event.listens_for(engine, "before_cursor_execute")
        listen(lambda *args: asked.append((args[2], args[3])) if args[2].startswith("SELECT") else None)
        first = paginate_keyset(session, Gage, per_page=10)
        paginate_keyset(session, Gage, per_page=10, after=first.next_cursor)
        statement, parameters = asked[-1]
        plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
    assert any("Index Cond" in line for line in plan), plan
