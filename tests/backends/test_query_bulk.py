"""Many rows are stored, all or none, with what SQLAlchemy would have stored."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import Unicode

from fix_apps import engine_of, run_async
from penstock import App, Database
from penstock.errors import NoPrimaryKey, PenstockError, RowRefused, UnknownColumn
from penstock.query import (
    OnConflict,
    Written,
    bulk_insert,
    bulk_update,
    exists,
    find,
    find_one,
    get_or_create,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fix_servers import TestServer


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(100)}  # noqa: RUF012


class Basin(Base):
    __tablename__ = "basin"

    name: Mapped[str] = mapped_column(primary_key=True)


class Gage(Base):
    __tablename__ = "gage"

    number: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    agency: Mapped[str] = mapped_column("agency_cd", default="USGS")
    altitude: Mapped[float | None]
    readings: Mapped[int | None]
    basin: Mapped[str | None] = mapped_column(ForeignKey("basin.name"))
    code: Mapped[str] = mapped_column(default=lambda: "made")
    zone: Mapped[str] = mapped_column(server_default="north")
    changes: Mapped[str | None] = mapped_column(onupdate=lambda: "changed")


class Event(Base):
    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    rate: Mapped[float | None] = mapped_column("rate %")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "event"}  # noqa: RUF012


class Flood(Event):
    level: Mapped[float | None]
    __mapper_args__ = {"polymorphic_identity": "flood"}  # noqa: RUF012


class Rivers(App):
    package = "rivers"
    gages = Database("Gages.", metadata=Base.metadata)


@pytest.fixture
def engine(ground: TestServer) -> Iterator[Engine]:
    """The engine of a store with empty tables."""
    with engine_of(ground, Rivers, "gages") as engine:
        yield engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on it."""
    with Session(engine) as session:
        yield session


SERVERS = pytest.mark.parametrize("ground", ["postgresql", "mariadb"], indirect=True)


def rows(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"number": number, "site": f"site {number}", **more} for number in numbers]


def numbers(on: Session | Engine) -> list[int]:
    return [gage.number for gage in find(on, Gage, order_by=Gage.number)]


# --- what may be given ----------------------------------------------------------------------------


def test_d3_counts_say_what_became_of_the_rows(session: Session) -> None:
    assert bulk_insert(session, Gage, rows(1, 2, 3)) == Written(inserted=3)
    assert bulk_insert(session, Gage, rows(2, 3, 4), on_conflict="nothing") == Written(1, 0, 2)
    assert bulk_insert(session, Gage, rows(4, 5, altitude=7.0), on_conflict=OnConflict.UPDATE) == Written(
        1, 1
    )
    assert upsert(session, Gage, rows(1, altitude=8.0)) == Written(updated=1)
    assert [gage.altitude for gage in find(session, Gage, order_by=Gage.number)] == [8, None, None, 7, 7]
    assert bulk_insert(session, Gage, []) == Written()


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_d3_dicts_that_differ_generators_objects_and_sequences_are_stored(
    session: Session, on_conflict: OnConflict
) -> None:
    ragged = [
        {"number": 1, "site": "a"},
        {"site": "b", "number": 2, "altitude": 2.0},
        {"number": 3, "site": "c"},
    ]
    assert bulk_insert(session, Gage, (row for row in ragged), on_conflict=on_conflict).inserted == 3
    objects = [Gage(number=4, site="d"), Gage(number=5, site="e", agency="UT")]
    assert bulk_insert(session, Gage, iter(objects), on_conflict=on_conflict).inserted == 2
    pairs = [(6, "f"), [7, "g"]]
    assert (
        bulk_insert(session, Gage, pairs, columns=("number", "site"), on_conflict=on_conflict).inserted == 2
    )
    found = find(session, Gage, order_by=Gage.number)
    assert [gage.site for gage in found] == list("abcdefg")
    assert [gage.altitude for gage in found] == [None, 2.0, *[None] * 5]
    assert [gage.agency for gage in found] == ["USGS"] * 4 + ["UT"] + ["USGS"] * 2
    assert {(gage.code, gage.zone) for gage in found} == {("made", "north")}
    assert not session.new
    session.rollback()
    alike = [
        {"number": 1, "site": "a", "altitude": 1.0},
        {"site": "b", "readings": 2, "number": 2},
        {"altitude": 3.0, "number": 3, "site": "c"},
    ]
    assert bulk_insert(session, Gage, alike, on_conflict=on_conflict).inserted == 3
    found = find(session, Gage, order_by=Gage.number)
    assert [(gage.altitude, gage.readings) for gage in found] == [(1, None), (None, 2), (3, None)]
    mixed = [{"number": 8, "site": "h"}, (9, "i"), {"site": "j", "number": 10}]
    assert (
        bulk_insert(session, Gage, mixed, columns=("number", "site"), on_conflict=on_conflict).inserted == 3
    )
    assert [gage.site for gage in find(session, Gage, Gage.number > 7, order_by=Gage.number)] == list("hij")


