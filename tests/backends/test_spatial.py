"""Spatial stores: PostGIS by the administrator, SpatiaLite where it can be loaded."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from geoalchemy2 import Geometry, WKBElement
from sqlalchemy import Column, Engine, Integer, MetaData, Table, delete, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from fix_apps import all_ok
from fix_servers import require_spatial
from penstock import App, Database, Stores, SyncOptions, use
from penstock.errors import MissingExtra, NotSupported, PermissionRefused
from penstock.query import bulk_insert, to_arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fix_servers import TestServer

sys.path.append(str(Path(__file__).parents[2] / "examples"))

from dam_inventory import DamInventory as Dams
from dam_inventory.dams import Box, at, dams_in, nearest_dams
from dam_inventory.model import Dam

SALT_LAKE_CITY = (-111.891, 40.761)
COLORADO_PLATEAU = Box(west=-115, south=35, east=-109, north=41)


@pytest.fixture
def spatial_ground(ground: TestServer) -> TestServer:
    """A kind of server that can have spatial stores."""
    return require_spatial(ground)


@pytest.fixture
def dams(spatial_ground: TestServer, role_stores_on: Callable[..., Stores]) -> Iterator[Stores]:
    """`Stores` in use whose store of dams is there."""
    with use(role_stores_on(spatial_ground, Dams)) as stores:
        all_ok(stores, Dams)
        yield stores


def test_dams_in_a_box_and_the_nearest_ones_are_found(dams: Stores) -> None:
    with Dams.dams.session() as session:
        assert [dam.name for dam in dams_in(session, COLORADO_PLATEAU)] == [
            "Flaming Gorge",
            "Glen Canyon",
            "Hoover",
        ]
        nearest = nearest_dams(session, *SALT_LAKE_CITY)
    assert [(dam.name, dam.river) for dam, _ in nearest] == [
        ("Flaming Gorge", "Green River"),
        ("Glen Canyon", "Colorado River"),
        ("Hoover", "Colorado River"),
    ]
    assert [round(far) for _, far in nearest] == [208, 427, 583]
    assert nearest[0][0].built.isoformat() == "1964-08-17"


def test_places_go_into_a_table_and_back(dams: Stores) -> None:
    engine = Dams.dams.engine
    with engine.connect() as connection:
        tables = [to_arrow(source, select(Dam).order_by(Dam.name)) for source in (engine, connection)]
    assert tables[0].equals(tables[1])
    assert str(tables[0].schema.field("location").type) == "binary"
    if engine.dialect.name != "postgresql":
        return  # GeoAlchemy can't write bytes there without shapely.
    with Dams.dams.begin() as session:
        far = [far for _, far in nearest_dams(session, *SALT_LAKE_CITY)]
        session.execute(delete(Dam))
        assert bulk_insert(session, Dam, tables[0]).inserted == tables[0].num_rows
        assert [far for _, far in nearest_dams(session, *SALT_LAKE_CITY)] == far


def test_an_app_writes_points_and_a_second_sync_changes_nothing(dams: Stores) -> None:
    with Dams.dams.begin() as session:
        session.add(
            Dam(
                name="Deer Creek",
                owner="US Bureau of Reclamation",
                river="Provo River",
                built=date(1941, 10, 24),
                location=at(-111.529, 40.404),
            )
        )
    all_ok(dams, Dams)
    with Dams.dams.session() as session:
        assert nearest_dams(session, *SALT_LAKE_CITY, count=1)[0][0].name == "Deer Creek"
        assert len(session.scalars(select(Dam)).all()) == 9


def test_t16_a_spatial_store_is_emptied_and_made_anew_like_any_other(
    dams: Stores, spatial_ground: TestServer
) -> None:
    all_ok(dams, Dams, refresh=True)
    with Dams.dams.session() as session:
        assert len(dams_in(session, COLORADO_PLATEAU)) == 3
    with Dams.dams.engine.connect() as idle:  # So a file can't be removed, only emptied.
        idle.execute(text("SELECT 1"))
        idle.rollback()
        dams.drop(Dams, "dams", now=True)
    assert not Dams.dams.exists()
    all_ok(dams, Dams)
    with Dams.dams.session() as session:
        assert len(dams_in(session, COLORADO_PLATEAU)) == 3


def test_a_spatial_store_is_dropped_and_brought_back(dams: Stores) -> None:
    dams.drop(Dams, "dams")
    assert not Dams.dams.exists()
    dams.kept.undrop(Dams, "dams")
    with Dams.dams.session() as session:
        assert len(dams_in(session, COLORADO_PLATEAU)) == 3


def test_tasks_use_a_spatial_store(dams: Stores, spatial_ground: TestServer) -> None:
    async def ask() -> list[str]:
        async with Dams.dams.aio.session() as session:
            found = await session.run_sync(dams_in, COLORADO_PLATEAU)
            names = [dam.name for dam in found]
        await Dams.dams.aio.engine.dispose()
        return names

    assert asyncio.run(ask()) == ["Flaming Gorge", "Glen Canyon", "Hoover"]


def test_a_run_time_store_is_spatial_if_it_is_made_so(
    spatial_ground: TestServer, lab: type[App], role_stores_on: Callable[..., Stores]
) -> None:
    with use(role_stores_on(spatial_ground, lab)):
        assert lab.create_persistent_store("maps", "servers", spatial=True)
        with lab.get_persistent_store_database("maps").connect() as connection:
            point = "ST_AsText(ST_GeomFromText('POINT(1 2)', 4326))"
            assert connection.execute(text(f"SELECT {point}")).scalar() == "POINT(1 2)"
        assert lab.drop_persistent_store("maps")


class Geological(DeclarativeBase):
    """Tables with points, of which GeoAlchemy2 takes the columns away while it makes them."""


class Well(Geological):
    """A well, in a table of a spatial app's."""

    __tablename__ = "well"

    id: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[WKBElement] = mapped_column(Geometry("POINT", srid=4326))


