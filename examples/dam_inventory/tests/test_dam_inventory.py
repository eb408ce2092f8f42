"""Questions about places, asked of copies of the app's store."""

from __future__ import annotations

from datetime import date

from dam_inventory.app import DamInventory
from dam_inventory.dams import Box, at, dams_in, nearest_dams
from dam_inventory.model import Dam

SALT_LAKE_CITY = (-111.891, 40.761)
COLORADO_PLATEAU = Box(west=-115, south=35, east=-109, north=41)


def test_the_dams_in_a_box_are_found() -> None:
    with DamInventory.dams.session() as session:
        found = [dam.name for dam in dams_in(session, COLORADO_PLATEAU)]
    assert found == ["Flaming Gorge", "Glen Canyon", "Hoover"]


def test_the_nearest_dam_is_one_that_was_just_added() -> None:
    with DamInventory.dams.begin() as session:
        built = date(1922, 1, 1)
        session.add(
            Dam(name="Brook", owner="Nobody", river="A brook", built=built, location=at(-111.9, 40.8))
        )
    with DamInventory.dams.session() as session:
        [(dam, kilometres)] = nearest_dams(session, *SALT_LAKE_CITY, count=1)
    assert dam.name == "Brook"
    assert 4 < kilometres < 5


def test_a_dam_of_another_test_is_not_there() -> None:
    with DamInventory.dams.session() as session:
        assert session.get(Dam, "Brook") is None