def test_d3_what_is_no_column_is_refused_and_nothing_is_stored(session: Session) -> None:
    for row in ({"number": 2, "site": "b", "alt": 1.0}, {"number": 2, "site": "b", "agency_cd": "x"}):
        with pytest.raises(UnknownColumn, match=r"Gage has no column '(alt|agency_cd)'"):
            bulk_insert(session, Gage, [*rows(1), row])
    with pytest.raises(UnknownColumn):
        bulk_insert(session, Gage, [(1,)], columns=("nr",))
    with pytest.raises(RowRefused, match="Row 1 has 1 values, not 2"):
        bulk_insert(session, Gage, [(1, "a"), (2,)], columns=("number", "site"))
    for given in (5, object(), Basin(name="b"), ("a", "b")):
        with pytest.raises(RowRefused, match="Row 1 is a "):
            bulk_insert(session, Gage, [*rows(1), given])
    assert numbers(session) == []


def test_d3_nan_is_null_if_the_caller_says_so(session: Session) -> None:
    nan = float("nan")
    given = rows(1, altitude=1.0, readings=nan, basin=nan) + rows(2, altitude=2.0, readings=3, basin=None)
    assert bulk_insert(session, Gage, given, nan="null").inserted == 2
    found = find(session, Gage, order_by=Gage.number)
    assert [(gage.readings, gage.basin) for gage in found] == [(None, None), (3, None)]


def test_of_rows_with_one_key_the_first_or_the_last_counts(session: Session) -> None:
    twice = [{"number": 1, "site": "first"}, {"number": 2, "site": "two"}, {"number": 1, "site": "last"}]
    assert bulk_insert(session, Gage, twice, on_conflict="nothing") == Written(2, 0, 1)
    assert find_one(session, Gage, {"number": 1}).site == "first"  # type: ignore[union-attr]
    session.rollback()
    assert upsert(session, Gage, twice) == Written(2, 0, 1)
    assert find_one(session, Gage, {"number": 1}).site == "last"  # type: ignore[union-attr]
    session.rollback()
    with pytest.raises(RowRefused, match="Row 2 of Gage"):
        bulk_insert(session, Gage, twice)
    assert numbers(session) == []


def test_only_some_columns_of_a_row_that_is_there_are_updated(session: Session) -> None:
    bulk_insert(session, Gage, rows(1, altitude=1.0, readings=1))
    upsert(session, Gage, rows(1, altitude=2.0, readings=2), update=("readings",))
    gage = find_one(session, Gage, {"number": 1})
    assert gage is not None
    assert (gage.altitude, gage.readings) == (1.0, 2)
    assert upsert(session, Gage, [{"number": 1, "site": "x"}], update=()) == Written(skipped=1)