def make_wells(engine: Engine, first_time: bool) -> None:
    """Tables as apps make them, after one that can't be made."""
    broken = Table("well", MetaData(), Column("id", Integer))
    Geological.metadata.create_all(engine)
    with pytest.raises(DBAPIError):
        broken.create(engine, checkfirst=False)
    Geological.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add(Well(place="SRID=4326;POINT(1 2)"))


def test_spatial_stores_are_made_several_at_a_time(
    spatial_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    class Wells(App):
        package = "wells"
        fields = Database("One per field.", metadata=Geological.metadata, spatial=True, many=True)
        mines = Database("One per mine.", initializer=make_wells, spatial=True, many=True)

    with use(role_stores_on(spatial_ground, Wells)) as stores:
        names = [f"{kind}.{number}" for number in range(6) for kind in ("fields", "mines")]
        results = stores.create_many(Wells, names, options=SyncOptions(jobs=4))
        assert [str(result.error) for result in results if not result.ok] == []
        for number in range(6):
            with stores.session(Wells, f"fields.{number}") as session:
                assert session.scalars(select(Well)).all() == []
            with stores.session(Wells, f"mines.{number}") as session:
                assert session.scalars(select(func.ST_AsText(Well.place))).all() == ["POINT(1 2)"]


# --- PostGIS --------------------------------------------------------------------------------------


@pytest.fixture
def postgis(postgresql_ground: TestServer) -> TestServer:
    """PostgreSQL with PostGIS."""
    return require_spatial(postgresql_ground)


def test_postgis_and_its_rasters_are_enabled_by_the_administrator_and_nothing_else_is(
    postgis: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    all_ok(role_stores_on(postgis, Dams), Dams)
    owners = "SELECT extname, extowner::regrole::text FROM pg_extension WHERE extname ~ 'postgis' ORDER BY 1"
    assert postgis.run_sql("dam_inventory_dams", owners) == [
        ("postgis", "penstock_admin"),
        ("postgis_raster", "penstock_admin"),
    ]
    admins = "SELECT count(*) FROM pg_class WHERE relowner = 'penstock_admin'::regrole"
    others = f"{admins} AND relname IN ('dam', 'penstock_store')"
    assert postgis.run_sql("dam_inventory_dams", others) == [(0,)]


def test_t20_without_an_administrator_a_spatial_store_is_refused_before_anything_is_made(
    postgis: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    alone = replace(postgis, service=replace(postgis.service, admin_url=None, admin_password=None))
    [result] = role_stores_on(alone, Dams).sync(Dams)
    assert isinstance(result.error, PermissionRefused)
    assert "--admin-url" in result.error.hint
    assert postgis.databases() == set()


def test_t20_without_an_administrator_a_database_that_is_spatial_already_will_do(
    postgis: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    alone = replace(postgis, service=replace(postgis.service, admin_url=None, admin_password=None))
    postgis.make_database("dam_inventory_dams")
    postgis.run_sql("dam_inventory_dams", "CREATE EXTENSION postgis; CREATE EXTENSION postgis_raster")
    stores = role_stores_on(alone, Dams)
    stores.adopt(Dams, "dams")
    all_ok(stores, Dams)
    with use(stores), Dams.dams.session() as session:
        assert session.scalars(select(Dam)).all() == []


PLANTED = {
    "function": "CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS $$ {payload} $$",
    "operator": """
        CREATE FUNCTION hidden.same(text, text) RETURNS bool LANGUAGE plpgsql AS $$ {payload} $$;
        CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, PROCEDURE = hidden.same)""",
}


@pytest.mark.parametrize("what", PLANTED)
def test_z2_what_an_app_planted_in_public_is_never_run_by_the_administrator(
    what: str, postgis: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    payload = "BEGIN INSERT INTO hidden.run VALUES (current_user::text); RETURN NULL; END"
    postgis.make_database("dam_inventory_dams")
    plant = "SET ROLE penstock; CREATE SCHEMA hidden; CREATE TABLE hidden.run (who text); "
    postgis.run_sql("dam_inventory_dams", plant + PLANTED[what].format(payload=payload))
    stores = role_stores_on(postgis, Dams)
    stores.adopt(Dams, "dams")
    [result] = stores.sync(Dams)
    assert isinstance(result.error, NotSupported)
    assert "schema public has functions or operators" in result.error.what
    stores.status()
    stores.services.check()
    stores.drop(Dams, "dams")
    stores.kept.undrop(Dams, "dams")
    assert postgis.run_sql("dam_inventory_dams", "SELECT who FROM hidden.run") == []


# --- SpatiaLite -----------------------------------------------------------------------------------


def test_t16_spatialite_that_cannot_be_loaded_is_told_before_a_file_is_made(
    sqlite_ground: TestServer, role_stores_on: Callable[..., Stores], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPATIALITE_LIBRARY_PATH", "no_such_module")
    [result] = role_stores_on(sqlite_ground, Dams).sync(Dams)
    assert isinstance(result.error, NotSupported | MissingExtra)
    assert "libsqlite3-mod-spatialite" in result.error.hint or "penstock[spatial]" in result.error.hint
    assert sqlite_ground.databases() == set()


def test_ordinary_stores_are_opened_by_pythons_own_library(
    sqlite_ground: TestServer, lab: type[App], role_stores_on
) -> None:
    stores = role_stores_on(sqlite_ground, lab)
    all_ok(stores, lab)
    with stores.engine(lab, "gages").connect() as connection:
        assert isinstance(connection.connection.driver_connection, sqlite3.Connection)


def test_a_select_whose_function_writes_is_rolled_back(
    sqlite_ground: TestServer, role_stores_on: Callable[..., Stores]
) -> None:
    stores = role_stores_on(require_spatial(sqlite_ground), Dams)
    all_ok(stores, Dams)
    with stores.engine(Dams, "dams").connect() as connection:
        before = connection.scalar(text("SELECT count(*) FROM geometry_columns"))
        connection.execute(text("SELECT AddGeometryColumn('dam', 'entrance', 4326, 'POINT', 2)"))
        assert connection.scalar(text("SELECT count(*) FROM geometry_columns")) == before + 1
        connection.rollback()
        assert connection.scalar(text("SELECT count(*) FROM geometry_columns")) == before
