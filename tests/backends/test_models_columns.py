"""Timestamps, aware datetimes and keys, as every server keeps them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, inspect, literal, select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from fix_declared import Dam, Declared, Reading, Repair, Survey
from penstock.errors import InvalidValue
from penstock.models import UTCDateTime, utc_now, uuid7
from penstock.query import bulk_insert, bulk_update, count_estimate, find_one, get_or_create, to_arrow, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from fix_doors import Door, Doors

MOMENTS = st.datetimes(
    min_value=datetime(1000, 1, 3),  # noqa: DTZ001  (of any time zone)
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.timezones() | st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)
MICROSECOND = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
NAIVE = datetime(2026, 11, 30)  # noqa: DTZ001


@pytest.fixture
def door(door_to: Doors) -> Door:
    """The declared tables."""
    return door_to(Declared.metadata)


def dam(session: Session, name: str = "Logan") -> Any:
    return session.scalars(select(Dam).where(Dam.name == name)).one()


# --- aware datetimes ------------------------------------------------------------------------------


def test_a_datetime_comes_back_in_utc_to_the_microsecond(door: Door) -> None:
    door.do(lambda session: session.add(Dam(name="Logan", inspected=MICROSECOND)))
    found = door.do(lambda session: session.scalar(select(Dam.inspected)))
    assert found == MICROSECOND
    assert (found.tzinfo, found.microsecond) == (UTC, 123456)


@settings(max_examples=60)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=8))
def test_any_datetime_is_kept_by_the_orm_and_in_bulk(door: Door, moments: list[datetime]) -> None:
    def work(session: Session) -> tuple[list[Any], list[Any]]:
        session.execute(delete(Reading))
        for number, moment in enumerate(moments):
            session.execute(insert(Reading).values(id=uuid7(), level=number, taken=moment))
        one = session.scalars(select(Reading.taken).order_by(Reading.level)).all()
        session.execute(delete(Reading))
        bulk_insert(session, Reading, [{"level": n, "taken": moment} for n, moment in enumerate(moments)])
        return list(one), list(session.scalars(select(Reading.taken).order_by(Reading.level)))

    one, many = door.do(work)
    assert one == many == [moment.astimezone(UTC) for moment in moments]  # Others skip and repeat hours.
    assert {each.tzinfo for each in (*one, *many)} == {UTC}


def test_what_is_no_aware_datetime_is_refused_in_rows_and_conditions(door: Door) -> None:
    for value in (NAIVE, date(2026, 11, 30), "2026-11-30T00:00:00+00:00", 5):
        is_refused(door, value)
    assert door.do(lambda session: session.scalar(select(func.count()).select_from(Dam))) == 0


def is_refused(door: Door, value: Any) -> None:
    ways: list[Callable[[Session], Any]] = [
        lambda session: session.execute(insert(Dam).values(name="Logan", inspected=value)),
        lambda session: session.scalars(select(Dam).where(Dam.inspected > literal(value, UTCDateTime()))),
        lambda session: bulk_insert(session, Dam, [{"name": "Logan", "inspected": value}]),
        lambda session: get_or_create(session, Dam, {"name": "Logan"}, {"inspected": value}),
    ]
    for way in ways:
        with pytest.raises((InvalidValue, ValueError)) as raised:
            door.do(way)
        assert not isinstance(raised.value, StatementError)
        assert "2026" not in str(raised.value)


def test_a_span_of_time_is_added_to_a_datetime(postgresql_ground: Any, stores_on: Any) -> None:
    """SQLite and MariaDB have no spans of time."""
    from fix_apps import all_ok
    from penstock import App, Database

    class Lab(App):
        package = "lab"
        rows = Database("Rows.", metadata=Declared.metadata)

    stores = stores_on(postgresql_ground, Lab, links=("rows",))
    all_ok(stores, Lab)
    with stores.session(Lab, "rows") as session:
        session.add(Dam(name="Logan", inspected=MICROSECOND))
        session.flush()
        later = session.scalar(select(Dam.inspected + timedelta(days=1)))
        assert later == MICROSECOND + timedelta(days=1)
        recent = select(Dam.name).where(Dam.created_at > utc_now() - timedelta(days=1))
        assert session.scalars(recent).all() == ["Logan"]


def test_a_frame_has_them_in_utc_wherever_they_come_from(door: Door) -> None:
    def work(session: Session) -> Any:
        session.add(Dam(name="Logan", inspected=MICROSECOND))
        session.flush()
        table = to_arrow(session, select(Dam.inspected, func.max(Dam.created_at)).group_by(Dam.inspected))
        seen = table["inspected"].to_pylist()
        written = bulk_insert(session, Dam, [{"name": "b", "inspected": value} for value in seen])
        return [str(kind) for kind in table.schema.types], seen, written.inserted

    if door.dialect.is_async:
        pytest.skip("frames are read by threads")
    assert door.do(work) == (["timestamp[us, tz=UTC]"] * 2, [MICROSECOND], 1)


# --- timestamps -----------------------------------------------------------------------------------


def test_the_server_fills_in_timestamps_whoever_writes_the_row(door: Door) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)

    def work(session: Session) -> None:
        session.add(Dam(name="by the ORM"))
        session.flush()
        session.execute(insert(Dam).values(name="by Core"))
        bulk_insert(session, Dam, [{"name": "in bulk"}])
        get_or_create(session, Dam, {"name": "got"})
        one = select(literal(uuid7(), Dam.id.type), literal("by SQL"))
        session.execute(insert(Dam).from_select(["id", "name"], one))

    door.do(work)
    found = door.do(lambda session: session.execute(select(Dam.name, Dam.created_at, Dam.updated_at)).all())
    assert len(found) == 5
    after = datetime.now(UTC) + timedelta(seconds=5)
    assert [name for name, made, changed in found if not before < made <= after] == []
    assert [name for name, made, changed in found if abs(made - changed) > timedelta(seconds=2)] == []


WRITERS: dict[str, Callable[[Session, Any], Any]] = {
    "an object": lambda session, found: setattr(found, "river_id", None) or setattr(found, "name", "Logan "),
    "an UPDATE": lambda session, found: session.execute(update(Dam).values(name="Logan ")),
    "bulk_update": lambda session, found: bulk_update(session, Dam, [{"id": found.id, "name": "Logan "}]),
    "upsert": lambda session, found: upsert(session, Dam, [{"id": found.id, "name": "Logan "}]),
}


@pytest.mark.parametrize("way", WRITERS)
def test_every_update_renews_updated_at_and_nothing_else(door: Door, way: str) -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    door.do(lambda session: session.add(Dam(name="Logan", created_at=long_ago, updated_at=long_ago)))
    begun = datetime.now(UTC) - timedelta(seconds=5)
    door.do(lambda session: WRITERS[way](session, dam(session)))
    made, changed = door.do(lambda session: session.execute(select(Dam.created_at, Dam.updated_at)).one())
    assert made == long_ago
    assert begun < changed < begun + timedelta(minutes=5)


def test_what_the_server_filled_in_is_known_after_a_flush(door: Door) -> None:
    def work(session: Session) -> list[bool]:
        found = Dam(name="Logan")
        session.add(found)
        session.flush()
        known = ["created_at" in inspect(found).dict, "updated_at" in inspect(found).dict]
        found.name = "Logan Dam"
        session.flush()
        return [*known, "updated_at" in inspect(found).dict]

    assert door.do(work) == [True, True, True]


@pytest.mark.parametrize("model", [Repair, Survey])
def test_subclasses_have_their_parent_s_timestamps_and_keys(door: Door, model: Any) -> None:
    def work(session: Session) -> Any:
        made = model()
        session.add(made)
        session.flush()
        first = made.updated_at
        made.kind = made.kind
        return made.id, made.created_at, first, "updated_at" in inspect(made).dict

    key, made, changed, known = door.do(work)
    assert key.version == 7
    assert made.tzinfo is UTC
    assert (changed, known) == (made, True)


def test_the_session_s_time_zone_does_not_matter(mariadb_ground: Any, stores_on: Any) -> None:
    """Connections that are none of Penstock's may have any."""
    from sqlalchemy import create_engine

    from fix_apps import all_ok
    from penstock import App, Database

    class Lab(App):
        package = "lab"
        rows = Database("Rows.", metadata=Declared.metadata)

    all_ok(stores_on(mariadb_ground, Lab, links=("rows",)), Lab)
    address = mariadb_ground.address_of("lab_rows").replace("mariadb://", "mariadb+pymysql://")
    engine = create_engine(address)
    with Session(engine) as session:
        session.execute(text("SET time_zone = '-11:00'"))
        session.add(Dam(name="Logan"))
        session.flush()
        found = dam(session)
        session.refresh(found)
        assert abs(found.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    engine.dispose()


# --- keys -----------------------------------------------------------------------------------------


def test_keys_sort_on_the_server_as_they_were_made(door: Door) -> None:
    def work(session: Session) -> list[str]:
        for number in range(20):
            session.add(Dam(name=f"{number:02}"))
            session.flush()
        bulk_insert(session, Dam, [{"name": f"{number}"} for number in range(20, 40)])
        return list(session.scalars(select(Dam.name).order_by(Dam.id)))

    assert door.do(work) == [f"{number:02}" for number in range(40)]


def test_a_key_that_is_given_is_kept(door: Door) -> None:
    key = uuid7()
    door.do(lambda session: session.add(Dam(id=key, name="Logan")))
    assert door.do(lambda session: find_one(session, Dam, {"id": key}).name) == "Logan"


def test_rows_with_such_a_key_are_estimated(door: Door) -> None:
    """The plan that a server tells has a column `id`, too."""
    door.do(lambda session: bulk_insert(session, Dam, [{"name": f"{number}"} for number in range(300)]))
    assert door.do(lambda session: count_estimate(session, Dam)) >= 0