def test_rows_that_are_there_are_updated_and_the_others_skipped(session: Session, engine: Engine) -> None:
    bulk_insert(session, Gage, rows(1, 2, 3, altitude=1.0))
    given = [{"number": 1, "altitude": 2.0}, {"number": 9, "altitude": 9.0}, {"number": 1, "altitude": 3.0}]
    assert bulk_update(session, Gage, given) == Written(0, 1, 2)
    found = find(session, Gage, order_by=Gage.number)
    assert [(gage.altitude, gage.site) for gage in found] == [(3, "site 1"), (1, "site 2"), (1, "site 3")]
    session.expire_all()
    by_site = [("site 2", 7.0), ("site 3", float("nan"))]
    done = bulk_update(session, Gage, by_site, columns=("site", "readings"), key=("site",), nan="null")
    assert done.updated == 2
    assert [gage.readings for gage in find(session, Gage, order_by=Gage.number)] == [None, 7, None]
    with pytest.raises(RowRefused, match="Row 1 of Gage can't be stored for its site"):
        bulk_update(session, Gage, [{"number": 1, "site": "x"}, {"number": 2, "site": None}])
    assert find_one(session, Gage, {"number": 1}).site == "site 1"  # type: ignore[union-attr]
    assert bulk_update(session, Gage, []) == Written()


def test_an_update_sets_what_is_to_be_set_by_every_update_and_nothing_if_there_is_nothing(
    session: Session,
) -> None:
    bulk_insert(session, Gage, rows(1, 2, code="mine"))
    upsert(session, Gage, rows(1, altitude=1.0))
    assert bulk_update(session, Gage, [{"number": 2, "altitude": 1.0}]) == Written(updated=1)
    found = find(session, Gage, order_by=Gage.number)
    assert [(gage.code, gage.changes) for gage in found] == [("mine", "changed"), ("mine", "changed")]
    assert bulk_update(session, Event, [{"id": 1}, {"id": 2}]) == Written(skipped=2)


def test_d4_updates_of_the_same_rows_in_other_orders_do_not_block_each_other(engine: Engine) -> None:
    keys = list(range(400))
    bulk_insert(engine, Gage, rows(*keys))

    def run(number: int) -> Written:
        done = Written()
        for call in range(20):
            order = keys[::-1] if (number + call) % 2 else keys
            done += bulk_update(engine, Gage, [{"number": key, "readings": call} for key in order])
        return done

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(run, range(4)), Written()) == Written(updated=4 * 20 * 400)


def test_a_key_that_is_missing_is_said(session: Session) -> None:
    with pytest.raises(RowRefused, match="no value for number"):
        upsert(session, Gage, [{"site": "a"}])
    table = Table("loose_one", MetaData(), Column("site", Unicode(100)))
    with pytest.raises(NoPrimaryKey):
        upsert(session, table, [{"site": "a"}])


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_rows_of_a_class_that_inherits_are_of_its_kind(session: Session, on_conflict: OnConflict) -> None:
    assert bulk_insert(session, Event, [{"id": 1, "rate": 0.5}], on_conflict=on_conflict).inserted == 1
    assert not exists(session, Flood)
    assert (
        bulk_insert(session, Flood, [{"id": 2, "rate": 0.25, "level": 3.0}], on_conflict=on_conflict).inserted
        == 1
    )
    assert [type(each) for each in find(session, Event, order_by=Event.id)] == [Event, Flood]
    assert [(each.rate, each.level) for each in find(session, Flood)] == [(0.25, 3.0)]
    assert get_or_create(session, Flood, {"id": 3})[0].kind == "flood"


# --- whose transaction ----------------------------------------------------------------------------


def test_d2_it_is_done_in_the_callers_transaction_or_in_one_of_its_own(
    session: Session, engine: Engine
) -> None:
    pending = Gage(number=100, site="pending")
    session.add(pending)
    bulk_insert(session, Gage, rows(1))
    assert pending in session.new
    session.rollback()
    assert numbers(engine) == []
    with engine.begin() as connection:
        bulk_insert(connection, Gage, rows(1))
    bulk_insert(engine, Gage, rows(2))
    assert numbers(engine) == [1, 2]


