"""Points and shapes are copied, and stored as GeoAlchemy2 would have stored them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from geoalchemy2 import Geography, Geometry, WKBElement, WKTElement
from sqlalchemy import MetaData, delete, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from fix_aio import for_asyncpg
from fix_apps import engine_of, run_async
from fix_servers import require_spatial
from penstock import App, Database
from penstock.errors import RowRefused
from penstock.query import OnConflict, bulk_insert, bulk_update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from fix_servers import TestServer


class Base(DeclarativeBase):
    metadata = MetaData()


class Site(Base):
    __tablename__ = "site"

    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[Any] = mapped_column(Geometry("POINT", srid=4326), nullable=True)
    shape: Mapped[Any] = mapped_column(Geometry(None, spatial_index=False), nullable=True)
    round: Mapped[Any] = mapped_column("round %", Geography("POINT", srid=4326), nullable=True)


class Map(App):
    package = "map"
    sites = Database("Sites.", metadata=Base.metadata, spatial=True)


POINT = bytes.fromhex("0101000020E6100000000000000000F03F0000000000000040")  # SRID=4326;POINT(1 2)
ROWS: list[list[dict[str, Any]]] = [
    [{"place": WKTElement("POINT(1 2)", srid=4326)}, {"place": None}],
    [{"place": "SRID=4326;POINT(3 4)"}, {"place": POINT.hex()}],
    [{"place": WKTElement("SRID=4326;POINT(5 6)", extended=True)}],
    [{"place": WKBElement(POINT, extended=True)}, {"place": WKBElement(POINT.hex(), extended=True)}],
    [{"place": POINT.hex().upper(), "shape": WKBElement(POINT, extended=True)}, {"place": POINT.hex()}],
    [{"shape": "LINESTRING Z(0 0 1, 1 1 2)"}, {"shape": WKTElement("POLYGON((0 0,1 0,1 1,0 0))", srid=3857)}],
    [{"shape": "POINT EMPTY", "round": "POINT(1 2)"}, {"round": WKTElement("POINT(7 8)", srid=4326)}],
    [{"place": None, "shape": None, "round": None}],
]


@pytest.fixture
def ground(postgresql_ground: TestServer) -> TestServer:
    """A server with PostGIS."""
    return require_spatial(postgresql_ground)


@pytest.fixture
def engine(ground: TestServer) -> Iterator[Engine]:
    """The engine of a store with an empty table."""
    with engine_of(ground, Map, "sites") as engine:
        yield engine


def is_stored_alike(connection: Connection, given: list[dict[str, Any]], on_conflict: OnConflict) -> None:
    """What is there afterwards is what an INSERT makes of it, to the byte."""
    table = Site.__table__
    wanted = select(*(func.ST_AsEWKT(column) for column in list(table.c)[1:])).order_by(table.c.id)
    ours = [{"id": number, **row} for number, row in enumerate(given)]
    for row in ours:
        named = {Site.__mapper__.attrs[name].columns[0].name: value for name, value in row.items()}
        connection.execute(insert(table).values(named))
    expected = connection.execute(wanted).all()
    if on_conflict is OnConflict.UPDATE:
        bulk_update(connection, Site, [{"id": row["id"], **dict.fromkeys(given[0])} for row in ours])
        bulk_update(connection, Site, ours)
    else:
        connection.execute(delete(table))
        bulk_insert(connection, Site, ours, on_conflict=on_conflict)
    assert connection.execute(wanted).all() == expected
    connection.rollback()


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_what_is_stored_is_what_geoalchemy_stores(
    engine: Engine, on_conflict: OnConflict, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "penstock.backends")
    with engine.connect() as connection:
        for given in ROWS:
            is_stored_alike(connection, given, on_conflict)
    assert "is not copied" not in caplog.text


def test_what_is_stored_through_asyncpg_is_what_geoalchemy_stores(ground: TestServer) -> None:
    async def work(engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            for given in ROWS:
                await connection.run_sync(is_stored_alike, given, OnConflict.ERROR)

    run_async(for_asyncpg(ground), Map, "sites", work)


def test_a_shape_that_is_none_or_of_another_kind_is_refused_and_named(engine: Engine) -> None:
    good = {"place": WKTElement("POINT(1 2)", srid=4326)}
    for bad in ("POINT(1", "SRID=3857;POINT(1 2)", "SRID=4326;LINESTRING(0 0,1 1)"):
        with pytest.raises(RowRefused, match="Row 2 of Site can't be stored"):
            bulk_insert(engine, Site, [{"id": 0, **good}, {"id": 1, **good}, {"id": 2, "place": bad}])
    with pytest.raises(RowRefused, match="Row 1 of Site can't be stored"):
        bulk_insert(engine, Site, [{"id": 0, "place": POINT.hex()}, {"id": 1, "place": "01"}])
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(Site)) == 0
