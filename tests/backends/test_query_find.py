"""Rows are found, counted on, got or made, on every backend."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import ForeignKey, MetaData, String, Table, UniqueConstraint, create_engine, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError, MultipleResultsFound
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from fix_apps import engine_of
from penstock import App, Database
from penstock.errors import NoPrimaryKey, NotSupported, RowRefused, UnknownColumn
from penstock.query import (
    Contains,
    StartsWith,
    bulk_insert,
    exists,
    find,
    find_one,
    get_or_create,
    get_or_create_many,
    update,
    upsert,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from fix_doors import Doors
    from fix_servers import TestServer


class Base(DeclarativeBase):
    metadata = MetaData()
    type_annotation_map = {str: String(100)}  # noqa: RUF012


class Basin(Base):
    __tablename__ = "basin"

    name: Mapped[str] = mapped_column(primary_key=True)


class Gage(Base):
    __tablename__ = "gage"
    __table_args__ = (UniqueConstraint("site", "agency_cd"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    site: Mapped[str]
    agency: Mapped[str] = mapped_column("agency_cd", default="USGS")
    altitude: Mapped[float | None]
    basin_name: Mapped[str | None] = mapped_column(ForeignKey("basin.name"))
    basin: Mapped[Basin | None] = relationship()


class Rivers(App):
    package = "rivers"
    gages = Database("Gages.", metadata=Base.metadata)


GAGES = [
    {"site": "10%", "altitude": 1.0},
    {"site": "10_", "altitude": 2.0},
    {"site": "100", "altitude": None},
    {"site": "200", "altitude": 4.0},
]


@pytest.fixture
def engine(ground: TestServer) -> Iterator[Engine]:
    """The engine of a store with four gages."""
    with engine_of(ground, Rivers, "gages") as engine:
        with Session(engine) as session, session.begin():
            session.add_all([Gage(**each) for each in GAGES])
        yield engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on it."""
    with Session(engine) as session:
        yield session


def sites(rows: Any) -> list[str]:
    return sorted(row.site for row in rows)


# --- find -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, ["10%", "100", "10_", "200"]),
        ({"site": "200"}, ["200"]),
        ({"site": ["200", "100", "300"]}, ["100", "200"]),
        ({"altitude": None}, ["100"]),
        ({"altitude": {4.0, None}}, ["100", "200"]),
        ({"site": []}, []),
        ({"agency": "USGS", "altitude": 2.0}, ["10_"]),
        (Gage.altitude > 1, ["10_", "200"]),
        ([Gage.altitude > 1, Gage.site != "200"], ["10_"]),
    ],
)
def test_rows_are_found_by_values_and_by_expressions(
    session: Session, where: Any, expected: list[str]
) -> None:
    assert sites(find(session, Gage, where)) == expected
    assert exists(session, Gage, where) == bool(expected)


def test_values_of_several_types_are_each_looked_for_as_what_they_are(session: Session) -> None:
    sites = {"1.5": 1.5, "2": 2.0, "7": 7.0, "none": None}
    session.add_all([Gage(site=site, altitude=altitude) for site, altitude in sites.items()])
    session.flush()
    for wanted, found in {
        (7, Decimal("1.5"), 7.5, None): ["1.5", "7", "none"],
        (7, 1.5): ["1.5", "7"],
    }.items():
        where = {"altitude": wanted, "site": list(sites)}
        assert [gage.site for gage in find(session, Gage, where, order_by=Gage.site)] == found
        rows = find(session.connection(), Gage.__table__, where)
        assert sorted(row.site for row in rows) == found


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (StartsWith("10%"), ["10%"]),
        (StartsWith("10_"), ["10_"]),
        (StartsWith("10"), ["10%", "100", "10_"]),
        (StartsWith("/"), []),
        (Contains("%"), ["10%"]),
        (Contains("_"), ["10_"]),
        (Contains("0"), ["10%", "100", "10_", "200"]),
        ("10%", ["10%"]),
    ],
)
def test_s12_nothing_in_a_text_that_is_looked_for_is_a_wildcard(
    session: Session, seed: Any, expected: list[str]
) -> None:
    assert sites(find(session, Gage, {"site": seed})) == expected


def test_s12_a_backslash_is_one_and_so_is_a_quote(session: Session) -> None:
    session.add_all([Gage(site="a\\%b"), Gage(site="a\\'b"), Gage(site="a'b"), Gage(site="ab")])
    session.flush()
    assert sites(find(session, Gage, {"site": Contains("\\")})) == ["a\\%b", "a\\'b"]
    assert sites(find(session, Gage, {"site": StartsWith("a\\%")})) == ["a\\%b"]
    assert sites(find(session, Gage, {"site": StartsWith("a'")})) == ["a'b"]