def test_d5_a_bad_row_is_named_nothing_is_stored_and_the_callers_work_is_intact(session: Session) -> None:
    session.add(Gage(number=100, site="pending"))
    bad: list[tuple[dict[str, Any], str]] = [
        ({"number": 3, "site": None}, "site"),
        ({"number": 0, "site": "x"}, ""),
        ({"number": "three", "site": "x"}, "number"),
    ]
    for row, column in bad:
        for on_conflict in ("error", "update"):
            given = [*rows(*range(40)), row, *rows(*range(50, 90))]
            if row["number"] == 0 and on_conflict == "update":
                continue
            if row["number"] == "three" and session.get_bind().dialect.name == "sqlite":
                given[40] = {**row, "number": object()}
            with pytest.raises(RowRefused, match="Row 40 of Gage can't be stored") as refused:
                bulk_insert(session, Gage, given, on_conflict=on_conflict)
            assert column in refused.value.what
            assert refused.value.__cause__ is not None
    session.commit()
    assert numbers(session) == [100]


def test_d5_a_value_of_the_wrong_kind_is_named_wherever_it_is(session: Session) -> None:
    given = rows(*range(1500), altitude=1.5)
    given[1234]["altitude"] = "high"
    with pytest.raises(RowRefused, match=r"Row 1234 .*altitude"):
        bulk_insert(session, Gage, given)
    assert numbers(session) == []


@SERVERS
def test_d5_a_bad_row_is_named_by_its_number_whatever_the_order_of_keys(ground: TestServer) -> None:
    with engine_of(ground, Rivers, "gages") as engine, Session(engine) as session:
        bulk_insert(session, Gage, rows(5, 50))
        given = rows(*range(99, -1, -1))
        for name, bad, why in (
            ("altitude", [], "a list is no value for altitude"),
            ("readings", 2**31, "(an int out of its range is no value )?for (its )?readings"),
            ("site", None, "for its site"),
            *([("site", "\0", "")] if ground.kind == "postgresql" else []),  # Others store it.
        ):
            for on_conflict in ("nothing", "update"):
                some = [{**row, "altitude": 1.0, "readings": 1} for row in given]
                some[30][name] = bad
                with pytest.raises(RowRefused, match=f"Row 30 of Gage can't be stored.*{why}"):
                    bulk_insert(session, Gage, some, on_conflict=on_conflict)
        assert bulk_insert(session, Gage, given, on_conflict="update") == Written(98, 2)
        assert numbers(session) == list(range(100))


@SERVERS
def test_d5_rows_that_refer_to_nothing_are_refused(ground: TestServer) -> None:
    with engine_of(ground, Rivers, "gages") as engine, Session(engine) as session:
        for on_conflict in ("error", "nothing"):
            with pytest.raises(RowRefused, match=r"Row 2 .* for its gage_(basin_|ib)fk"):
                bulk_insert(session, Gage, [*rows(1, 2), *rows(3, basin="nowhere")], on_conflict=on_conflict)
        session.add(Basin(name="logan"))
        session.flush()
        assert bulk_insert(session, Gage, rows(3, basin="logan")).inserted == 1


def test_d4_writers_of_the_same_keys_in_other_orders_do_not_block_each_other(engine: Engine) -> None:
    keys, calls = list(range(400)), 20

    def run(number: int) -> Written:
        done = Written()
        for call in range(calls):
            order = keys[::-1] if (number + call) % 2 else keys
            more = [10_000 + number * 1000 + call]
            done += bulk_insert(engine, Gage, rows(*order, *more), on_conflict="nothing")
            done += upsert(engine, Gage, rows(*order[100:200], altitude=float(call)))
        return done

    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(run, range(4)), Written())
    assert done.inserted == len(numbers(engine)) == 400 + 4 * calls
    assert done.inserted + done.updated + done.skipped == 4 * calls * 501


