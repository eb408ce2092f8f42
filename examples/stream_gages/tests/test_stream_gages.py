"""The app's stores, as its code uses them."""

from __future__ import annotations

import asyncio

from sqlalchemy import func, select

from stream_gages.app import StreamGages
from stream_gages.model import Gage


def count() -> int:
    """How many gages the app knows."""
    with StreamGages.gages.session() as session:
        return session.scalar(select(func.count()).select_from(Gage)) or 0


def test_the_gages_that_are_built_in_are_there() -> None:
    assert count() == 8


def test_a_gage_is_added() -> None:
    with StreamGages.gages.begin() as session:
        session.add(Gage(number="1", name="A brook"))
    assert count() == 9


def test_a_gage_is_added_by_a_task() -> None:
    async def add() -> None:
        async with StreamGages.gages.aio.begin() as session:
            session.add(Gage(number="1", name="A brook"))

    asyncio.run(add())
    assert count() == 9


def test_a_basin_has_the_gages_that_are_put_into_it() -> None:
    basin = StreamGages.basins.create("05050007")
    with StreamGages.gages.session() as session:
        found = [(gage.number, gage.name) for gage in session.scalars(select(Gage))]
    with basin.begin() as session:
        session.add_all(Gage(number=number, name=name) for number, name in found)
    with basin.session() as session:
        assert session.scalar(select(func.count()).select_from(Gage)) == 8
    assert StreamGages.basins.names() == ["05050007"]