def test_rows_come_in_order_and_no_more_than_asked_for(session: Session) -> None:
    found = find(session, Gage, Gage.altitude > 0, order_by=(Gage.altitude.desc(), Gage.site), limit=2)
    assert [gage.site for gage in found] == ["200", "10_"]
    assert [gage.site for gage in find(session, Gage, order_by=Gage.site.desc(), limit=1)] == ["200"]


def test_a_session_finds_objects_and_a_connection_or_an_engine_finds_rows(
    session: Session, engine: Engine
) -> None:
    assert isinstance(find_one(session, Gage, {"site": "200"}), Gage)
    session.rollback()
    with engine.connect() as connection:
        for source in (connection, engine):
            row = find_one(source, Gage, {"site": "200"})
            assert (row.site, row.agency_cd, row.altitude) == ("200", "USGS", 4.0)
    table: Table = Gage.__table__  # type: ignore[assignment]
    assert find_one(session, table, {"agency_cd": "USGS", "site": "200"}).altitude == 4.0


def test_a_relationship_is_a_condition_too(session: Session) -> None:
    basin = Basin(name="logan")
    session.add(Gage(site="300", basin=basin))
    session.flush()
    assert sites(find(session, Gage, {"basin": basin})) == ["300"]


def test_one_is_found_or_none_and_several_are_an_error(session: Session) -> None:
    assert find_one(session, Gage, {"site": "nothing"}) is None
    with pytest.raises(MultipleResultsFound, match="several rows of Gage"):
        find_one(session, Gage, {"agency": "USGS"})


def test_s12_names_are_those_of_attributes_and_others_are_refused(session: Session) -> None:
    for call in (exists, find, find_one, get_or_create):
        with pytest.raises(UnknownColumn, match="Gage has no column 'agency_cd'"):
            call(session, Gage, {"agency_cd": "USGS"})
    gage = find_one(session, Gage, {"site": "200"})
    assert gage is not None
    with pytest.raises(UnknownColumn, match="no column 'alt'"):
        update(gage, {"altitude": 9.0, "alt": 9.0})
    assert gage.altitude == 4.0
    assert update(gage, {"altitude": 9.0}) is gage
    session.commit()
    assert exists(session, Gage, {"altitude": 9.0})


def test_what_is_neither_a_class_nor_a_table_is_refused(session: Session) -> None:
    for model in (int, Base, "gage"):
        with pytest.raises(NotSupported, match="neither a mapped class nor a table"):
            find(session, model)  # type: ignore[arg-type]


# --- get or create --------------------------------------------------------------------------------


def test_a_row_is_made_once_and_got_afterwards(session: Session, engine: Engine) -> None:
    made, created = get_or_create(session, Gage, {"site": "300", "agency": "UT"}, {"altitude": 3.0})
    assert (created, made.site, made.agency, made.altitude) == (True, "300", "UT", 3.0)
    assert made in session
    assert get_or_create(session, Gage, {"site": "300", "agency": "UT"}, {"altitude": 5.0}) == (made, False)
    session.commit()
    row, created = get_or_create(engine, Gage, {"site": "300"})
    assert (created, row.altitude) == (False, 3.0)
    row, created = get_or_create(engine, Gage, {"site": "400"})
    assert (created, row.agency_cd) == (True, "USGS")
    assert exists(engine, Gage, {"site": "400"})


def test_d1_a_row_that_can_not_be_made_raises_and_the_transaction_goes_on(door_to: Doors) -> None:
    def work(session: Session) -> None:
        session.add(Gage(id=77, site="700"))
        session.flush()
        for where in ({"site": None}, {"site": "500", "basin_name": "nowhere"}, {"id": 78, "site": "700"}):
            pending = Gage(site=f"pending {where['site']}")
            session.add(pending)
            if session.get_bind().dialect.name == "sqlite" and where["site"] == "500":
                continue  # foreign keys are the app's to turn on there
            with pytest.raises(IntegrityError):
                get_or_create(session, Gage, where)
            assert pending in session

    door = door_to(Base.metadata)
    door.do(work)
    stored = door.do(lambda session: sites(find(session, Gage)))
    assert stored == ["700", "pending 500", "pending 700", "pending None"]


def test_d2_what_the_caller_has_pending_is_neither_committed_nor_lost(
    session: Session, engine: Engine
) -> None:
    session.add(Gage(site="pending"))
    assert get_or_create(session, Gage, {"site": "300"})[1]
    session.rollback()
    assert not exists(engine, Gage, {"site": ["pending", "300"]})
    session.add(Gage(site="pending"))
    get_or_create(session, Gage, {"site": "300"})
    session.commit()
    assert len(find(engine, Gage, {"site": ["pending", "300"]})) == 2