# --- blocks, and plain engines --------------------------------------------------------------------


def test_a_not_a_number_stays_one_where_numbers_are_floating(postgresql_ground: TestServer) -> None:
    with engine_of(postgresql_ground, Rivers, "gages") as engine:
        bulk_insert(engine, Gage, rows(1, altitude=math.nan))
        assert math.isnan(find_one(engine, Gage).altitude)  # type: ignore[union-attr]


def test_rows_of_a_generator_are_read_in_blocks(engine: Engine) -> None:
    count = 120_000
    done = bulk_insert(engine, Gage, ((n, "x") for n in range(count)), columns=("number", "site"))
    assert done == Written(inserted=count)
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Gage)) == count
        connection.execute(delete(Gage))
        connection.commit()
    bad = ({"number": n, "site": None if n == 60_123 else "x"} for n in range(count))
    with pytest.raises(RowRefused, match="Row 60123 of Gage can't be stored for its site"):
        bulk_insert(engine, Gage, bad)
    assert not exists(engine, Gage)


def test_a_plain_engine_will_do() -> None:
    engine = create_engine("sqlite://")
    with Session(engine) as session:
        Base.metadata.create_all(session.connection(), [Gage.__table__])  # type: ignore[list-item]
        assert bulk_insert(session, Gage, rows(1)).inserted == 1
        assert numbers(session) == [1]
    with pytest.raises(ValueError, match="'maybe' is not a valid OnConflict"):
        bulk_insert(engine, Gage, [], on_conflict="maybe")
    assert issubclass(RowRefused, PenstockError)


# --- in an event loop -----------------------------------------------------------------------------


def test_rows_are_stored_and_got_through_an_async_session(async_ground: TestServer) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session, session.begin():
            given = rows(*range(300), altitude=1.0)
            for on_conflict, expected in (("error", [300]), ("nothing", [0, 0, 300]), ("update", [0, 300])):
                done = await session.run_sync(bulk_insert, Gage, given, on_conflict=on_conflict)
                assert done == Written(*expected)
            changed = [{"number": number, "altitude": 2.0} for number in (5, 6, 5000)]
            assert await session.run_sync(bulk_update, Gage, changed) == Written(0, 2, 1)
            with pytest.raises(RowRefused, match="Row 300 of Gage can't be stored for its"):
                await session.run_sync(bulk_insert, Gage, [*rows(*range(400, 700)), *rows(0)])
            with pytest.raises(RowRefused, match="Row 1 of Gage can't be stored: a list is no value"):
                await session.run_sync(bulk_insert, Gage, [*rows(400), *rows(401, altitude=[])])
            assert not (await session.run_sync(get_or_create, Gage, {"number": 1}))[1]
            assert (await session.run_sync(get_or_create, Gage, {"number": 1000, "site": "new"}))[1]
        async with AsyncSession(engine) as session:
            assert len(await session.run_sync(find, Gage)) == 301

    run_async(async_ground, Rivers, "gages", work)


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_e8_rows_that_were_stored_first_of_all_are_gone_after_a_rollback(
    async_ground: TestServer, on_conflict: OnConflict, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            done = await session.run_sync(bulk_insert, Gage, rows(*range(5000)), on_conflict=on_conflict)
            assert done.inserted == 5000
            await session.rollback()
            assert not await session.run_sync(exists, Gage)
            await session.run_sync(bulk_insert, Gage, rows(1), on_conflict=on_conflict)
            await session.commit()
        async with AsyncSession(engine) as session:
            assert len(await session.run_sync(find, Gage)) == 1

    caplog.set_level("DEBUG", "penstock.backends")
    run_async(async_ground, Rivers, "gages", work)
    assert "is not copied" not in caplog.text
