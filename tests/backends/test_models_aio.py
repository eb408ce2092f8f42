"""What is declared with `penstock.models` is used in an event loop, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from fix_aio import KINDS, async_ground_of
from fix_apps import all_ok
from fix_declared import Dam, Declared, River
from penstock import App, Database
from penstock.aio import AsyncStores
from penstock.models import showing_deleted, with_deleted

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock import Stores


@pytest.mark.asyncio
@pytest.mark.parametrize("driver", KINDS)
async def test_attributes_are_known_after_a_flush_and_deleted_rows_hidden(
    driver: str, request: pytest.FixtureRequest, stores_on: Callable[..., Stores]
) -> None:
    class Lab(App):
        package = "lab"
        rows = Database("Rows.", metadata=Declared.metadata)

    stores = stores_on(async_ground_of(request, driver), Lab, links=("rows",))
    all_ok(stores, Lab)
    engine = AsyncStores(stores).engine(Lab, "rows")
    async with AsyncSession(engine, expire_on_commit=False) as session:
        river, dam = River(id=1, name="Logan"), Dam(name="a")
        session.add_all([river, dam])
        await session.commit()
        made = dam.updated_at
        dam.name = "b"
        river.soft_delete()
        await session.commit()
        assert dam.updated_at >= made  # Nothing has to be loaded for it.
        assert await session.run_sync(River.by_id, 1) is None
        assert (await session.scalars(select(River))).all() == []
        assert (await session.scalars(select(River).options(with_deleted))).all() == [river]
        with showing_deleted(session):
            assert await session.run_sync(River.by_id, 1) is river
    await engine.dispose()