def test_threads_that_make_the_same_rows_make_each_once(engine: Engine) -> None:
    threads, keys = 8, 25
    start = Barrier(threads)

    def run(number: int) -> list[bool]:
        start.wait()
        with Session(engine) as session:
            made = []
            for key in range(keys):
                found, created = get_or_create(session, Gage, {"site": f"race {key}", "agency": "UT"})
                assert found.site == f"race {key}"
                made.append(created)
                session.commit()
        return made

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(run, range(threads)))
    assert [sum(each[key] for each in results) for key in range(keys)] == [1] * keys
    with Session(engine) as session:
        assert session.scalar(select(func.count()).where(Gage.agency == "UT")) == keys


def test_many_are_got_or_made_in_the_order_they_are_asked_for(session: Session, engine: Engine) -> None:
    rows = [{"site": site, "agency": "USGS"} for site in ("900", "200", "800", "900", "10%")]
    rows[2] |= {"altitude": 8.0}
    found = get_or_create_many(session, Gage, rows, key=("site", "agency"))
    assert [gage.site for gage, _ in found] == ["900", "200", "800", "900", "10%"]
    assert [created for _, created in found] == [True, False, True, False, False]
    assert found[0][0] is found[3][0]
    assert found[2][0].altitude == 8.0
    session.rollback()
    assert not exists(engine, Gage, {"site": "900"})
    many = [{"id": number, "site": f"many {number}"} for number in range(2000, 500, -1)]
    again = get_or_create_many(engine, Gage, many)
    assert [row.id for row, created in again if created] == [row["id"] for row in many]
    assert not any(created for _, created in get_or_create_many(engine, Gage, many))
    assert get_or_create_many(session, Gage, []) == []


def test_many_with_a_row_that_can_not_be_made_leave_nothing(session: Session) -> None:
    rows = [{"id": 1000, "site": "fine"}, {"id": 1001, "site": None}]
    with pytest.raises(IntegrityError):
        get_or_create_many(session, Gage, rows)
    with pytest.raises(RowRefused, match="Row 1 has no value for 'id'"):
        get_or_create_many(session, Gage, [{"id": 1}, {"site": "x"}])
    session.commit()
    assert not exists(session, Gage, {"site": "fine"})


def test_what_many_are_made_of_is_neither_cut_nor_left_to_null(session: Session) -> None:
    stored = [
        gage
        for gage, _ in get_or_create_many(session, Gage, [{"id": n, "site": f"{n}"} for n in (1001, 1002)])
    ]
    assert [gage.agency for gage in stored] == ["USGS", "USGS"]
    given = [{"id": n, "site": f"{n}", "agency": agency} for n, agency in ((1003, None), (1004, "UT"))]
    assert [gage.agency for gage, _ in get_or_create_many(session, Gage, given)] == ["USGS", "UT"]
    long = [{"id": n, "site": "x" * length, "agency": "UT"} for n, length in ((1005, 100), (1006, 101))]
    if session.get_bind().dialect.name == "sqlite":  # It takes a text of any length.
        assert [len(gage.site) for gage, _ in get_or_create_many(session, Gage, long)] == [100, 101]
    else:
        with pytest.raises(DBAPIError, match=r"[Tt]oo long"):
            get_or_create_many(session, Gage, long)
    assert exists(session, Gage, {"id": 1004})


def test_without_a_primary_key_it_must_be_said_what_names_a_row(session: Session) -> None:
    from sqlalchemy import Column, Integer

    table = Table("loose", MetaData(), Column("n", Integer))
    with pytest.raises(NoPrimaryKey, match="loose has no primary key"):
        get_or_create_many(session, table, [{"n": 1}])


# --- an engine of SQLAlchemy's own ----------------------------------------------------------------

WRITERS = {
    "get_or_create": lambda on: get_or_create(on, Basin, {"name": "Bear"}),
    "get_or_create_many": lambda on: get_or_create_many(on, Basin, [{"name": "Bear"}, {"name": "Weber"}]),
    "bulk_insert": lambda on: bulk_insert(on, Basin, [{"name": "Bear"}]),
    "upsert": lambda on: upsert(on, Basin, [{"name": "Bear"}]),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=list(WRITERS))
def test_d2_what_a_caller_undoes_is_undone_on_a_plain_engine_too(tmp_path: Path, writer: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'plain'}")
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Basin(name="Jordan"))
    with Session(engine) as session:
        assert writer(session)
        session.rollback()
        assert [basin.name for basin in find(session, Basin)] == ["Jordan"]
        session.add(Basin(name="Provo"))
        assert writer(session)
        session.commit()
    with Session(engine) as session:
        assert {"Bear", "Provo"} <= {basin.name for basin in find(session, Basin)}
    engine.dispose()


def test_d2_what_a_caller_undoes_is_undone_on_a_plain_engine_in_a_loop_too(tmp_path: Path) -> None:
    async def undone() -> bool:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'plain'}")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            assert await session.run_sync(WRITERS["bulk_insert"])
            await session.rollback()
            left = await session.run_sync(lambda on: exists(on, Basin))
        await engine.dispose()
        return not left

    assert asyncio.run(undone())
